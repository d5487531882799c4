/**
 * The page's state: which battle is shown, what is known of it, and what the person asked for.
 *
 * Everything is a signal; components read them and call the methods. Views come from the socket alone; a reply by
 * REST is folded like the events that will follow it, so whichever arrives first shows and the other changes nothing.
 */
import { computed, signal } from "@preact/signals";
import { askTurn, beginBattle, cancelBattle, castVote, Problem, retryTurn } from "./api";
import type { Pair } from "./api";
import { Ballot } from "./ballot";
import { remember } from "./began";
import { accept } from "./cursor";
import type { Cursor } from "./cursor";
import { Draft } from "./draft";
import { EMPTY_VIEW, fold } from "./fold";
import { Link } from "./socket";
import { Uptake } from "./uptake";
import type { LinkState } from "./socket";
import { strings } from "../strings";
import { refusal } from "../words";
import type { BattleView, ServerFrame, Side, Winner } from "../protocol.gen";

/** After these, text on screen may not be what the new text continues. */
const ANEW: ReadonlySet<string> = new Set(["snapshot", "battle.restarted", "turn.retried", "turn.started", "batch"]);

export class Store {
  /** The battle shown, or null on the empty page. */
  readonly battle = signal<string | null>(null);
  readonly cursor = signal<Cursor | null>(null);
  readonly link = signal<LinkState>("idle");
  /** What is being written: the first prompt of a battle to come, and the next one of this battle. */
  readonly draft = new Draft("arena-draft");
  readonly reply = signal("");
  /** The pair that somebody asked for; null: the arena draws one. */
  readonly named = signal<Pair | null>(null);
  readonly sending = signal(false);
  readonly stopping = signal(false);
  readonly ballot = new Ballot((battle, winner) => this.cast(battle, winner));
  /** Why the last command failed. */
  readonly problem = signal<Problem | null>(null);
  /** The battle cannot be shown: not found, not ours, or the session is gone. */
  readonly gone = signal<string | null>(null);
  /** Counts views that did not continue the one before: text on screen may have to be drawn anew. */
  readonly generation = signal(0);
  /** The vote came while this page was looking, from here or elsewhere: its effect on the board is still to be seen. */
  readonly fresh = signal(false);
  readonly uptake = new Uptake();

  /** The prompt of a battle begun here, shown until the first message tells it. */
  private readonly sent = signal("");
  readonly view = computed<BattleView>(() => this.cursor.value?.view ?? EMPTY_VIEW);
  readonly prompt = computed(() => this.view.value.turns.at(-1)?.prompt ?? this.sent.value);
  readonly firstPrompt = computed(() => this.view.value.turns[0]?.prompt ?? this.sent.value);

  /** How many things this page has shown one after the other. */
  private shown = 0;
  private readonly line: Link;
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
  begin(prompt: string, named: Pair | null = null): Promise<boolean> {
    return this.submit(prompt, async () => {
      const { id, url } = await beginBattle(prompt, named);
      if (this.draft.value === prompt) this.draft.value = "";
      remember(id);
      history.pushState(null, "", url);
      this.watch(id, prompt);
    });
  }

  /** Put one more prompt before the same pair. Returns whether the server has taken it. */
  ask(prompt: string): Promise<boolean> {
    const id = this.battle.value;
    if (!id) return Promise.resolve(false);
    this.ballot.undo();
    return this.submit(prompt, async () => {
      const { turn, retry } = await askTurn(id, prompt);
      this.reply.value = "";
      remember(id, turn, retry);
    });
  }

  /** Have the newest turn answered once more: by both, or by the side that failed. */
  retry(side: Side | null): Promise<boolean> {
    const id = this.battle.value;
    if (!id) return Promise.resolve(false);
    this.ballot.undo();
    return this.submit(this.prompt.value, async () => {
      const { turn, retry } = await retryTurn(id, side);
      remember(id, turn, retry);
    });
  }

  /** Whether the page came to this battle from something else it showed: then the focus has to be put somewhere. */
  get arrived(): boolean {
    return this.shown > 1;
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
    // Stays "stopping" until the event arrives; a refusal is shown, and the button works again.
    if (!(await this.attempt(() => cancelBattle(id)))) this.stopping.value = false;
  }

  /** Choose; the vote is cast a little later, see `Ballot`. */
  vote(winner: Winner): void {
    const id = this.battle.value;
    if (id && this.view.value.votable) this.ballot.choose(id, winner);
  }

  private async cast(battle: string, winner: Winner): Promise<void> {
    await this.attempt(async () => {
      const voted = await castVote(battle, winner);
      const cursor = this.cursor.value;
      if (cursor?.battle !== battle) return;
      const view = fold(fold(cursor.view, { type: "battle.voted", winner: voted.winner }), {
        type: "battle.revealed",
        models: voted.models,
      });
      this.hold({ ...cursor, view });
    });
    // Another tab was first; its vote is on its way here.
    if (this.problem.value?.code === "already_voted") this.problem.value = null;
  }

  private async submit(prompt: string, command: () => Promise<void>): Promise<boolean> {
    if (this.sending.value || !prompt.trim()) return false;
    this.sending.value = true;
    const taken = await this.attempt(command);
    this.sending.value = false;
    return taken;
  }

  private async attempt(command: () => Promise<unknown>): Promise<boolean> {
    this.problem.value = null;
    try {
      await command();
      return true;
    } catch (error) {
      this.problem.value = asProblem(error);
      return false;
    }
  }

  private forget(): void {
    const old = this.battle.value;
    this.shown += 1;
    void this.ballot.commit();
    if (old) this.line.send({ type: "unsubscribe", battle: old });
    this.battle.value = this.cursor.value = this.problem.value = this.gone.value = null;
    this.stopping.value = this.fresh.value = false;
    this.uptake.forget();
    this.sent.value = this.reply.value = "";
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
      if (!frame.retryable && frame.battle === this.battle.value) this.gone.value = refusal(frame.code, frame.message);
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
    this.hold(cursor);
    if (ANEW.has(frame.type)) {
      this.generation.value += 1;
    }
  }

  private hold(cursor: Cursor | null): void {
    const before = this.cursor.value;
    if (before && !before.view.models && cursor?.view.models) {
      this.fresh.value = true;
      this.uptake.watch(cursor.battle);
    }
    this.cursor.value = cursor;
    if (!cursor) return;
    if (!cursor.view.votable) this.ballot.undo();
    if (over(cursor.view)) this.stopping.value = false;
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
