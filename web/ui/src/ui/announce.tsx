/** One polite voice for screen readers: it speaks at boundaries, never per token. */
import { useSignal, useSignalEffect } from "@preact/signals";
import { useRef } from "preact/hooks";
import { UNDO_MS } from "../live/ballot";
import { strings } from "../strings";
import type { Store } from "../live/store";
import type { BattleView, Winner } from "../protocol.gen";

export function Announcer({ store }: { store: Store }) {
  const words = useSignal("");
  const before = useRef<BattleView | null>(null);
  const chosen = useRef<Winner | null>(null);
  // One effect for both: two that are due in the same frame run in no order to rely on.
  useSignalEffect(() => {
    const view = store.view.value;
    const now = store.ballot.chosen.value?.winner ?? null;
    const told = news(before.current, view);
    const undone = chosen.current && !now && !store.ballot.casting.peek() && view.votable;
    if (now && now !== chosen.current) words.value = strings.say.chosen(strings.vote[now], UNDO_MS / 1_000);
    else if (undone) words.value = strings.say.undone;
    else if (told) words.value = told;
    before.current = view;
    chosen.current = now;
  });
  return <p class="visually-hidden" role="status">{words.value}</p>;
}

/** The most important thing that is new in `now`. */
function news(then: BattleView | null, now: BattleView): string | null {
  const fresh = (test: (view: BattleView) => boolean) => test(now) && !(then && test(then));
  const done = (side: "a" | "b") => (view: BattleView) => view.turns.at(-1)?.[side].status === "done";
  const last = now.turns.at(-1);
  const earlier = then?.turns.at(-1);
  if (earlier && last && last.turn > earlier.turn) return strings.say.asked(last.turn);
  if (earlier && last && last.retry > earlier.retry) return strings.say.again;
  if (fresh((v) => v.models !== null) && now.models) return strings.say.revealed(now.models.a.name, now.models.b.name);
  if (fresh((v) => v.votable)) return strings.say.votable;
  if (fresh((v) => v.state === "cancelled")) return strings.say.cancelled;
  if (fresh(done("a"))) return strings.say.finished("a");
  if (fresh(done("b"))) return strings.say.finished("b");
  if (fresh((v) => v.state === "running")) return strings.say.started;
  if (fresh((v) => v.loading !== null)) return strings.say.loading;
  if (fresh((v) => v.queued !== null)) return strings.say.queued;
  return null;
}
