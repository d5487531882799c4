/** Following the end of a pane: as long as the reader is there, and no longer once they scroll up. */
import { useSignal } from "@preact/signals";
import { useEffect, useMemo } from "preact/hooks";

/** Closer to the end than this counts as being there. */
const NEAR_PX = 32;

export interface Tail {
  /** There is more below than the reader sees, and it grows. */
  readonly away: { value: boolean };
  /** Go where the end is, and stay there. */
  hold(): void;
  /** The pane has grown, or will not any more. */
  grown(growing: boolean): void;
}

export function useTail(pane: { current: HTMLElement | null }): Tail {
  const away = useSignal(false);
  const tail = useMemo(() => {
    const state = { pinned: true };
    const toEnd = () => {
      if (pane.current) pane.current.scrollTop = pane.current.scrollHeight;
    };
    return {
      away,
      state,
      hold: () => {
        state.pinned = true;
        away.value = false;
        toEnd();
      },
      grown: (growing: boolean) => {
        if (state.pinned) toEnd();
        else if (growing) away.value = true;
      },
    };
  }, []);
  useEffect(() => {
    const scroller = pane.current;
    if (!scroller) return;
    const moved = () => {
      tail.state.pinned = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < NEAR_PX;
      if (tail.state.pinned) away.value = false;
    };
    scroller.addEventListener("scroll", moved, { passive: true });
    return () => scroller.removeEventListener("scroll", moved);
  }, []);
  return tail;
}
