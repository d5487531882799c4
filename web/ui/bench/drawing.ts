/** What the benches of drawing run in the browser: our renderer, and the usual one that begins anew each time. */
import DOMPurify from "dompurify";
import { marked } from "marked";
import { build } from "../src/md/build";
import { definitions, lex } from "../src/md/lex";
import { MarkdownStream } from "../src/md/stream";
import { schedule } from "../src/ui/frames";

type Who = "ours" | "other";

/** Draws one answer's text as it grows. */
type Draw = (whole: string, added: string) => void;

function pane(): HTMLElement {
  const scroller = document.createElement("div");
  scroller.className = "pane";
  const root = document.createElement("div");
  scroller.append(root);
  document.body.append(scroller);
  return root;
}

const drawers: Readonly<Record<Who, (root: HTMLElement) => Draw>> = {
  ours: (root) => {
    const stream = new MarkdownStream(root);
    return (_, added) => {
      stream.push(added);
      stream.render();
    };
  },
  other: (root) => (whole) => {
    root.innerHTML = DOMPurify.sanitize(marked.parse(whole, { async: false }));
  },
};

/** Every piece drawn and laid out; total and worst milliseconds, and whether ours came out as it should. */
function total(who: Who, pieces: readonly string[]) {
  const root = pane();
  const stream = new MarkdownStream(root);
  const draw = drawers.other(root);
  let whole = "";
  let sum = 0;
  let worst = 0;
  for (const piece of pieces) {
    const start = performance.now();
    whole += piece;
    if (who === "ours") {
      stream.push(piece);
      stream.render();
    } else {
      draw(whole, piece);
    }
    void root.offsetHeight;
    const took = performance.now() - start;
    sum += took;
    worst = Math.max(worst, took);
  }
  if (who === "other") return { sum, worst, same: true };
  const start = performance.now();
  stream.finish();
  void root.offsetHeight;
  sum += performance.now() - start;
  const expected = document.createElement("div");
  expected.append(...build(lex(whole, definitions()), null));
  return { sum, worst, same: expected.innerHTML === root.innerHTML };
}

interface Contest {
  who: Who;
  sides: { key: string; root: HTMLElement; draw: Draw; whole: string; added: string; given: number }[];
}

/** Two panes that show `before` already, on screen. */
async function prepare(who: Who, before: string): Promise<Contest> {
  document.body.replaceChildren();
  const sides = ["a", "b"].map((key) => {
    const root = pane();
    const draw = drawers[who](root);
    draw(before, before);
    return { key, root, draw, whole: before, added: "", given: 0 };
  });
  await new Promise((resolve) => requestAnimationFrame(() => setTimeout(resolve, 300)));
  return { who, sides };
}

/**
 * Grow both panes by `tokens` at `rate` a second each. How late the event loop ran what was due, in milliseconds, 95th
 * of 100 and worst, and how many frames a second drew something.
 */
async function duel({ who, sides }: Contest, tokens: readonly string[], rate: number) {
  const start = performance.now();
  const lags: number[] = [];
  let draws = 0;
  while (sides.some((side) => side.given < tokens.length)) {
    const asleep = performance.now();
    await new Promise((resolve) => setTimeout(resolve, 10));
    const now = performance.now();
    lags.push(Math.max(0, now - asleep - 10));
    const due = Math.min(tokens.length, Math.floor(((now - start) * rate) / 1_000));
    for (const side of sides) {
      side.added += tokens.slice(side.given, due).join("");
      side.given = due;
      if (!side.added) continue;
      plan(who, side.key, () => {
        const { added, root } = side;
        draws += 1;
        side.added = "";
        side.whole += added;
        side.draw(side.whole, added);
        const scroller = root.parentElement as HTMLElement;
        scroller.scrollTop = scroller.scrollHeight;
      });
    }
  }
  const seconds = (performance.now() - start) / 1_000;
  lags.sort((a, b) => a - b);
  const lag = lags[Math.floor(lags.length * 0.95)] ?? 0;
  return { lag, worst: lags.at(-1) ?? 0, fps: draws / sides.length / seconds };
}

const planned = new Set<string>();

/** Ours goes through the page's own frame budget; the other draws in the next frame. */
function plan(who: Who, key: string, draw: () => void): void {
  if (who === "ours") return schedule(key, draw);
  if (planned.has(key)) return;
  planned.add(key);
  requestAnimationFrame(() => {
    planned.delete(key);
    draw();
  });
}

const drawing = { total, prepare, duel };

declare global {
  interface Window {
    drawing: typeof drawing;
  }
}

window.drawing = drawing;
