/** Showing a voted battle to others: an address, a way to copy it, and a way to take it back. */
import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { Problem, shareBattle, unshareBattle } from "../live/api";
import { copyText } from "./copy";
import { ProblemNote } from "./problem";
import { strings } from "../strings";

interface Sharing {
  readonly battle: string;
  /** Under which id it is shared already. */
  readonly shared?: string | null;
  /** Where the page has several of these: which battle it is about. */
  readonly of?: string;
}

export function Share({ battle, shared, of }: Sharing) {
  const address = useSignal<string | null>(null);
  const known = useSignal(Boolean(shared));
  const copied = useSignal(false);
  const problem = useSignal<Problem | null>(null);
  const field = useRef<HTMLInputElement>(null);
  const opener = useRef<HTMLButtonElement>(null);
  const attempt = async (command: () => Promise<void>) => {
    problem.value = null;
    await command().catch((error: unknown) => {
      problem.value = error instanceof Problem ? error : new Problem("internal", strings.unexpected, 0);
    });
  };
  const share = () => attempt(async () => {
    address.value = new URL(await shareBattle(battle), location.href).href;
    known.value = true;
  });
  const unshare = () => attempt(async () => {
    await unshareBattle(battle);
    address.value = null;
    known.value = false;
    opener.current?.focus();
  });
  const copy = async () => {
    copied.value = await copyText(address.value ?? "");
    setTimeout(() => (copied.value = false), 1_500);
  };
  useEffect(() => {
    if (address.value) field.current?.select();
  }, [address.value]);
  const word = known.value ? strings.shared : strings.share;
  return (
    <div class="share">
      <button
        type="button" ref={opener} class={of ? "quiet" : ""} aria-expanded={address.value !== null}
        aria-label={of && strings.mine.of(word, of)} onClick={() => (address.value ? (address.value = null) : void share())}
      >
        {word}
      </button>
      {address.value && (
        <div class="share-panel" role="group" aria-label={strings.share}>
          <label for={`address-${battle}`}>{strings.shareLabel}</label>
          <input id={`address-${battle}`} ref={field} readOnly value={address.value} />
          <button type="button" class="primary" onClick={() => void copy()}>
            {copied.value ? strings.copied : strings.copyLink}
          </button>
          <button type="button" onClick={() => void unshare()}>{strings.unshare}</button>
        </div>
      )}
      <ProblemNote problem={problem.value} />
    </div>
  );
}
