/**
 * What a battle looks like after an event: the browser's half of `worker/contract/view.py`.
 *
 * Both fold the same events to the same view; tests/browser/test_store.py runs them against each other.
 */
import type { BattleLoading, BattleQueued, BattleView, Side, SideView, StoredEvent } from "../protocol.gen";

export const EMPTY_SIDE: SideView = { text: "", status: "waiting", finish_reason: null, error: null };

export const EMPTY_VIEW: BattleView = {
  state: "queued",
  turns: [],
  queued: null,
  loading: null,
  attempt: 1,
  votable: false,
  winner: null,
  models: null,
  error: null,
  cancelled_by: null,
  cancel_reason: null,
};

/** What the beginning of a turn, or of another try at one, undoes. */
const FRESH = {
  queued: null,
  loading: null,
  votable: false,
  error: null,
  cancelled_by: null,
  cancel_reason: null,
} as const;

export function fold(view: BattleView, event: StoredEvent): BattleView {
  switch (event.type) {
    case "turn.started":
      if (view.turns.some((t) => t.turn === event.turn)) return view;
      return {
        ...view,
        state: "queued",
        turns: [...view.turns, { turn: event.turn, prompt: event.prompt, a: EMPTY_SIDE, b: EMPTY_SIDE, retry: 0 }],
        ...FRESH,
      };
    case "turn.retried": {
      const last = view.turns[view.turns.length - 1];
      if (!last || last.turn !== event.turn || last.retry >= event.retry) return view;
      const cleared = Object.fromEntries(event.sides.map((side) => [side, EMPTY_SIDE]));
      const again = { ...last, ...cleared, retry: event.retry };
      return { ...view, state: "queued", turns: [...view.turns.slice(0, -1), again], ...FRESH };
    }
    case "battle.queued":
      return { ...view, queued: queued(event) };
    case "battle.loading":
      return { ...view, queued: null, loading: loading(event) };
    case "side.started":
      return withSide(running(view), event.side, (s) => ({ ...s, status: "streaming" }));
    case "side.delta":
      return withSide(running(view), event.side, (s) => ({ ...s, text: s.text + event.text, status: "streaming" }));
    case "side.done":
      return withSide(view, event.side, (s) => ({ ...s, status: "done", finish_reason: event.finish_reason }));
    case "side.failed":
      return withSide(view, event.side, (s) => ({
        ...s,
        status: "failed",
        finish_reason: "failed",
        error: event.error,
      }));
    case "battle.restarted": {
      const cleared: BattleView = {
        ...view,
        state: "queued",
        attempt: event.attempt,
        queued: null,
        loading: null,
        votable: false,
      };
      return withSide(withSide(cleared, "a", () => EMPTY_SIDE), "b", () => EMPTY_SIDE);
    }
    case "battle.votable":
      return { ...view, state: "finished", votable: true };
    case "battle.voted":
      return { ...view, winner: event.winner, votable: false };
    case "battle.revealed":
      return { ...view, models: event.models };
    case "battle.failed":
      return {
        ...view,
        state: "failed",
        queued: null,
        loading: null,
        votable: event.votable ?? false,
        error: event.error,
      };
    case "battle.cancelled":
      return {
        ...view,
        state: "cancelled",
        queued: null,
        loading: null,
        votable: event.votable ?? false,
        cancelled_by: event.by,
        cancel_reason: event.reason || null,
      };
    default: {
      const never: never = event; // a message of a newer server: changes nothing here
      void never;
      return view;
    }
  }
}

function running(view: BattleView): BattleView {
  return { ...view, state: "running", queued: null, loading: null };
}

function withSide(view: BattleView, side: Side, change: (side: SideView) => SideView): BattleView {
  const last = view.turns[view.turns.length - 1];
  if (!last) return view;
  return { ...view, turns: [...view.turns.slice(0, -1), { ...last, [side]: change(last[side]) }] };
}

/** Without the log's stamp, as a snapshot carries it. */
function queued({ type, position, eta_s }: BattleQueued): BattleQueued {
  return eta_s === undefined ? { type, position } : { type, position, eta_s };
}

function loading({ type, fraction, eta_s }: BattleLoading): BattleLoading {
  return eta_s === undefined ? { type, fraction } : { type, fraction, eta_s };
}
