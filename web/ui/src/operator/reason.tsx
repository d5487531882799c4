/** Before a ruling: why. The answer goes to the audit log. */
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { words } from "./words";
import type { Desk, Question } from "./desk";

export function Reason({ desk, question }: { desk: Desk; question: Question }) {
  const box = useRef<HTMLDialogElement>(null);
  const reason = useSignal("");
  const minutes = useSignal("60");
  useEffect(() => box.current?.showModal(), []);
  const close = () => (desk.question.value = null);
  const submit = (event: Event) => {
    event.preventDefault();
    if (!reason.value.trim()) return;
    close();
    void question.act(reason.value.trim(), Number(minutes.value));
  };
  return (
    <dialog ref={box} aria-labelledby="reason-title" onClose={close}>
      <form onSubmit={submit}>
        <h2 id="reason-title">{question.title}</h2>
        {question.minutes && (
          <>
            <label for="minutes">{words.minutes}</label>
            <input
              id="minutes" type="number" min="1" max="525600" required value={minutes.value}
              onInput={(event) => (minutes.value = event.currentTarget.value)}
            />
          </>
        )}
        <label for="reason">{words.reason}</label>
        <input
          id="reason" type="text" maxLength={200} required value={reason.value} aria-describedby="reason-note"
          onInput={(event) => (reason.value = event.currentTarget.value)}
        />
        <p id="reason-note" class="hint">{question.note}</p>
        <p class="buttons">
          <button type="submit" class="primary">{words.confirm}</button>
          <button type="button" onClick={() => box.current?.close()}>{words.back}</button>
        </p>
      </form>
    </dialog>
  );
}
