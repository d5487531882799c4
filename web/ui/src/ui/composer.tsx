/** The empty page: one prompt to write, four to borrow. */
import { Field } from "./field";
import { Named } from "./named";
import { ProblemNote } from "./problem";
import { strings } from "../strings";
import type { Limits } from "../live/limits";
import type { Store } from "../live/store";

const ID = "prompt";

export function Composer({ store, limits }: { store: Store; limits: Limits }) {
  const borrow = (prompt: string) => {
    store.warm();
    store.draft.value = prompt;
    document.getElementById(ID)?.focus();
  };
  return (
    <div class="empty" data-state="empty">
      <h1>{strings.title}</h1>
      <p class="lede">{strings.lede}</p>
      <Field
        id={ID} label={strings.promptLabel} hint={strings.promptHint} text={store.draft} limit={limits.prompt}
        rows={3} note={strings.keys} ready={!store.sending.value} focus
        action={store.sending.value ? strings.sending : strings.send}
        typed={() => store.warm()} send={(prompt) => void store.begin(prompt, store.named.value)}
      />
      <ProblemNote problem={store.problem.value} />
      <h2 class="examples-label">{strings.examplesLabel}</h2>
      <ul class="examples">
        {strings.examples.map((prompt) => (
          <li key={prompt}><button type="button" onClick={() => borrow(prompt)}>{prompt}</button></li>
        ))}
      </ul>
      <Named store={store} />
      <p class="notice">{strings.notice} <a href="/notice">{strings.noticeLink}</a></p>
    </div>
  );
}
