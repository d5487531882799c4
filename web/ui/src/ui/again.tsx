/** Ways to have an answer once more: by the same two, or by two others. */
import { strings } from "../strings";
import type { Store } from "../live/store";

export function RetryBoth({ store, primary }: { store: Store; primary?: boolean }) {
  return (
    <button
      type="button" class={primary ? "primary" : ""} aria-disabled={store.sending.value}
      onClick={() => void store.retry(null)}
    >
      {strings.retryBoth}
    </button>
  );
}

/** The same prompt, two new models. */
export function Again({ store, label, primary }: { store: Store; label: string; primary?: boolean }) {
  return (
    <button
      type="button" class={primary ? "primary" : ""} aria-disabled={store.sending.value}
      onClick={() => void store.begin(store.firstPrompt.value)}
    >
      {store.sending.value ? strings.sending : label}
    </button>
  );
}
