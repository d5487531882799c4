/** Where prompts are written: Enter sends, Shift + Enter breaks the line, and the limit is told before it is met. */
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { codePoints } from "../live/limits";
import { strings } from "../strings";

interface Writing {
  readonly id: string;
  readonly label: string;
  readonly hint: string;
  readonly action: string;
  readonly text: { value: string };
  readonly limit: number;
  readonly rows: number;
  /** Told beside the button: the keys, or why nothing can be sent now. */
  readonly note: string;
  readonly ready: boolean;
  readonly focus?: boolean;
  typed?(): void;
  send(text: string): void;
}

export function Field({ id, label, hint, action, text, limit, rows, note, ready, focus, typed, send }: Writing) {
  const area = useRef<HTMLTextAreaElement>(null);
  const length = useSignal(0);
  length.value = codePoints(text.value);
  const over = length.value - limit;
  const blocked = !ready || over > 0 || !text.value.trim();
  const submit = () => {
    if (blocked) return;
    // Where the button takes the focus along when it goes grey, it would be lost.
    area.current?.focus({ preventScroll: true });
    send(text.value);
  };
  const pressed = (event: KeyboardEvent) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    submit();
  };
  useEffect(() => {
    if (focus) area.current?.focus();
  }, []);
  useEffect(() => fit(area.current, rows), [text.value]);
  return (
    <form class="composer" onSubmit={(event) => { event.preventDefault(); submit(); }}>
      <label class="visually-hidden" for={id}>{label}</label>
      <textarea
        id={id} ref={area} rows={rows} placeholder={hint} value={text.value}
        onInput={(event) => { typed?.(); text.value = event.currentTarget.value; }} onKeyDown={pressed}
        aria-describedby={`${id}-note ${id}-count`} aria-invalid={over > 0}
      />
      <div class="composer-foot">
        <span id={`${id}-note`} class="keys">{note}</span>
        <span id={`${id}-count`} class={over > 0 ? "count over" : "count"}>{counted(length.value, limit)}</span>
        <button type="submit" class="primary" disabled={blocked}>{action}</button>
      </div>
    </form>
  );
}

function counted(used: number, limit: number): string {
  if (used > limit) return strings.tooLong(used - limit);
  return used ? strings.count(used, limit) : "";
}

/** For browsers without `field-sizing`. */
function fit(area: HTMLTextAreaElement | null, least: number): void {
  if (!area) return;
  const lines = area.value.split("\n").length + Math.floor(area.value.length / 90);
  area.rows = Math.min(least + 10, Math.max(least, lines));
}
