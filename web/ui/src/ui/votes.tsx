/** The vote bar: left is A, right is B. A choice counts a few seconds later; until then it can be undone or changed. */
import { useComputed } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { over } from "../live/store";
import { RetryBoth } from "./again";
import { triesBoth, whyNot } from "./phase";
import { strings } from "../strings";
import type { Limits } from "../live/limits";
import type { Store } from "../live/store";
import type { Winner } from "../protocol.gen";

const CHOICES: readonly Winner[] = ["a", "tie", "both_bad", "b"];

export function VoteBar({ store, limits }: { store: Store; limits: Limits }) {
  const running = useComputed(() => !over(store.view.value)).value;
  const open = useComputed(() => store.view.value.votable).value;
  const partly = useComputed(() => store.view.value.votable && whyNot(store.view.value) !== null).value;
  const again = useComputed(() => triesBoth(store.view.value, limits)).value;
  useShortcuts(store);
  const casting = store.ballot.casting.value;
  const chosen = store.ballot.chosen.value?.winner ?? casting;
  const hint = casting ? strings.voting
    : chosen ? strings.chosenUntil
    : partly ? strings.voteBefore
    : open ? strings.voteNow
    : running ? strings.voteSoon : strings.voteOpening;
  return (
    <>
      <div class="dock-hint">
        <p tabIndex={-1} data-heading>{hint}</p>
        {chosen && !casting && <Undo store={store} />}
        {!chosen && partly && again && <RetryBoth store={store} />}
        {running && (
          <button
            type="button" class="quiet stop" aria-keyshortcuts="Escape" aria-disabled={store.stopping.value}
            onClick={() => void store.stop()}
          >
            {store.stopping.value ? strings.stopping : strings.stop} <kbd aria-hidden="true">{strings.stopKey}</kbd>
          </button>
        )}
      </div>
      <div class={open ? "votes open" : "votes"} role="group" aria-label={strings.voteLabel}>
        {CHOICES.map((winner, i) => (
          <button
            key={winner} type="button" class={`vote vote-${winner}${chosen === winner ? " busy" : ""}`}
            aria-pressed={chosen === winner} aria-keyshortcuts={`Alt+${i + 1}`}
            disabled={!open} aria-disabled={casting !== null} onClick={() => store.vote(winner)}
          >
            <span>
              {winner === "a" && <span aria-hidden="true">← </span>}
              {strings.vote[winner]}
              {winner === "b" && <span aria-hidden="true"> →</span>}
            </span>{" "}
            <kbd aria-hidden="true">{strings.voteKey(i + 1)}</kbd>
          </button>
        ))}
      </div>
    </>
  );
}

function Undo({ store }: { store: Store }) {
  return (
    <>
      <button type="button" class="quiet undo" aria-keyshortcuts="Escape" onClick={() => undo(store)}>
        {strings.undo} <kbd aria-hidden="true">{strings.stopKey}</kbd>
      </button>
      <button type="button" class="quiet" onClick={() => void store.ballot.commit()}>{strings.commit}</button>
      <span key={store.ballot.chosen.value?.winner} class="fuse" aria-hidden="true" />
    </>
  );
}

/** The undo button goes with what it undoes; the focus goes to the vote that was chosen. */
function undo(store: Store): void {
  const winner = store.ballot.chosen.value?.winner;
  const held = document.activeElement?.classList.contains("undo");
  if (store.ballot.undo() && held) document.querySelector<HTMLElement>(`.vote-${winner}`)?.focus();
}

/** Alt + 1…4 votes, in the order of the bar; Escape undoes a vote that does not count yet, or else stops. */
function useShortcuts(store: Store): void {
  useEffect(() => {
    const pressed = (event: KeyboardEvent) => {
      const choice = event.altKey && !event.ctrlKey && !event.metaKey && /^(?:Digit|Numpad)([1-4])$/.exec(event.code);
      const winner = choice ? CHOICES[Number(choice[1]) - 1] : undefined;
      if (winner && store.view.value.votable) {
        event.preventDefault();
        store.vote(winner);
      } else if (event.key === "Escape" && !event.isComposing) {
        if (store.ballot.chosen.value) undo(store);
        else if (!over(store.view.value)) void store.stop();
      }
    };
    addEventListener("keydown", pressed);
    return () => removeEventListener("keydown", pressed);
  }, []);
}
