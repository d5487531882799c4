/** One pane: header, the streamed text, and what becomes of it. The text itself is drawn outside Preact. */
import { useComputed, useSignal, useSignalEffect } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { enhance } from "../md/later";
import { MarkdownStream } from "../md/stream";
import { schedule } from "./frames";
import { copyText, copyOnClick } from "./copy";
import { Facts } from "./facts";
import { strings, SIDE_NAME } from "../strings";
import type { Store } from "../live/store";
import type { Side, SideView, TurnView } from "../protocol.gen";

/** Closer to the end than this counts as being there. */
const NEAR_PX = 32;

export function Answer({ store, side, hidden }: { store: Store; side: Side; hidden: boolean }) {
  const view = useComputed<SideView | null>(() => last(store)?.[side] ?? null);
  const status = useComputed(() => view.value?.status ?? "waiting");
  const facts = useComputed(() => store.view.value.models?.[side] ?? null);
  const winner = useComputed(() => store.view.value.winner);
  const error = useComputed(() => view.value?.error ?? null);
  const label = useComputed(() => describe(store.view.value.state, view.value));
  const hasText = useComputed(() => (view.value?.text.length ?? 0) > 0);
  const away = useSignal(false);
  const scroller = useRef<HTMLDivElement>(null);
  const body = useRef<HTMLDivElement>(null);
  useDrawing(store, side, view, scroller, body, away);

  const toEnd = () => {
    away.value = false;
    scroller.current?.scrollTo({ top: scroller.current.scrollHeight });
    scroller.current?.focus({ preventScroll: true });
  };
  const chosen = winner.value === side;
  const classes = ["answer", `side-${side}`, chosen && "chosen", hidden && "other"].filter(Boolean).join(" ");
  return (
    <section class={classes} aria-labelledby={`name-${side}`}>
      <header class="answer-head">
        <span class="tile" aria-hidden="true">{SIDE_NAME[side]}</span>
        <h2 id={`name-${side}`}>
          {facts.value?.name ?? strings.model(side)}
          {facts.value?.maker && <small>{facts.value.maker}</small>}
        </h2>
        {chosen && <span class="badge">{strings.chosen}</span>}
        <span class={`status ${status.value}`}>{label.value}</span>
        {hasText.value && (
          <CopyButton label={strings.copyAnswer(side)} text={() => view.value?.text ?? ""} />
        )}
      </header>
      {facts.value && <Facts facts={facts.value} />}
      <div class="scroll" ref={scroller} tabIndex={0} role="region" aria-label={strings.answerOf(side)}>
        <div class={`prose ${status.value}`} ref={body} />
        {status.value === "streaming" && !hasText.value && <p class="hint pulse">{strings.thinking}</p>}
        {error.value && (
          <p class="failure" role="alert">
            <strong>{strings.sideFailed}</strong> {error.value.message}
          </p>
        )}
      </div>
      {away.value && (
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

/** Feed the pane's text to its stream, one frame at a time, and keep the end in sight while the reader is there. */
function useDrawing(
  store: Store,
  side: Side,
  view: { readonly value: SideView | null },
  scroller: { current: HTMLDivElement | null },
  body: { current: HTMLDivElement | null },
  away: { value: boolean },
): void {
  const drawn = useRef<{ stream: MarkdownStream; length: number; generation: number; final: boolean } | null>(null);
  const pinned = useRef(true);

  useEffect(() => {
    const pane = scroller.current;
    const prose = body.current;
    if (!pane || !prose) return;
    const moved = () => {
      pinned.current = pane.scrollHeight - pane.scrollTop - pane.clientHeight < NEAR_PX;
      if (pinned.current) away.value = false;
    };
    pane.addEventListener("scroll", moved, { passive: true });
    prose.addEventListener("click", copyOnClick);
    return () => {
      pane.removeEventListener("scroll", moved);
      prose.removeEventListener("click", copyOnClick);
    };
  }, []);

  const draw = () => {
    const now = view.value;
    const pane = scroller.current;
    if (!body.current || !pane) return;
    const text = now?.text ?? "";
    let state = drawn.current;
    const generation = store.generation.value;
    if (!state || text.length < state.length || (state.final && text.length > state.length)
        || (state.generation !== generation && !continues(state.stream, text))) {
      state?.stream.reset();
      state = { stream: new MarkdownStream(body.current, enhance), length: 0, generation, final: false };
      pinned.current = true;
    }
    state.generation = generation;
    drawn.current = state;
    if (text.length > state.length) state.stream.push(text.slice(state.length));
    state.length = text.length;
    if (now?.status === "done" || now?.status === "failed" || over(store)) {
      if (!state.final) state.stream.finish();
      state.final = true;
    } else {
      state.stream.render();
    }
    if (pinned.current) pane.scrollTop = pane.scrollHeight;
    else if (now?.status === "streaming") away.value = true;
  };

  useSignalEffect(() => {
    void view.value;
    void store.generation.value;
    void store.view.value.state;
    schedule(`draw-${side}`, draw);
  });
}

function over(store: Store): boolean {
  return store.view.value.state === "cancelled" || store.view.value.state === "failed";
}

function continues(stream: MarkdownStream, text: string): boolean {
  return text.startsWith(stream.text);
}

function last(store: Store): TurnView | undefined {
  return store.view.value.turns.at(-1);
}

function describe(state: string, side: SideView | null): string {
  if (side?.finish_reason) return strings.finished[side.finish_reason];
  if (state === "cancelled") return strings.finished.cancelled;
  if (state === "failed") return strings.finished.failed;
  if (side?.status === "streaming") return side.text ? strings.writing : strings.thinking;
  return strings.waiting;
}
