/** The empty page: one prompt to write, four to borrow. */
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { ProblemNote } from "./problem";
import { strings } from "../strings";
import type { Store } from "../live/store";

/** The count shows once this share of the limit is used. */
const NEARLY = 0.8;

export function Composer({ store, limit }: { store: Store; limit: number }) {
  const area = useRef<HTMLTextAreaElement>(null);
  const length = useSignal(0);
  length.value = codePoints(store.draft.value);
  const over = length.value - limit;
  const blocked = store.sending.value || over > 0 || !store.draft.value.trim();
  const submit = () => {
    if (!blocked) void store.begin(store.draft.value);
  };
  const typed = (event: InputEvent) => {
    store.warm();
    store.draft.value = (event.currentTarget as HTMLTextAreaElement).value;
  };
  const pressed = (event: KeyboardEvent) => {
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    submit();
  };
  const borrow = (prompt: string) => {
    store.warm();
    store.draft.value = prompt;
    area.current?.focus();
  };
  useEffect(() => area.current?.focus(), []);
  useEffect(() => fit(area.current), [store.draft.value]);

  return (
    <div class="empty">
      <h1>{strings.title}</h1>
      <p class="lede">{strings.lede}</p>
      <form class="composer" onSubmit={(event) => { event.preventDefault(); submit(); }}>
        <label class="visually-hidden" for="prompt">{strings.promptLabel}</label>
        <textarea
          id="prompt" ref={area} rows={3} placeholder={strings.promptHint} value={store.draft.value}
          onInput={typed} onKeyDown={pressed} aria-describedby="prompt-keys prompt-count"
          aria-invalid={over > 0}
        />
        <div class="composer-foot">
          <span id="prompt-keys" class="keys">{strings.keys}</span>
          <span id="prompt-count" class={over > 0 ? "count over" : "count"}>{counted(length.value, limit)}</span>
          <button type="submit" class="primary" disabled={blocked}>
            {store.sending.value ? strings.sending : strings.send}
          </button>
        </div>
      </form>
      <ProblemNote problem={store.problem.value} />
      <h2 class="examples-label">{strings.examplesLabel}</h2>
      <ul class="examples">
        {strings.examples.map((prompt) => (
          <li key={prompt}><button type="button" onClick={() => borrow(prompt)}>{prompt}</button></li>
        ))}
      </ul>
      <p class="notice">{strings.notice} <a href="/notice">{strings.noticeLink}</a></p>
    </div>
  );
}

function counted(used: number, limit: number): string {
  if (used > limit) return strings.tooLong(used - limit);
  if (used < limit * NEARLY) return "";
  return strings.count(used, limit);
}

/** Characters as the server counts them; JavaScript's length counts some twice. */
export function codePoints(text: string): number {
  let n = 0;
  for (const _ of text) n += 1;
  return n;
}

function fit(area: HTMLTextAreaElement | null): void {
  if (!area) return;
  area.rows = Math.min(14, Math.max(3, area.value.split("\n").length + Math.floor(area.value.length / 90)));
}

