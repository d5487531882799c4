/** A pair of one's own choosing, to compare these two; such a vote never counts. While this is folded, the arena draws. */
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { Problem, readContenders } from "../live/api";
import { strings } from "../strings";
import type { Contender, Pair } from "../live/api";
import type { Store } from "../live/store";

export function Named({ store }: { store: Store }) {
  const contenders = useSignal<readonly Contender[]>([]);
  // The next battle is drawn again, unless somebody unfolds this once more.
  useEffect(() => () => {
    store.named.value = null;
  }, []);
  const toggled = async (unfolded: boolean) => {
    store.named.value = null;
    if (!unfolded) return;
    try {
      contenders.value = await readContenders();
    } catch (error) {
      store.problem.value = error instanceof Problem ? error : new Problem("internal", strings.unexpected, 0);
    }
    const [first, second] = contenders.value;
    if (first && second) store.named.value = [first.id, second.id];
  };
  const pair = store.named.value;
  return (
    <details class="named" onToggle={(event) => void toggled(event.currentTarget.open)}>
      <summary>{strings.named.title}</summary>
      <p id="named-note">{strings.named.note}</p>
      {pair && (
        <div class="named-pair">
          {([0, 1] as const).map((place) => (
            <select
              key={place} aria-label={strings.named.labels[place]} aria-describedby="named-note" value={pair[place]}
              onChange={(event) => (store.named.value = withModel(pair, place, event.currentTarget.value))}
            >
              {contenders.value.map(({ id, name }) => <option key={id} value={id}>{name}</option>)}
            </select>
          ))}
        </div>
      )}
    </details>
  );
}

/** `model` in one place; where it stood in the other one, the two change places. */
function withModel(pair: Pair, place: 0 | 1, model: string): Pair {
  const other = pair[place === 0 ? 1 : 0];
  const rest = other === model ? pair[place] : other;
  return place === 0 ? [model, rest] : [rest, model];
}
