/** A key, once; after that the browser has a cookie and the page has nothing. */
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { Refusal } from "./api";
import { words } from "./words";
import type { Desk } from "./desk";

export function SignIn({ desk }: { desk: Desk }) {
  const field = useRef<HTMLInputElement>(null);
  const busy = useSignal(false);
  const fault = useSignal("");
  useEffect(() => field.current?.focus(), []);
  const submit = async (event: Event) => {
    event.preventDefault();
    const key = field.current?.value.trim() ?? "";
    if (!key || busy.value) return;
    busy.value = true;
    fault.value = "";
    try {
      await desk.signIn(key);
    } catch (error) {
      fault.value = error instanceof Refusal ? error.detail : String(error);
      field.current?.select();
    } finally {
      busy.value = false;
    }
  };
  return (
    <form class="sign-in" onSubmit={(event) => void submit(event)}>
      <h1>{words.title}</h1>
      <label for="key">{words.keyLabel}</label>
      <input
        id="key" ref={field} type="password" autocomplete="off" spellcheck={false} required maxLength={200}
        aria-describedby="key-hint key-note" aria-invalid={fault.value !== ""}
      />
      <p id="key-hint" class="hint"><code>{words.keyHint}</code></p>
      <button type="submit" class="primary" disabled={busy.value}>{busy.value ? words.signingIn : words.signIn}</button>
      {fault.value && <p class="failure" role="alert">{fault.value}</p>}
      <p id="key-note" class="hint">{words.keyNote}</p>
    </form>
  );
}
