/** One pane: who, how far, and what was said, turn by turn. */
import { useComputed, useSignal } from "@preact/signals";
import { useRef } from "preact/hooks";
import { copyText } from "./copy";
import { Facts } from "./facts";
import { standing } from "./phase";
import { useTail } from "./tail";
import { Turn } from "./turn";
import { strings, SIDE_NAME } from "../strings";
import type { Limits } from "../live/limits";
import type { Store } from "../live/store";
import type { Standing } from "./phase";
import type { Side, SideView } from "../protocol.gen";

interface Pane {
  readonly store: Store;
  readonly side: Side;
  readonly limits: Limits;
  /** On a narrow screen the other one is in sight. */
  readonly hidden: boolean;
}

export function Answer({ store, side, limits, hidden }: Pane) {
  const view = useComputed<SideView | null>(() => store.view.value.turns.at(-1)?.[side] ?? null);
  const status = useComputed(() => standing(store.view.value, store.view.value.turns.length - 1, side));
  const facts = useComputed(() => store.view.value.models?.[side] ?? null);
  const winner = useComputed(() => store.view.value.winner);
  const label = useComputed(() => describe(status.value, view.value));
  const hasText = useComputed(() => (view.value?.text.length ?? 0) > 0);
  const turns = useComputed(() => Math.max(1, store.view.value.turns.length));
  const scroller = useRef<HTMLDivElement>(null);
  const tail = useTail(scroller);
  const toEnd = () => {
    tail.hold();
    scroller.current?.focus({ preventScroll: true });
  };
  const chosen = winner.value === side;
  const classes = ["answer", `side-${side}`, chosen && "chosen", hidden && "other"].filter(Boolean).join(" ");
  return (
    <section class={classes} aria-labelledby={`name-${side}`}>
      <header class="answer-head">
        <span class="tile" aria-hidden="true">{SIDE_NAME[side]}</span>
        <h2 id={`name-${side}`}>
          {facts.value ? <a href={`/models/${facts.value.id}`}>{facts.value.name}</a> : strings.model(side)}
          {facts.value?.maker && <small>{facts.value.maker}</small>}
        </h2>
        {chosen && <span class="badge">{strings.chosen}</span>}
        <span class={`status ${status.value}`}>{label.value}</span>
        {hasText.value && (
          <CopyButton label={strings.copyAnswer(side)} text={() => view.value?.text ?? ""} />
        )}
      </header>
      {facts.value && <Facts facts={facts.value} now={store.uptake.ratings.value?.get(facts.value.id) ?? null} />}
      <div class="scroll" ref={scroller} tabIndex={0} role="region" aria-label={strings.answerOf(side)}>
        {Array.from({ length: turns.value }, (_, index) => (
          <Turn key={index} store={store} side={side} index={index} tail={tail} limits={limits} />
        ))}
      </div>
      {tail.away.value && (
        <button type="button" class="pill" onClick={toEnd}>{strings.jump} ↓</button>
      )}
    </section>
  );
}

function CopyButton({ label, text }: { label: string; text: () => string }) {
  const done = useSignal(false);
  const copy = async () => {
    done.value = await copyText(text());
    setTimeout(() => (done.value = false), 1_500);
  };
  return (
    <button type="button" class="quiet" aria-label={label} onClick={copy}>
      {done.value ? strings.copied : strings.copy}
    </button>
  );
}

function describe(status: Standing, side: SideView | null): string {
  if (status === "stopped") return strings.finished.cancelled;
  if (status === "failed") return strings.finished.failed;
  if (side?.finish_reason) return strings.finished[side.finish_reason];
  if (status === "streaming") return side?.text ? strings.writing : strings.thinking;
  return strings.waiting;
}
