/** One side's answer to one prompt. The text itself is drawn outside Preact, by the stream that all pages share. */
import { useComputed, useSignalEffect } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { over } from "../live/store";
import { copyOnClick } from "./copy";
import { schedule } from "./frames";
import { newPen, renderer } from "./pen";
import type { Pen } from "./pen";
import { standing } from "./phase";
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
  const status = useComputed(() => standing(store.view.value, index, side));
  const silent = useComputed(() => status.value === "streaming" && !view.value?.text);
  const error = useComputed(() => view.value?.error ?? null);
  const several = useComputed(() => store.view.value.turns.length > 1);
  const alone = useComputed(() => triesAlone(store, side, index, limits));
  const body = useRef<HTMLDivElement>(null);
  useDrawing(place, view, body);
  return (
    <article>
      {several.value && <h3 class="said"><span class="visually-hidden">{strings.you}: </span><span lang="">{turn.value?.prompt}</span></h3>}
      <div class={`prose ${status.value}`} lang="" ref={body} />
      {silent.value && <p class="hint pulse">{strings.thinking}</p>}
      {status.value === "stopped" && (
        <p class="hint ended">{view.value?.text ? strings.stoppedHere : strings.stoppedEarly}</p>
      )}
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

/** What of an answer is on the page, and by whom. */
interface Drawn {
  readonly pen: Pen;
  readonly drawer: typeof renderer.value;
  length: number;
  generation: number;
  final: boolean;
}

/** Whether `text` is what was drawn, and maybe more. */
function continues(drawn: Drawn, text: string, generation: number): boolean {
  if (text.length < drawn.length || (drawn.final && text.length > drawn.length)) return false;
  return drawn.generation === generation || text.startsWith(drawn.pen.text);
}

/** Feed the text to its pen, one frame at a time, and tell the pane that it has grown. */
function useDrawing({ store, side, index, tail }: Place, view: { readonly value: SideView | null }, body: {
  current: HTMLDivElement | null;
}): void {
  const drawn = useRef<Drawn | null>(null);
  useEffect(() => {
    const prose = body.current;
    prose?.addEventListener("click", copyOnClick);
    tail.hold();
    return () => prose?.removeEventListener("click", copyOnClick);
  }, []);

  const draw = () => {
    if (!body.current) return;
    const text = view.value?.text ?? "";
    const drawer = renderer.value;
    const generation = store.generation.value;
    let state = drawn.current;
    const redrawn = state !== null && state.drawer !== drawer;
    if (!state || redrawn || !continues(state, text, generation)) {
      state?.pen.reset();
      state = { pen: newPen(body.current, drawer, () => tail.grown(false)), drawer, length: 0, generation, final: false };
      drawn.current = state;
      // The same words in another dress: whoever scrolled up stays there.
      if (!redrawn && index === store.view.value.turns.length - 1) tail.hold();
    }
    state.generation = generation;
    if (text.length > state.length) state.pen.push(text.slice(state.length));
    state.length = text.length;
    const stands = standing(store.view.value, index, side);
    if (stands !== "waiting" && stands !== "streaming") {
      if (!state.final) state.pen.finish();
      state.final = true;
    } else {
      state.pen.render();
    }
    body.current.toggleAttribute("data-whole", state.final && drawer !== null);
    tail.grown(stands === "streaming");
  };

  useSignalEffect(() => {
    void view.value;
    void store.generation.value;
    void store.view.value.state;
    void renderer.value;
    schedule(`draw-${side}-${index}`, draw);
  });
}
