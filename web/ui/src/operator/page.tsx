/** The desk: workers as they are now, rulings, and the log of both. */
import { useEffect, useRef } from "preact/hooks";
import { Fleet } from "./fleet";
import { Audit, Models, Sessions, Votes } from "./lists";
import { Reason } from "./reason";
import { Worker } from "./worker";
import { words } from "./words";
import type { Desk } from "./desk";
import type { Who } from "./types";

export function DeskPage({ desk, who }: { desk: Desk; who: Who }) {
  const heading = useRef<HTMLHeadingElement>(null);
  // The form that held the focus is gone.
  useEffect(() => heading.current?.focus({ preventScroll: true }), []);
  const workers = [...desk.workers.value].sort(([one], [other]) => one.localeCompare(other));
  return (
    <>
      <header class="desk-head">
        <h1 ref={heading} tabIndex={-1}>{words.title}</h1>
        <span class={`link ${desk.link.value}`} role="status">{words.live[desk.link.value]}</span>
        <span class="who">{words.signedIn(who.name)}</span>
        <button type="button" class="small" onClick={() => void desk.signOut()}>{words.signOut}</button>
      </header>
      <p class="said" role="status">{desk.said.value}</p>
      {desk.fault.value && <p class="failure" role="alert">{desk.fault.value}</p>}
      {workers.every(([, seen]) => desk.gone(seen)) && <p class="quietly">{words.noWorker}</p>}
      {workers.length > 1 && <Fleet desk={desk} workers={workers} />}
      {workers.filter(([, seen]) => !desk.gone(seen)).map(([name, seen]) => <Worker key={name} desk={desk} seen={seen} />)}
      <Models desk={desk} />
      <Votes desk={desk} />
      <Sessions desk={desk} />
      <Audit desk={desk} />
      {desk.question.value && <Reason key={desk.question.value.title} desk={desk} question={desk.question.value} />}
    </>
  );
}
