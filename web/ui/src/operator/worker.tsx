/** One worker: what it does, what its engines hold, who waits, and the commands it understands. */
import { useSignal } from "@preact/signals";
import { anchor, Standing } from "./fleet";
import { Table } from "./table";
import { seconds, short, words } from "./words";
import type { Desk, Seen } from "./desk";
import type { Board, Engine, Ledger, Work } from "./types";

interface Props {
  desk: Desk;
  board: Board;
}

export function Worker({ desk, seen }: { desk: Desk; seen: Seen }) {
  const { board } = seen;
  return (
    <section class="worker" id={anchor(board.worker)} aria-label={board.worker}>
      <header>
        <h2>{board.worker}</h2>
        <Standing desk={desk} seen={seen} />
      </header>
      {desk.silentFor(seen) > 0 && <p class="quietly">{words.asItWas}</p>}
      <Figures board={board} />
      <Whole desk={desk} board={board} />
      <h3>{words.engines}</h3>
      <Engines desk={desk} board={board} />
      <h3>{words.queue}</h3>
      <Table name={words.queue} head={words.queueHead} empty={words.nobodyWaits}>
        {board.queue.line.map((group) => (
          <tr key={group.models}>
            <td class="number">{group.place}</td>
            <th scope="row">{group.models}</th>
            <td class="number">{group.waiting}</td>
            <td>{seconds(group.oldest_s)}</td>
            <td>{seconds(group.eta_s)}</td>
            <td>{seconds(group.starts_within_s)}</td>
          </tr>
        ))}
      </Table>
      <h3>{words.battles}</h3>
      <Battles desk={desk} board={board} />
      <h3>{words.chats}</h3>
      <Chats board={board} />
      <h3>{words.operations}</h3>
      <Table name={words.operations} head={words.operationHead} empty={words.noOperations}>
        {[...board.operations].reverse().map((o) => (
          <tr key={o.operation}>
            <td>{new Date(o.asked).toLocaleTimeString("en-GB")}</td>
            <th scope="row">{o.command}</th>
            <td>{o.state}</td>
            <td class="long">{o.detail}</td>
          </tr>
        ))}
      </Table>
    </section>
  );
}

function Figures({ board }: { board: Board }) {
  const work = Object.values(board.throughput);
  const sum = (of: (w: Work) => number) => work.reduce((total, w) => total + of(w), 0);
  const rows: [string, string][] = [
    [words.running, String(board.engines.running)],
    [words.waiting, String(board.queue.waiting)],
    [words.oldest, board.queue.waiting ? seconds(board.queue.oldest_s) : "–"],
    [words.answers, String(sum((w) => w.answers))],
    [words.tokens, sum((w) => w.tokens).toLocaleString("en")],
    [words.failures, String(sum((w) => failures(w)))],
  ];
  return (
    <dl class="figures">
      {rows.map(([name, value]) => <div key={name}><dt>{name}</dt><dd>{value}</dd></div>)}
      {board.memory.device && <Memory name={words.device} ledger={board.memory.device} />}
      <Memory name={words.host} ledger={board.memory.host} />
    </dl>
  );
}

function Memory({ name, ledger }: { name: string; ledger: Ledger }) {
  return (
    <div>
      <dt>{name}</dt>
      <dd>
        {words.reserved(ledger.reserved, ledger.budget)}
        {ledger.budget_bytes !== null && (
          <meter aria-label={name} min={0} max={ledger.budget_bytes} value={ledger.reserved_bytes} />
        )}
      </dd>
    </div>
  );
}

