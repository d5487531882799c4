/** The foot of a battle: stop it, judge it, or learn why it cannot be judged and what to do instead. */
import { useComputed } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { over } from "../live/store";
import { ProblemNote } from "./problem";
import { strings } from "../strings";
import type { Store } from "../live/store";
import type { BattleView, Winner } from "../protocol.gen";

/** In the order of the page: left is A, right is B. */
const CHOICES: readonly Winner[] = ["a", "tie", "both_bad", "b"];

export function Dock({ store }: { store: Store }) {
  const phase = useComputed(() => phaseOf(store.view.value));
  return (
    <div class="dock">
      <ProblemNote problem={store.problem.value} />
      {phase.value === "voted" ? <Verdict store={store} />
        : phase.value === "void" ? <Void store={store} />
        : <VoteBar store={store} open={phase.value === "votable"} />}
    </div>
  );
}

type Phase = "running" | "ended" | "votable" | "voted" | "void";

function phaseOf(view: BattleView): Phase {
  if (view.models) return "voted";
  if (view.votable) return "votable";
  if (!over(view)) return "running";
  return whyNot(view) === null ? "ended" : "void";
}

function VoteBar({ store, open }: { store: Store; open: boolean }) {
  const running = useComputed(() => !over(store.view.value));
  useShortcuts(store);
  const busy = store.voting.value;
  const hint = busy ? strings.voting : open ? strings.voteNow : running.value ? strings.voteSoon : strings.voteOpening;
  return (
    <>
      <p class="dock-hint">
        <span>{hint}</span>
        {open && <kbd class="keys">{strings.voteKeys}</kbd>}
        {running.value && (
          <button type="button" class="quiet stop" disabled={store.stopping.value} onClick={() => void store.stop()}>
            {store.stopping.value ? strings.stopping : strings.stop}
          </button>
        )}
      </p>
      <div class={open ? "votes open" : "votes"} role="group" aria-label={strings.voteLabel}>
        {CHOICES.map((winner) => (
          <button
            key={winner} type="button" class={`vote vote-${winner}${busy === winner ? " busy" : ""}`}
            disabled={!open || busy !== null} onClick={() => void store.vote(winner)}
          >
            {winner === "a" && <span aria-hidden="true">← </span>}
            {strings.vote[winner]}
            {winner === "b" && <span aria-hidden="true"> →</span>}
          </button>
        ))}
      </div>
    </>
  );
}

function Verdict({ store }: { store: Store }) {
  const heading = useRef<HTMLHeadingElement>(null);
  // The button that was pressed is gone: without this, focus would fall back to the top of the page.
  useEffect(() => heading.current?.focus({ preventScroll: true }), []);
  const { winner, models } = store.view.value;
  return (
    <div class="verdict">
      <div>
        <h2 ref={heading} tabIndex={-1}>{winner && strings.verdict[winner]}</h2>
        <p>{models && strings.versus(models.a.name, models.b.name)} {strings.counted}</p>
      </div>
      <div class="actions">
        <a class="button" href="/leaderboard">{strings.board}</a>
        <Again store={store} label={strings.again} />
        <button type="button" class="primary" onClick={() => store.leave()}>{strings.newBattle}</button>
      </div>
    </div>
  );
}

function Void({ store }: { store: Store }) {
  return (
    <div class="verdict">
      <p role="alert">{whyNot(store.view.value)}</p>
      <div class="actions">
        <button type="button" onClick={() => store.leave()}>{strings.newBattle}</button>
        <Again store={store} label={strings.retry} primary />
      </div>
    </div>
  );
}

function Again({ store, label, primary }: { store: Store; label: string; primary?: boolean }) {
  const prompt = store.prompt.value;
  return (
    <button
      type="button" class={primary ? "primary" : ""} disabled={store.sending.value}
      onClick={() => void store.begin(prompt)}
    >
      {store.sending.value ? strings.sending : label}
    </button>
  );
}

/** Why a battle that is over will never be open to a vote, or null when it may yet be. */
function whyNot(view: BattleView): string | null {
  const turn = view.turns.at(-1);
  if (view.state === "cancelled") {
    return view.cancelled_by === "operator" ? strings.noVote.operator(view.cancel_reason) : strings.noVote.cancelled;
  }
  if (view.state === "failed") return view.error?.message ?? strings.noVote.failed;
  for (const side of ["a", "b"] as const) {
    if (turn?.[side].status === "failed") return strings.noVote.side(side);
  }
  if (turn?.a.finish_reason === "cancelled" || turn?.b.finish_reason === "cancelled") return strings.noVote.cancelled;
  const both = turn?.a.status === "done" && turn.b.status === "done";
  return both && !(turn.a.text.trim() && turn.b.text.trim()) ? strings.noVote.empty : null;
}

/** Alt + 1…4 votes, in the order of the bar; Escape stops. */
function useShortcuts(store: Store): void {
  useEffect(() => {
    const pressed = (event: KeyboardEvent) => {
      const choice = event.altKey && !event.ctrlKey && !event.metaKey && /^(?:Digit|Numpad)([1-4])$/.exec(event.code);
      const winner = choice ? CHOICES[Number(choice[1]) - 1] : undefined;
      if (winner && store.view.value.votable) {
        event.preventDefault();
        void store.vote(winner);
      } else if (event.key === "Escape" && !over(store.view.value)) {
        void store.stop();
      }
    };
    addEventListener("keydown", pressed);
    return () => removeEventListener("keydown", pressed);
  }, []);
}
