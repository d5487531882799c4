/** What operators rule about, and what they did. */
import type { ComponentChildren } from "preact";
import { Table } from "./table";
import { moment, short, words } from "./words";
import type { Desk } from "./desk";
import type { List } from "./list";
import type { Standing, Vote, Voter } from "./types";

export function Models({ desk }: { desk: Desk }) {
  const rule = (m: Standing, title: string, what: string, minutes = false) => () =>
    desk.rule(`${title} ${m.id}`, `/models/${encodeURIComponent(m.id)}/${what}`, { minutes });
  return (
    <Listed name={words.models} head={words.modelHead} empty="" list={desk.models}>
      {desk.models.rows.value.map((m) => (
        <tr key={m.id}>
          <th scope="row">{m.id}</th>
          <td>{m.takes_part ? words.yes : m.out_until && m.enabled ? words.until(moment(m.out_until)) : words.no}</td>
          <td class="long">{m.takes_part ? "" : m.reason}</td>
          <td class="buttons">
            {m.takes_part
              ? <>
                <Do label={`${words.disable} ${m.id}`} act={rule(m, words.disable, "disable")}>{words.disable}</Do>
                <Do label={`${words.timeOut} ${m.id}`} act={rule(m, words.timeOut, "time_out", true)}>{words.timeOut}</Do>
              </>
              : <Do label={`${words.enable} ${m.id}`} act={rule(m, words.enable, "enable")}>{words.enable}</Do>}
          </td>
        </tr>
      ))}
    </Listed>
  );
}

export function Votes({ desk }: { desk: Desk }) {
  const row = (vote: Vote) => {
    const flagged = vote.reasons.includes("flagged");
    const [title, what] = flagged ? [words.unflag, "unflag"] : [words.flag, "flag"];
    const label = words.flagOf(title, vote.id);
    return (
      <tr key={vote.id}>
        <th scope="row" class="number">{vote.id}</th>
        <td>{moment(vote.created_at)}</td>
        <td>{vote.model_a}</td>
        <td>{vote.model_b}</td>
        <td>{words.winner[vote.winner] ?? vote.winner}</td>
        <td>{vote.counted ? words.yes : `${words.no}: ${vote.reasons.join(", ")}`}</td>
        <td><code>{short(vote.owner)}</code></td>
        <td class="buttons"><Do label={label} act={() => desk.rule(label, `/votes/${vote.id}/${what}`)}>{title}</Do></td>
      </tr>
    );
  };
  return (
    <Listed name={words.votes} head={words.voteHead} empty={words.noVotes} list={desk.votes}>
      {desk.votes.rows.value.map(row)}
    </Listed>
  );
}

export function Sessions({ desk }: { desk: Desk }) {
  const row = (voter: Voter) => {
    const [title, what] = voter.quarantined_at ? [words.release, "release"] : [words.quarantine, "quarantine"];
    const label = `${title} ${short(voter.owner)}`;
    return (
      <tr key={voter.owner}>
        <th scope="row"><code>{short(voter.owner)}</code></th>
        <td class="number">{voter.votes}</td>
        <td class="number">{voter.counted}</td>
        <td>{moment(voter.newest_vote_at)}</td>
        <td class="long">{voter.quarantined_at ? `${moment(voter.quarantined_at)}: ${voter.reason}` : words.no}</td>
        <td class="buttons"><Do label={label} act={() => desk.rule(label, `/sessions/${voter.owner}/${what}`)}>{title}</Do></td>
      </tr>
    );
  };
  return (
    <Listed name={words.sessions} head={words.sessionHead} empty={words.noSessions} list={desk.sessions}>
      {desk.sessions.rows.value.map(row)}
    </Listed>
  );
}

export function Audit({ desk }: { desk: Desk }) {
  return (
    <Listed name={words.audit} head={words.auditHead} empty={words.noAudit} list={desk.audit}>
      {desk.audit.rows.value.map((line) => (
        <tr key={`${line.at} ${line.action} ${line.target} ${line.worker}`}>
          <td>{moment(line.at)}</td>
          <td>{line.by}</td>
          <th scope="row">{line.action}</th>
          <td>{line.target && <code>{short(line.target)}</code>} {line.worker}</td>
          <td class="long">{line.detail ? `${line.outcome}: ${line.detail}` : line.outcome}</td>
          <td class="long">{line.reason}</td>
        </tr>
      ))}
    </Listed>
  );
}

interface ListedProps<T> {
  name: string;
  head: readonly string[];
  empty: string;
  list: List<T>;
  children: ComponentChildren[];
}

function Listed<T>({ name, head, empty, list, children }: ListedProps<T>) {
  return (
    <section aria-label={name}>
      <h2>{name}</h2>
      <Table name={name} head={head} empty={list.read.value ? empty : "…"}>{children}</Table>
      {list.next.value !== null && (
        <button type="button" class="small" aria-label={`${words.more}: ${name}`} onClick={() => void list.older()}>{words.more}</button>
      )}
    </section>
  );
}

function Do({ label, act, children }: { label: string; act: () => void; children: ComponentChildren }) {
  return <button type="button" class="small" aria-label={label} onClick={act}>{children}</button>;
}
