/** Reasons and a comment beside a vote. A reason is saved as soon as it is chosen; the vote itself never changes. */
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { Problem, remark } from "../live/api";
import { codePoints } from "../live/limits";
import { ProblemNote } from "./problem";
import { SIDE_NAME, strings } from "../strings";
import type { Reason, Remarks as Said } from "../live/api";
import type { Side } from "../protocol.gen";

const REASONS = Object.keys(strings.reasons) as Reason[];
const SIDES: readonly Side[] = ["a", "b"];
/** Room for the question beside the answers; on a smaller screen it stays folded until asked for. */
const ROOMY = "(min-width: 900px) and (min-height: 760px)";

export function Remarks({ battle, fresh, limit }: { battle: string; fresh: boolean; limit: number }) {
  const why = useSignal<Record<Side, Reason[]>>({ a: [], b: [] });
  const comment = useSignal("");
  const saved = useSignal(false);
  const problem = useSignal<Problem | null>(null);
  const take = (said: Said) => {
    why.value = { a: said.why?.a ?? [], b: said.why?.b ?? [] };
    if (said.comment) comment.value = said.comment;
  };
  const save = async (changes: Partial<Said>) => {
    saved.value = false;
    problem.value = null;
    try {
      await remark(battle, changes);
      saved.value = true;
    } catch (error) {
      problem.value = error instanceof Problem ? error : new Problem("internal", strings.unexpected, 0);
    }
  };
  // What was said on an earlier visit, lest saving one reason forgets the others.
  useEffect(() => {
    if (!fresh) void remark(battle).then(take, () => undefined);
  }, []);
  const toggle = (side: Side, reason: Reason) => {
    const held = why.value[side];
    const next = held.includes(reason) ? held.filter((r) => r !== reason) : [...held, reason];
    why.value = { ...why.value, [side]: next };
    void save({ why: why.value });
  };
  return (
    <details class="remarks" open={fresh && matchMedia(ROOMY).matches}>
      <summary>{strings.why} <small>{strings.whyHint}</small></summary>
      <div class="why">
        {SIDES.map((side) => (
          <div key={side} class={`side-${side}`} role="group" aria-labelledby={`why-${side}`}>
            <span id={`why-${side}`} class="why-of"><span class="visually-hidden">{strings.whyOf(side)}</span>
              <span class="tile" aria-hidden="true">{SIDE_NAME[side]}</span></span>
            {REASONS.map((reason) => (
              <button
                key={reason} type="button" class="chip" aria-pressed={why.value[side].includes(reason)}
                onClick={() => toggle(side, reason)}
              >
                {strings.reasons[reason]}
              </button>
            ))}
          </div>
        ))}
      </div>
      {limit > 0 && (
        <form class="comment" onSubmit={(event) => { event.preventDefault(); void save({ comment: comment.value.trim() || null }); }}>
          <label class="visually-hidden" for="comment">{strings.commentLabel}</label>
          <textarea
            id="comment" rows={1} placeholder={strings.commentHint} value={comment.value}
            onInput={(event) => { saved.value = false; comment.value = event.currentTarget.value; }}
          />
          <button type="submit" disabled={codePoints(comment.value) > limit}>
            {codePoints(comment.value) > limit ? strings.tooLong(codePoints(comment.value) - limit) : strings.saveComment}
          </button>
        </form>
      )}
      <p class="hint" role="status">{saved.value ? strings.saved : ""}</p>
      <ProblemNote problem={problem.value} />
    </details>
  );
}
