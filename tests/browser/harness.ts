/** The island's modules, within reach of tests that run in a real browser under the real content security policy. */
import { build } from "../../web/ui/src/md/build";
import { lex } from "../../web/ui/src/md/lex";
import { enhance } from "../../web/ui/src/md/later";
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

/** The markup a text comes to when it is lexed whole. */
function oneShot(text: string): string {
  const root = place();
  root.append(...build(lex(text, {}), null));
  const markup = root.innerHTML;
  root.remove();
  return markup;
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
  const stream = new MarkdownStream(place(), enhance);
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
