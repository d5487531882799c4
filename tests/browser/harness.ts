/** The island's modules, within reach of tests that run in a real browser under the real content security policy. */
import { build, element } from "../../web/ui/src/md/build";
import { definitions, fenceCloser, lex } from "../../web/ui/src/md/lex";
import { enhancer } from "../../web/ui/src/md/later";
import { MarkdownStream } from "../../web/ui/src/md/stream";
import { accept } from "../../web/ui/src/live/cursor";
import { EMPTY_VIEW, fold } from "../../web/ui/src/live/fold";
import { comesBack, retryDelay } from "../../web/ui/src/live/socket";
import { answer, zeroBits } from "../../web/ui/src/live/proof";
import { Store } from "../../web/ui/src/live/store";
import type { BattleFrame, Cursor } from "../../web/ui/src/live/cursor";
import type { StoredEvent } from "../../web/ui/src/protocol.gen";

function place(): HTMLElement {
  const root = document.createElement("div");
  document.body.append(root);
  return root;
}

/** The markup a text comes to when it is taken apart and lexed whole. */
function oneShot(source: string): string {
  const root = place();
  const { thought, cut, answer } = apart(source.replace(/\r\n?/g, "\n"));
  const reasoning = build(lex(thought.trim() ? thought : "", definitions()), null);
  if (reasoning.length) {
    const title = element("summary", "", cut ? "Reasoning, cut short" : "Reasoning");
    title.lang = "en";
    root.append(element("details", "thought", title, element("div", "thought-text", ...reasoning)));
  }
  root.append(...build(lex(answer, definitions()), null));
  const markup = root.innerHTML;
  root.remove();
  return markup;
}

/** What stands between `<think>` and `</think>` at the head of a text, and the rest; by looking at the whole of it. */
function apart(text: string): { thought: string; cut: boolean; answer: string } {
  const opened = /^\s{0,64}<(think|thinking)>/.exec(text);
  if (opened) {
    const [thought = "", ...rest] = text.slice(opened[0].length).split(`</${opened[1]}>`);
    return { thought, cut: rest.length === 0, answer: rest.join(`</${opened[1]}>`) };
  }
  let fence = null as RegExp | null;
  for (let at = 0; at < text.length; ) {
    const newline = text.indexOf("\n", at);
    const end = newline < 0 ? text.length : newline;
    const line = text.slice(at, end);
    if (!fence && /^ {0,3}<\/(think|thinking)>[ \t]{0,8}$/.test(line)) {
      return { thought: text.slice(0, at), cut: false, answer: text.slice(end + 1) };
    }
    if (fence?.test(line)) fence = null;
    else fence ??= fenceCloser(`${line}\n`)?.closes ?? null;
    at = end + 1;
  }
  return { thought: "", cut: false, answer: text };
}

/** The markup it comes to when it arrives in pieces, each drawn before the next comes. */
function streamed(chunks: string[]): string {
  const root = place();
  const stream = new MarkdownStream(root);
  for (const chunk of chunks) {
    stream.push(chunk);
    stream.render();
  }
  stream.finish();
  const markup = root.innerHTML;
  root.remove();
  return markup;
}

/** Draw `text` for good, with colours and formulas, and leave it on the page. */
function show(text: string): void {
  const stream = new MarkdownStream(place(), enhancer());
  stream.push(text);
  stream.finish();
}

function acceptAll(cursor: Cursor | null, frames: BattleFrame[]): { outcomes: string[]; cursor: Cursor | null } {
  const outcomes: string[] = [];
  for (const frame of frames) {
    const verdict = accept(cursor, frame);
    cursor = verdict.cursor;
    outcomes.push(verdict.outcome);
  }
  return { outcomes, cursor };
}

const harness = {
  oneShot,
  streamed,
  show,
  place,
  acceptAll,
  MarkdownStream,
  Store,
  comesBack,
  retryDelay,
  answer,
  zeroBits,
  foldAll: (events: StoredEvent[]) => events.reduce(fold, EMPTY_VIEW),
};

declare global {
  interface Window {
    harness: typeof harness;
  }
}

window.harness = harness;
