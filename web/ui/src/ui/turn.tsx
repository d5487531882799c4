/** One side's answer to one prompt. The text itself is drawn outside Preact, by the stream that all pages share. */
import { useComputed, useSignalEffect } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { enhance } from "../md/later";
import { MarkdownStream } from "../md/stream";
import { over } from "../live/store";
import { copyOnClick } from "./copy";
import { schedule } from "./frames";
import { strings } from "../strings";
import { refusal } from "../words";
import type { Limits } from "../live/limits";
import type { Store } from "../live/store";
import type { Tail } from "./tail";
import type { Side, SideView, TurnView } from "../protocol.gen";

interface Place {
  readonly store: Store;
  readonly side: Side;
  readonly index: number;
  readonly tail: Tail;
}

export function Turn({ limits, ...place }: Place & { limits: Limits }) {
  const { store, side, index } = place;
  const turn = useComputed<TurnView | null>(() => store.view.value.turns[index] ?? null);
  const view = useComputed<SideView | null>(() => turn.value?.[side] ?? null);
  const status = useComputed(() => view.value?.status ?? "waiting");
  const silent = useComputed(() => status.value === "streaming" && !view.value?.text);
  const error = useComputed(() => view.value?.error ?? null);
  const several = useComputed(() => store.view.value.turns.length > 1);
  const alone = useComputed(() => triesAlone(store, side, index, limits));
  const body = useRef<HTMLDivElement>(null);
  useDrawing(place, view, body);
  return (
    <article>
      {several.value && <h3 class="said"><span class="visually-hidden">{strings.you}: </span>{turn.value?.prompt}</h3>}
      <div class={`prose ${status.value}`} ref={body} />
      {silent.value && <p class="hint pulse">{strings.thinking}</p>}
      {error.value && (
        <div class="failure" role="alert">
          <p><strong>{strings.sideFailed}</strong> {refusal(error.value.code, error.value.message)}</p>
          {alone.value && (
            <button type="button" aria-disabled={store.sending.value} onClick={() => void store.retry(side)}>
              {strings.retrySide(side)}
            </button>
          )}
        </div>
      )}
    </article>
  );
}

/** Whether this side failed where the other one stands: then it may be tried again without the other. */
function triesAlone(store: Store, side: Side, index: number, limits: Limits): boolean {
  const view = store.view.value;
  const turn = view.turns[index];
  if (!turn || index !== view.turns.length - 1 || view.winner || turn.retry >= limits.retries) return false;
  const other = turn[side === "a" ? "b" : "a"];
  const stands = other.status === "done" && other.finish_reason !== "cancelled" && other.text.trim() !== "";
  return over(view) && stands && turn[side].error?.retryable === true;
}

/** Feed the text to its stream, one frame at a time, and tell the pane that it has grown. */
function useDrawing({ store, side, index, tail }: Place, view: { readonly value: SideView | null }, body: {
  current: HTMLDivElement | null;
}): void {
  const drawn = useRef<{ stream: MarkdownStream; length: number; generation: number; final: boolean } | null>(null);
  useEffect(() => {
    const prose = body.current;
    prose?.addEventListener("click", copyOnClick);
    tail.hold();
    return () => prose?.removeEventListener("click", copyOnClick);
  }, []);

  const draw = () => {
    if (!body.current) return;
    const now = view.value;
    const text = now?.text ?? "";
    let state = drawn.current;
    const generation = store.generation.value;
    if (!state || text.length < state.length || (state.final && text.length > state.length)
        || (state.generation !== generation && !text.startsWith(state.stream.text))) {
      state?.stream.reset();
      state = { stream: new MarkdownStream(body.current, enhance), length: 0, generation, final: false };
      drawn.current = state;
      if (index === store.view.value.turns.length - 1) tail.hold();
    }
    state.generation = generation;
    if (text.length > state.length) state.stream.push(text.slice(state.length));
    state.length = text.length;
    const { turns, state: stands } = store.view.value;
    const ended = now?.status === "done" || now?.status === "failed" || stands === "cancelled" || stands === "failed";
    if (ended || index < turns.length - 1) {
      if (!state.final) state.stream.finish();
      state.final = true;
    } else {
      state.stream.render();
    }
    body.current.toggleAttribute("data-whole", state.final);
    tail.grown(now?.status === "streaming");
  };

  useSignalEffect(() => {
    void view.value;
    void store.generation.value;
    void store.view.value.state;
    schedule(`draw-${side}-${index}`, draw);
  });
}
