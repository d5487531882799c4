/** Exactly once, in order: which frames a page may apply to the battle it holds. */
import { fold } from "./fold";
import type { Batch, BattleView, Resumed, Snapshot, StoredFrame } from "../protocol.gen";

/** What a page holds of one battle: its view, and the place in the log that view stands for. */
export interface Cursor {
  readonly battle: string;
  readonly epoch: string;
  readonly seq: number;
  readonly view: BattleView;
}

export type BattleFrame = Snapshot | Resumed | Batch | StoredFrame;

/** `gap`: something was missed, so ask again from the cursor; the frame changed nothing. */
export interface Verdict {
  readonly cursor: Cursor | null;
  readonly outcome: "applied" | "ignored" | "gap";
}

/** Apply `frame` iff what it covers begins right after `cursor`. A snapshot replaces whatever was held. */
export function accept(cursor: Cursor | null, frame: BattleFrame): Verdict {
  if (frame.type === "snapshot") {
    const { battle, epoch, seq, view } = frame;
    return { cursor: { battle, epoch, seq, view }, outcome: "applied" };
  }
  if (!cursor || frame.battle !== cursor.battle) return { cursor, outcome: cursor ? "ignored" : "gap" };
  if (frame.type === "resumed") {
    const stands = frame.epoch === cursor.epoch && frame.seq <= cursor.seq;
    return { cursor, outcome: stands ? "applied" : "gap" };
  }
  if (frame.seq <= cursor.seq) return { cursor, outcome: "ignored" };
  const covers = frame.type === "batch" ? frame.n : 1;
  if (frame.seq - covers !== cursor.seq) return { cursor, outcome: "gap" };
  const events = frame.type === "batch" ? frame.events : [frame];
  const view = events.reduce(fold, cursor.view);
  return { cursor: { ...cursor, seq: frame.seq, view }, outcome: "applied" };
}
