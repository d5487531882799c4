/** What a person sees before the first word: the place in line, the loading, and that time passes. */
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { beganAt } from "../live/began";
import { duration, strings } from "../strings";
import type { Store } from "../live/store";

/** After this long the page says that waiting is all right. */
const PATIENCE_S = 20;
/** A line that takes longer than this to open is worth a word. */
const CONNECTING_S = 4;

export function Waiting({ store }: { store: Store }) {
  const seen = useElapsed(store);
  const { queued, loading } = store.view.value;
  const unheard = store.cursor.value === null && store.link.value !== "open" && seen.value.here >= CONNECTING_S;
  const headline = unheard ? strings.connecting : loading ? strings.loading : queued ? strings.queued(queued.position) : strings.begun;
  const eta = loading?.eta_s ?? queued?.eta_s ?? null;
  const { here, inAll } = seen.value;
  return (
    <div class="line">
      <p>
        <strong>{headline}</strong>
        {eta !== null && <span>, {strings.about(duration(eta))}</span>}
        {inAll !== null && inAll >= 3 && <span class="elapsed">{strings.elapsed(duration(inAll))}</span>}
      </p>
      {loading ? <progress key="known" max={1} value={loading.fraction} aria-label={strings.loading} />
        : <progress key="unknown" aria-label={headline} />}
      {!unheard && Math.max(here, inAll ?? 0) >= PATIENCE_S && <p class="hint">{strings.patience}</p>}
    </div>
  );
}

/** Whole seconds: on this page, and since the turn was put in line (null while nobody can tell). */
function useElapsed(store: Store): { readonly value: { here: number; inAll: number | null } } {
  const seconds = useSignal<{ here: number; inAll: number | null }>({ here: 0, inAll: null });
  const last = store.view.value.turns.at(-1);
  const battle = store.battle.value;
  const heard = store.cursor.value !== null;
  useEffect(() => {
    const opened = performance.now();
    let since: number | null = null;
    if (battle && heard) void beganAt(battle, last).then((at) => (since = at));
    const timer = setInterval(() => {
      const here = Math.floor((performance.now() - opened) / 1_000);
      seconds.value = { here, inAll: since === null ? null : Math.floor((Date.now() - since) / 1_000) };
    }, 1_000);
    return () => clearInterval(timer);
  }, [battle, heard, last?.turn, last?.retry]);
  return seconds;
}
