/** A battle from its first second in line to the names. */
import { useComputed, useSignal, useSignalEffect } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { over } from "../live/store";
import { Announcer } from "./announce";
import { Answer } from "./answer";
import { Dock } from "./dock";
import { rendererLate } from "./pen";
import { stateOf } from "./phase";
import { Waiting } from "./waiting";
import { SIDE_NAME, strings } from "../strings";
import type { Limits } from "../live/limits";
import type { Store } from "../live/store";
import type { Side } from "../protocol.gen";

const SIDES: readonly Side[] = ["a", "b"];
/** A longer prompt is folded, so that the answers keep the page. */
const FOLD_CHARS = 160;

export function Battle({ store, limits }: { store: Store; limits: Limits }) {
  const shown = useSignal<Side>("a");
  const begun = useComputed(() => store.view.value.turns.at(-1)?.a.status !== "waiting"
    || store.view.value.turns.at(-1)?.b.status !== "waiting");
  const waiting = useComputed(() => !over(store.view.value) && (!store.cursor.value || !begun.value
    || store.view.value.state === "queued"));
  const state = useComputed(() => stateOf(store));
  const turns = useComputed(() => store.view.value.turns.length);
  if (store.gone.value) return <Gone store={store} why={store.gone.value} />;
  return (
    <div class="battle" data-state={state.value}>
      <Line store={store} />
      <Asked prompt={store.prompt.value} turn={turns.value} arrived={store.arrived} leave={() => store.leave()} />
      {waiting.value && <Waiting store={store} />}
      <Switch store={store} shown={shown} />
      <div class="panes" role="group" aria-label={strings.panesLabel}>
        {SIDES.map((side) => (
          <Answer
            key={`${store.battle.value}-${side}`} store={store} side={side} limits={limits}
            hidden={shown.value !== side}
          />
        ))}
      </div>
      <Dock store={store} limits={limits} />
      <Announcer store={store} />
    </div>
  );
}

/** What did not come over the line: whether that is this device's own doing, and that nothing is lost. */
function Line({ store }: { store: Store }) {
  const offline = useSignal(!navigator.onLine);
  useEffect(() => {
    const look = () => (offline.value = !navigator.onLine);
    addEventListener("online", look);
    addEventListener("offline", look);
    return () => {
      removeEventListener("online", look);
      removeEventListener("offline", look);
    };
  }, []);
  const down = useComputed(() => store.cursor.value !== null && ["down", "connecting"].includes(store.link.value));
  if (offline.value) return <p class="offline at-once" role="status">{strings.offline}</p>;
  if (down.value) return <p class="offline" role="status">{strings.reconnecting}</p>;
  return rendererLate.value ? <p class="offline">{strings.textLate}</p> : null;
}

interface Question {
  readonly prompt: string;
  readonly turn: number;
  readonly arrived: boolean;
  leave(): void;
}

function Asked({ prompt, turn, arrived, leave }: Question) {
  const open = useSignal(false);
  const heading = useRef<HTMLHeadingElement>(null);
  // The composer that held the focus is gone.
  useEffect(() => {
    if (arrived && document.activeElement === document.body) heading.current?.focus({ preventScroll: true });
  }, []);
  const long = prompt.length > FOLD_CHARS || prompt.split("\n").length > 4;
  return (
    <div class="asked">
      <h1 tabIndex={-1} ref={heading} class={long && !open.value ? "folded" : ""}>
        <span class="visually-hidden">{strings.you}: </span><span lang="">{prompt}</span>
      </h1>
      {turn > 1 && <span class="hint">{strings.turn(turn)}</span>}
      {long && (
        <button type="button" class="quiet" aria-expanded={open.value} onClick={() => (open.value = !open.value)}>
          {open.value ? strings.less : strings.more}
        </button>
      )}
      <button type="button" class="quiet new" onClick={leave}>{strings.newBattle}</button>
    </div>
  );
}

/** On a narrow screen: which pane is in sight, with a dot on the other when it has news. */
function Switch({ store, shown }: { store: Store; shown: { value: Side } }) {
  const seen = useRef<Record<Side, number>>({ a: 0, b: 0 });
  const models = useComputed(() => store.view.value.models);
  const fresh = useSignal<Record<Side, boolean>>({ a: false, b: false });
  const lengths = useComputed(() => {
    const turn = store.view.value.turns.at(-1);
    return { a: turn?.a.text.length ?? 0, b: turn?.b.text.length ?? 0 };
  });
  useSignalEffect(() => {
    const now = lengths.value;
    seen.current[shown.value] = now[shown.value];
    const next = { a: now.a > seen.current.a, b: now.b > seen.current.b };
    const old = fresh.peek();
    if (next.a !== old.a || next.b !== old.b) fresh.value = next;
  });
  return (
    <div class="switch" role="group" aria-label={strings.switchLabel}>
      {SIDES.map((side) => (
        <button
          key={side} type="button" class={`side-${side}`} aria-pressed={shown.value === side}
          onClick={() => (shown.value = side)}
        >
          <span class="tile" aria-hidden="true">{SIDE_NAME[side]}</span>
          {models.value?.[side].name ?? strings.model(side)}
          {fresh.value[side] && shown.value !== side && (
            <span class="dot"><span class="visually-hidden">{strings.newText}</span></span>
          )}
        </button>
      ))}
    </div>
  );
}

function Gone({ store, why }: { store: Store; why: string }) {
  return (
    <div class="empty" data-state="gone">
      <h1>{strings.gone}</h1>
      <p class="lede" role="alert">{why}</p>
      <p class="actions"><button type="button" class="primary" onClick={() => store.leave()}>{strings.newBattle}</button></p>
    </div>
  );
}