function Whole({ desk, board }: Props) {
  const capacity = useSignal("");
  const field = `capacity-${board.worker}`;
  const give = (path: string, body?: unknown) => void desk.command(board.worker, path, body);
  const set = (event: Event) => {
    event.preventDefault();
    give("/set_capacity", { capacity: Number(capacity.value || board.engines.capacity) });
    capacity.value = "";
  };
  return (
    <div class="buttons">
      <button type="button" disabled={desk.busy.value} onClick={() => give("/drain")}>{words.drain}</button>
      <button type="button" disabled={desk.busy.value} onClick={() => give("/resume")}>{words.resume}</button>
      <button type="button" disabled={desk.busy.value} onClick={() => give("/reload_catalog")}>{words.reload}</button>
      <form class="inline" onSubmit={set}>
        <label for={field}>{words.capacity}</label>
        <input
          id={field} type="number" min="1" max="1000" value={capacity.value || String(board.engines.capacity)}
          onInput={(event) => (capacity.value = event.currentTarget.value)}
        />
        <button type="submit" disabled={desk.busy.value}>{words.set}</button>
      </form>
    </div>
  );
}

function Engines({ desk, board }: Props) {
  const rows = Object.entries(board.engines.engines);
  return (
    <Table name={words.engines} head={words.engineHead} empty="">
      {rows.map(([model, engine]) => {
        const work = board.throughput[model];
        const failed = (work ? failures(work) : 0);
        return (
          <tr key={model}>
            <th scope="row">{model}{engine.pinned && <span class="tag">{words.pinned}</span>}{engine.remote && <span class="tag">{words.remote}</span>}</th>
            <td class={`state ${engine.state}`}>
              {engine.state}{engine.tier ? ` (${engine.tier})` : ""}
              {engine.why && <small>{words.failing(Math.round(engine.failed_for_s ?? 0), engine.why)}</small>}
              {engine.retiring && <small>{engine.retiring}</small>}
            </td>
            <td class="number">{words.seats(engine.leases, engine.seats)}</td>
            <td>{engine.reserved}</td>
            <td>{words.lately(work?.answers ?? 0, work?.tokens_per_s ?? null)}</td>
            <td class="number">{failed}</td>
            <td class="buttons">
              {commands(engine).map((command) => (
                <button
                  key={command} type="button" class="small" aria-label={words.commandOf(command, model)} disabled={desk.busy.value}
                  onClick={() => void desk.command(board.worker, `/engines/${encodeURIComponent(model)}/${command}`, command === "sleep" ? {} : undefined)}
                >
                  {words.command[command]}
                </button>
              ))}
            </td>
          </tr>
        );
      })}
    </Table>
  );
}

function failures(work: Work): number {
  return Object.values(work.failures).reduce((total, n) => total + n, 0);
}

/** Those that can make a difference in this state; the worker refuses the rest in words. */
function commands(engine: Engine): string[] {
  const there = ["ready", "draining"].includes(engine.state);
  const first = there ? ["unload", "sleep"] : engine.state === "sleeping" ? ["wake", "unload"] : ["load"];
  return [...first, engine.pinned ? "unpin" : "pin"];
}

function Chats({ board }: { board: Board }) {
  return (
    <Table name={words.chats} head={words.chatHead} empty={words.noChats}>
      {Object.entries(board.chats ?? {}).map(([id, chat]) => (
        <tr key={id}>
          <th scope="row"><code>{short(id)}</code></th>
          <td>{chat.model}</td>
          <td>{chat.state}</td>
          <td>{seconds(chat.age_s)}</td>
        </tr>
      ))}
    </Table>
  );
}

function Battles({ desk, board }: Props) {
  const rows = Object.entries(board.battles);
  return (
    <Table name={words.battles} head={words.battleHead} empty={words.noBattles}>
      {rows.map(([task, battle]) => {
        const id = task.slice(0, task.lastIndexOf("."));
        const cancel = () => desk.rule(words.cancelOf(short(id)), `/battles/${id}/cancel`, { note: words.cancelNote });
        return (
          <tr key={task}>
            <th scope="row"><code>{short(id)}</code></th>
            <td>{battle.a} + {battle.b}</td>
            <td>{battle.state}</td>
            <td>{seconds(battle.age_s)}</td>
            <td class="buttons">
              <button type="button" class="small" aria-label={words.cancelOf(short(id))} onClick={cancel}>{words.cancel}</button>
            </td>
          </tr>
        );
      })}
    </Table>
  );
}
