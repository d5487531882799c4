/**
 * The page's state: which battle is shown, what is known of it, and what the person asked for.
 *
 * Everything is a signal; components read them and call the methods. Views come from the socket alone; a reply by
 * REST is folded like the events that will follow it, so whichever arrives first shows and the other changes nothing.
 */
import { computed, signal } from "@preact/signals";
import { beginBattle, cancelBattle, castVote, newKey, Problem } from "./api";
import { accept } from "./cursor";
import type { Cursor } from "./cursor";
import { EMPTY_VIEW, fold } from "./fold";
import { Link } from "./socket";
import type { LinkState } from "./socket";
import { strings } from "../strings";
import type { BattleView, ServerFrame, Winner } from "../protocol.gen";

/** After these, text on screen may not be what the new text continues. */
const ANEW: ReadonlySet<string> = new Set(["snapshot", "battle.restarted", "turn.retried", "turn.started", "batch"]);

export class Store {
  /** The battle shown, or null on the empty page. */
  readonly battle = signal<string | null>(null);
  readonly cursor = signal<Cursor | null>(null);
  readonly link = signal<LinkState>("idle");
  readonly draft = signal("");
  readonly sending = signal(false);
  readonly stopping = signal(false);
  readonly voting = signal<Winner | null>(null);
  /** Why the last command failed. */
  readonly problem = signal<Problem | null>(null);
  /** The battle cannot be shown: not found, not ours, or the session is gone. */
  readonly gone = signal<string | null>(null);
  /** Counts views that did not continue the one before: text on screen may have to be drawn anew. */
  readonly generation = signal(0);

  /** The prompt of a battle begun here, shown until the first message tells it. */
  private readonly sent = signal("");
  readonly view = computed<BattleView>(() => this.cursor.value?.view ?? EMPTY_VIEW);
  readonly prompt = computed(() => this.view.value.turns.at(-1)?.prompt ?? this.sent.value);

  private readonly line: Link;
  private voteKey = newKey();
  /** A subscription was sent and not yet answered: until then, what comes belongs to an older one. */
  private awaiting = false;

  constructor(socketUrl: string) {
    this.line = new Link(socketUrl, {
      opened: () => this.subscribe(),
      frame: (frame) => this.take(frame),
      state: (state) => (this.link.value = state),
    });
  }

  /** Begin a battle; the draft stays until the server has taken it. Returns whether it has. */
  async begin(prompt: string): Promise<boolean> {
    if (this.sending.value || !prompt.trim()) return false;
    this.sending.value = true;
    this.problem.value = null;
    try {
      const { id, url } = await beginBattle(prompt);
      this.draft.value = "";
      history.pushState(null, "", url);
      this.watch(id, prompt);
      return true;
    } catch (error) {
      this.problem.value = asProblem(error);
      return false;
    } finally {
      this.sending.value = false;
    }
  }

  /** Show a battle: follow it from its beginning, or from wherever it is by now. */
  watch(id: string, prompt = ""): void {
    this.forget();
    this.battle.value = id;
    this.sent.value = prompt;
    if (this.link.value === "open") this.subscribe();
    else this.line.start();
  }

  /** Somebody is writing: have the line open by the time there is something to hear. */
  warm(): void {
    this.line.start();
  }

  /** Back to the empty page. */
  leave(): void {
    this.forget();
    if (location.pathname !== "/") history.pushState(null, "", "/");
  }

  async stop(): Promise<void> {
    const id = this.battle.value;
    if (!id || this.stopping.value) return;
    this.stopping.value = true;
    await this.attempt(() => cancelBattle(id));
    // Stays "stopping" until the event arrives; a refusal is shown, and the button works again.
    if (this.problem.value) this.stopping.value = false;
  }

  async vote(winner: Winner): Promise<void> {
    const id = this.battle.value;
    if (!id || this.voting.value || !this.view.value.votable) return;
    this.voting.value = winner;
    await this.attempt(async () => {
      const voted = await castVote(id, winner, this.voteKey);
      const cursor = this.cursor.value;
      if (cursor?.battle !== id) return;
      const view = fold(fold(cursor.view, { type: "battle.voted", winner: voted.winner }), {
        type: "battle.revealed",
        models: voted.models,
      });
      this.cursor.value = { ...cursor, view };
    });
    this.voting.value = null;
  }

  private async attempt(command: () => Promise<unknown>): Promise<void> {
    this.problem.value = null;
    try {
      await command();
    } catch (error) {
      this.problem.value = asProblem(error);
    }
  }

  private forget(): void {
    const old = this.battle.value;
    if (old) this.line.send({ type: "unsubscribe", battle: old });
    this.battle.value = this.cursor.value = this.problem.value = this.gone.value = this.voting.value = null;
    this.stopping.value = false;
    this.sent.value = "";
    this.voteKey = newKey();
    this.generation.value += 1;
  }

  private subscribe(): void {
    const battle = this.battle.value;
    if (!battle) return;
    const held = this.cursor.value;
    const place = held?.epoch ? { epoch: held.epoch, after: held.seq } : {};
    this.awaiting = this.line.send({ type: "subscribe", battle, ...place });
  }

  private take(frame: ServerFrame): void {
    if (frame.type === "error") {
      if (!frame.retryable && frame.battle === this.battle.value) this.gone.value = frame.message;
      else if (!frame.retryable) this.gone.value = strings.sessionOver;
      return;
    }
    if (!("battle" in frame) || frame.battle !== this.battle.value) return;
    if (frame.type === "snapshot" || frame.type === "resumed") this.awaiting = false;
    if (this.awaiting) return;
    const { cursor, outcome } = accept(this.cursor.value, frame);
    if (outcome === "gap") {
      if (frame.type === "resumed") this.cursor.value = null;
      return this.subscribe();
    }
    this.cursor.value = cursor;
    if (ANEW.has(frame.type)) {
      this.generation.value += 1;
    }
    if (cursor && over(cursor.view)) this.stopping.value = false;
  }
}

/** Whether the texts of this view are final. */
export function over(view: BattleView): boolean {
  const turn = view.turns.at(-1);
  if (view.state !== "queued" && view.state !== "running") return true;
  const final = (status: string | undefined) => status === "done" || status === "failed";
  return final(turn?.a.status) && final(turn?.b.status);
}

function asProblem(error: unknown): Problem {
  return error instanceof Problem ? error : new Problem("internal", strings.unexpected, 0);
}
