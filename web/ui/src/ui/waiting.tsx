/** What a person sees before the first word: the place in line, the loading, and that time passes. */
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { duration, strings } from "../strings";
import type { Store } from "../live/store";

/** After this long the page says that waiting is all right. */
const PATIENCE_S = 20;

export function Waiting({ store }: { store: Store }) {
  const seconds = useSignal(0);
  useEffect(() => {
    const began = performance.now();
    const timer = setInterval(() => (seconds.value = Math.floor((performance.now() - began) / 1_000)), 1_000);
    return () => clearInterval(timer);
  }, [store.battle.value]);
  const { queued, loading } = store.view.value;
  const headline = loading ? strings.loading : queued ? strings.queued(queued.position) : strings.begun;
  const eta = loading?.eta_s ?? queued?.eta_s ?? null;
  return (
    <div class="line">
      <p>
        <strong>{headline}</strong>
        {eta !== null && <span>, {strings.about(duration(eta))}</span>}
        {seconds.value >= 3 && <span class="elapsed">{strings.elapsed(duration(seconds.value))}</span>}
      </p>
      {loading ? <progress max={1} value={loading.fraction} aria-label={strings.loading} />
        : <progress aria-label={headline} />}
      {seconds.value >= PATIENCE_S && <p class="hint">{strings.patience}</p>}
    </div>
  );
}
