/** What a battle has come to, in the words that the page's foot goes by; also told in `data-state` of the page. */
import { over } from "../live/store";
import { strings } from "../strings";
import { refusal } from "../words";
import type { Store } from "../live/store";
import type { Limits } from "../live/limits";
import type { BattleView, Side, SideView } from "../protocol.gen";

export type Standing = SideView["status"] | "stopped";
export type Phase = "running" | "ended" | "votable" | "voted" | "void";

export function phaseOf(view: BattleView): Phase {
  if (view.models) return "voted";
  if (view.votable) return "votable";
  if (!over(view)) return "running";
  return whyNot(view) === null ? "ended" : "void";
}

/** The page's state at large: connecting, queued, loading, streaming, ended, votable, choosing, casting, voted, void. */
export function stateOf(store: Store): string {
  const view = store.view.value;
  const phase = phaseOf(view);
  if (phase === "votable") {
    return store.ballot.casting.value ? "casting" : store.ballot.chosen.value ? "choosing" : phase;
  }
  if (phase !== "running") return phase;
  if (!store.cursor.value) return "connecting";
  if (view.loading) return "loading";
  return view.state === "running" ? "streaming" : "queued";
}

/** Why the newest turn will never be open to a vote, or null when it may yet be. */
export function whyNot(view: BattleView): string | null {
  const turn = view.turns.at(-1);
  if (view.state === "cancelled") {
    return view.cancelled_by === "operator" ? strings.noVote.operator(view.cancel_reason) : strings.noVote.cancelled;
  }
  if (view.state === "failed") return view.error ? refusal(view.error.code, view.error.message) : strings.noVote.failed;
  for (const side of ["a", "b"] as const) {
    if (turn?.[side].status === "failed") return strings.noVote.side(side);
  }
  if (turn?.a.finish_reason === "cancelled" || turn?.b.finish_reason === "cancelled") return strings.noVote.cancelled;
  const both = turn?.a.status === "done" && turn.b.status === "done";
  return both && !(turn.a.text.trim() && turn.b.text.trim()) ? strings.noVote.empty : null;
}

/** How far a side is. One that nobody will go on with is `stopped` or `failed`, however far the log tells it came. */
export function standing(view: BattleView, index: number, side: Side): Standing {
  const told = view.turns[index]?.[side];
  if (told?.finish_reason === "cancelled") return "stopped";
  if (told?.status === "done" || told?.status === "failed") return told.status;
  if (index < view.turns.length - 1 || view.state === "cancelled") return "stopped";
  return view.state === "failed" ? "failed" : told?.status ?? "waiting";
}

/** Whether both sides may answer the newest turn once more: it is not whole, and trying again could change that. */
export function triesBoth(view: BattleView, limits: Limits): boolean {
  const turn = view.turns.at(-1);
  if (!turn || view.winner || !over(view) || whyNot(view) === null || turn.retry >= limits.retries) return false;
  return view.error?.retryable !== false && view.cancelled_by !== "operator";
}
