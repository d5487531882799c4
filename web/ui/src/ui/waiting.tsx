/** What a person sees before the first word: the place in line, the loading, and that time passes. */
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { duration, strings } from "../strings";
import type { Store } from "../live/store";

/** After this long the page says that waiting is all right. */
const PATIENCE_S = 20;
/** A line that takes longer than this to open is worth a word. */
const CONNECTING_S = 4;

export function Waiting({ store }: { store: Store }) {
  const seconds = useSignal(0);
  useEffect(() => {
    const began = performance.now();
    const timer = setInterval(() => (seconds.value = Math.floor((performance.now() - began) / 1_000)), 1_000);
    return () => clearInterval(timer);
  }, [store.battle.value]);
  const { queued, loading } = store.view.value;
  const unheard = store.cursor.value === null && store.link.value !== "open" && seconds.value >= CONNECTING_S;
  const headline = unheard ? strings.connecting : loading ? strings.loading : queued ? strings.queued(queued.position) : strings.begun;
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
      {!unheard && seconds.value >= PATIENCE_S && <p class="hint">{strings.patience}</p>}
    </div>
  );
}
