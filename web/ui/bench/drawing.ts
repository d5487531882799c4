/** What the benches of drawing run in the browser: our renderer, and the usual one that begins anew each time. */
import DOMPurify from "dompurify";
import { marked } from "marked";
import { build } from "../src/md/build";
import { lex } from "../src/md/lex";
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

/** Every piece drawn and laid out, by both in turn; total and worst milliseconds, and whether ours came out right. */
function total(pieces: readonly string[]) {
  const ourRoot = pane();
  const otherRoot = pane();
  const stream = new MarkdownStream(ourRoot);
  const other = drawers.other(otherRoot);
  const sums = { ours: 0, other: 0 };
  const worst = { ours: 0, other: 0 };
  const timed = (who: Who, root: HTMLElement, work: () => void) => {
    const start = performance.now();
    work();
    void root.offsetHeight;
    const took = performance.now() - start;
    sums[who] += took;
    worst[who] = Math.max(worst[who], took);
  };
  let whole = "";
  for (const piece of pieces) {
    whole += piece;
    timed("ours", ourRoot, () => {
      stream.push(piece);
      stream.render();
    });
    timed("other", otherRoot, () => other(whole, piece));
  }
  timed("ours", ourRoot, () => stream.finish());
  const expected = document.createElement("div");
  expected.append(...build(lex(whole, {}), null));
  return { sums, worst, same: expected.innerHTML === ourRoot.innerHTML };
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
