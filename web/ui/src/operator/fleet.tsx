/** All workers at one glance, once there are several: what each holds and does, and the button that takes one out. */
import { Table } from "./table";
import { seconds, words } from "./words";
import type { Desk, Seen } from "./desk";
import type { Board } from "./types";

const HELD: readonly string[] = ["ready", "draining"];

export function Fleet({ desk, workers }: { desk: Desk; workers: readonly (readonly [string, Seen])[] }) {
  return (
    <section aria-label={words.workers}>
      <h2>{words.workers}</h2>
      <Table name={words.allWorkers} head={words.workerHead} empty="">
        {workers.map(([name, seen]) => <Row key={name} desk={desk} seen={seen} />)}
      </Table>
    </section>
  );
}

/** What a silent one last said of itself is not told as if it were so. */
function Row({ desk, seen }: { desk: Desk; seen: Seen }) {
  const { board } = seen;
  const silent = desk.silentFor(seen) > 0;
  const [path, name] = board.accepting ? ["/drain", words.drain] : ["/resume", words.resume];
  return (
    <tr>
      <th scope="row">{desk.gone(seen) ? board.worker : <a href={`#${anchor(board.worker)}`}>{board.worker}</a>}</th>
      <td><Standing desk={desk} seen={seen} /></td>
      <td>{silent ? "–" : resident(board)}</td>
      <td class="number">{silent ? "–" : board.engines.running}</td>
      <td class="number">{silent ? "–" : board.queue.waiting}</td>
      <td>{silent || !board.queue.waiting ? "–" : seconds(board.queue.oldest_s)}</td>
      <td class="buttons">
        <button
          type="button" class="small" aria-label={words.commandTo(name, board.worker)}
          disabled={desk.busy.value || silent} onClick={() => void desk.command(board.worker, path)}
        >
          {name}
        </button>
      </td>
    </tr>
  );
}

/** Whether a worker takes battles, or how long nothing was heard of it. */
export function Standing({ desk, seen }: { desk: Desk; seen: Seen }) {
  const silent = desk.silentFor(seen);
  if (desk.gone(seen)) return <span class="tag bad">{words.workerGone(seconds(silent))}</span>;
  if (silent > 0) return <span class="tag bad">{words.workerSilent(silent)}</span>;
  if (seen.board.accepting) return <span class="tag good">{words.accepting}</span>;
  return <span class="tag bad">{words.notAccepting}</span>;
}

/** Where on the page a worker's own section is. */
export function anchor(worker: string): string {
  return `worker-${encodeURIComponent(worker)}`;
}

function resident(board: Board): string {
  const models = Object.entries(board.engines.engines).filter(([, engine]) => HELD.includes(engine.state));
  return models.map(([model]) => model).join(", ") || "–";
}
