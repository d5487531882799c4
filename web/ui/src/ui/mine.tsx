/** One's own battles: what was asked, when, and what came of it; to be read again, shared or deleted. */
import { useSignal } from "@preact/signals";
import { useRef } from "preact/hooks";
import { ProblemNote } from "./problem";
import { Share } from "./share";
import { strings } from "../strings";
import { lang, locale } from "../words";
import type { Entry } from "../live/api";
import type { List } from "../live/list";

export function Mine({ list }: { list: List }) {
  const heading = useRef<HTMLHeadingElement>(null);
  const said = useSignal("");
  const battles = list.battles.value;
  const state = battles === null ? (list.problem.value ? "problem" : "loading") : battles.length ? "list" : "none";
  const removed = () => {
    said.value = strings.removed;
    heading.current?.focus();
  };
  return (
    <div data-state={state}>
      <h1 tabIndex={-1} ref={heading}>{strings.mine.title}</h1>
      <p class="lede">{strings.mine.lede}</p>
      <p class="visually-hidden" role="status">{said.value}</p>
      <ProblemNote problem={list.problem.value} />
      {state === "problem" && (
        <p class="actions"><button type="button" onClick={() => void list.look()}>{strings.mine.again}</button></p>
      )}
      {state === "loading" && <p class="hint" role="status">{strings.mine.loading}</p>}
      {state === "none" && (
        <div class="none">
          <svg class="mark" viewBox="0 0 120 48" aria-hidden="true">
            <rect x="2" y="6" width="36" height="36" rx="6" /><path d="M48 24h24" stroke-dasharray="4 5" />
            <circle cx="100" cy="24" r="18" />
          </svg>
          <h2>{strings.mine.none}</h2>
          <p>{strings.mine.noneLede}</p>
          <a class="button primary" href="/">{strings.mine.first}</a>
        </div>
      )}
      {battles && battles.length > 0 && (
        <ol class="battles">
          {battles.map((entry) => <Row key={entry.id} entry={entry} list={list} removed={removed} />)}
        </ol>
      )}
      {list.following.value && (
        <button type="button" class="more" aria-disabled={list.busy.value} onClick={() => void list.more()}>
          {strings.mine.more}
        </button>
      )}
    </div>
  );
}

function Row({ entry, list, removed }: { entry: Entry; list: List; removed: () => void }) {
  const prompt = entry.prompt || strings.mine.untold;
  return (
    <li>
      <div class="battle-of">
        <a href={entry.url} class={entry.prompt ? "" : "untold"} lang={entry.prompt ? "" : lang}>{prompt}</a>
        <p>
          <time dateTime={entry.created_at}>{moment(entry.created_at)}</time>
          <span class={entry.votable ? "outcome open" : "outcome"}>{outcome(entry)}</span>
          {entry.turns > 1 && <span>{strings.mine.turns(entry.turns)}</span>}
          {entry.models && <span>{strings.mine.versus(entry.models.a.name, entry.models.b.name)}</span>}
          {!entry.ranked && <span>{strings.mine.unranked}</span>}
        </p>
      </div>
      <div class="row-actions">
        {entry.winner && (
          <Share battle={entry.id} shared={entry.share_id} of={prompt} />
        )}
        <Remove label={strings.mine.of(strings.remove, prompt)} remove={() => list.remove(entry.id)} removed={removed} />
      </div>
    </li>
  );
}

/** Asks once more, in place. */
function Remove({ label, remove, removed }: { label: string; remove: () => Promise<boolean>; removed: () => void }) {
  const asking = useSignal(false);
  const opener = useRef<HTMLButtonElement>(null);
  const keep = () => {
    asking.value = false;
    // The button comes back with the next drawing.
    requestAnimationFrame(() => opener.current?.focus());
  };
  const sure = async () => {
    if (await remove()) removed();
    else keep();
  };
  if (!asking.value) {
    return (
      <button type="button" ref={opener} class="quiet" aria-label={label} onClick={() => (asking.value = true)}>
        {strings.remove}
      </button>
    );
  }
  return (
    <span class="sure" role="group" aria-label={label} onKeyDown={(event) => event.key === "Escape" && keep()}>
      {strings.removeSure}
      <button type="button" ref={focus} onClick={keep}>{strings.removeNo}</button>
      <button type="button" class="fault" onClick={() => void sure()}>{strings.removeYes}</button>
    </span>
  );
}

function outcome({ winner, votable, state }: Entry): string {
  if (winner) return strings.verdict[winner];
  if (votable) return strings.mine.open;
  if (state === "queued" || state === "running") return strings.mine.running;
  return state === "cancelled" || state === "failed" ? strings.mine[state] : strings.mine.over;
}

/** One function for good: a new one each time would be called, and take the focus, at every drawing. */
function focus(element: HTMLElement | null): void {
  element?.focus();
}

const FORMAT = new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "short" });

function moment(iso: string): string {
  const at = new Date(iso);
  return Number.isNaN(at.getTime()) ? iso : FORMAT.format(at);
}
