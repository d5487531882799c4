/** The next prompt of the same battle, until its vote. It can be written while both still answer. */
import { useComputed } from "@preact/signals";
import { codePoints } from "../live/limits";
import { Field } from "./field";
import { strings } from "../strings";
import type { Limits } from "../live/limits";
import type { Store } from "../live/store";

export function Follow({ store, limits }: { store: Store; limits: Limits }) {
  const votable = useComputed(() => store.view.value.votable).value;
  const turns = useComputed(() => store.view.value.turns.length).value;
  const used = useComputed(() => store.view.value.turns.reduce((n, t) => n + codePoints(t.prompt), 0)).value;
  if (limits.turns <= 1) return null;
  if (turns >= limits.turns) return <p class="hint full">{strings.noMoreTurns(limits.turns)}</p>;
  return (
    <Field
      id="reply" label={strings.askLabel} hint={strings.askHint} text={store.reply} rows={1}
      limit={Math.max(0, Math.min(limits.prompt, limits.conversation - used))}
      note={votable ? "" : strings.askLater} ready={votable && !store.sending.value && !store.ballot.casting.value}
      action={store.sending.value ? strings.asking : strings.ask} send={(prompt) => void store.ask(prompt)}
    />
  );
}
