/** The foot of a battle: stop it, judge it, go on with it, or learn why it cannot be judged and what to do instead. */
import { useComputed } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { Again, RetryBoth } from "./again";
import { Follow } from "./follow";
import { phaseOf, triesBoth, whyNot } from "./phase";
import { ProblemNote } from "./problem";
import { Verdict } from "./verdict";
import { VoteBar } from "./votes";
import { strings } from "../strings";
import type { Limits } from "../live/limits";
import type { Store } from "../live/store";

export function Dock({ store, limits }: { store: Store; limits: Limits }) {
  const phase = useComputed(() => phaseOf(store.view.value)).value;
  const dock = useRef<HTMLDivElement>(null);
  const held = useRef<Element | null>(null);
  useEffect(() => {
    const hold = (event: FocusEvent) => (held.current = event.target as Element);
    document.addEventListener("focusin", hold);
    return () => document.removeEventListener("focusin", hold);
  }, []);
  // What held the focus may have gone with the phase: it must not fall back to the top of the page then.
  useEffect(() => {
    if (document.activeElement !== document.body || !held.current || held.current.isConnected) return;
    dock.current?.querySelector<HTMLElement>("[data-heading]")?.focus({ preventScroll: true });
  }, [phase]);
  return (
    <div class="dock" ref={dock}>
      <ProblemNote problem={store.problem.value} />
      {phase === "voted" ? <Verdict store={store} limits={limits} />
        : phase === "void" ? <Void store={store} limits={limits} />
        : <VoteBar store={store} limits={limits} />}
      {phase !== "voted" && phase !== "void" && <Follow store={store} limits={limits} />}
    </div>
  );
}

function Void({ store, limits }: { store: Store; limits: Limits }) {
  const again = useComputed(() => triesBoth(store.view.value, limits));
  return (
    <div class="verdict">
      <p role="alert" tabIndex={-1} data-heading>{whyNot(store.view.value)}</p>
      <div class="actions">
        <button type="button" onClick={() => store.leave()}>{strings.newBattle}</button>
        <Again store={store} label={strings.retry} primary={!again.value} />
        {again.value && <RetryBoth store={store} primary />}
      </div>
    </div>
  );
}
