/** What the page knows, and everything it can ask for. One event stream tells it; nothing is polled. */
import { signal } from "@preact/signals";
import { ask, Refusal } from "./api";
import { List } from "./list";
import { words } from "./words";
import type { Answers, AuditLine, Board, Standing, Told, Vote, Voter, What, Who } from "./types";

/** After this long without a board a worker is shown as silent. */
const SILENT_S = 5;
/** After this long it is gone, */
const GONE_S = 60;
/** and after this long forgotten. */
const FORGOTTEN_S = 3600;

export interface Seen {
  board: Board;
  /** Of the page's own clock: the server's may be another. */
  at: number;
}

/** A question to answer before something is done. */
export interface Question {
  title: string;
  note: string;
  minutes: boolean;
  act: (reason: string, minutes: number) => Promise<void>;
}

export class Desk {
  readonly who = signal<Who | null | "asking">("asking");
  readonly link = signal<"live" | "connecting" | "lost">("connecting");
  readonly workers = signal<ReadonlyMap<string, Seen>>(new Map());
  readonly clock = signal(0);
  readonly said = signal("");
  readonly fault = signal("");
  readonly question = signal<Question | null>(null);
  readonly busy = signal(false);
  private readonly failed = (error: unknown) => this.refused(error);
  readonly models = new List<Standing>("/models", "models", this.failed);
  readonly votes = new List<Vote>("/votes", "votes", this.failed);
  readonly sessions = new List<Voter>("/sessions", "sessions", this.failed);
  readonly audit = new List<AuditLine>("/audit", "lines", this.failed);
  private source: EventSource | null = null;
  private ticking: ReturnType<typeof setInterval> | undefined;

  async open(): Promise<void> {
    try {
      const { operator } = await ask<{ operator: Who | null }>("GET", "/session");
      if (operator) this.enter(operator);
      else this.who.value = null;
    } catch {
      this.who.value = null;
    }
  }

  async signIn(key: string): Promise<void> {
    this.enter(await ask<Who>("POST", "/session", { key }));
  }

  async signOut(): Promise<void> {
    await ask("DELETE", "/session").catch(() => undefined);
    this.leave();
  }

  silentFor(seen: Seen): number {
    const s = Math.floor((this.clock.value - seen.at) / 1000);
    return s > SILENT_S ? s : 0;
  }

  /** Nothing can be asked of it any more; that it was here is still to be known. */
  gone(seen: Seen): boolean {
    return this.silentFor(seen) >= GONE_S;
  }

  /** A command to one worker. */
  async command(worker: string, path: string, body?: unknown): Promise<void> {
    await this.doing(async () => {
      const { answers } = await ask<Answers>("POST", `${path}?worker=${encodeURIComponent(worker)}`, body);
      return answers.map((a) => words.answered(a.worker, a.ok ?? a.error ?? words.done)).join(" ");
    });
  }

  /** A ruling, with its reason asked for first. */
  rule(title: string, path: string, options: { note?: string; minutes?: boolean } = {}): void {
    const { note = words.reasonNote, minutes = false } = options;
    const act = (reason: string, m: number) => this.doing(async () => {
      await ask("POST", path, minutes ? { reason, seconds: Math.round(m * 60) } : { reason });
      return `${title}: ${words.done}`;
    });
    this.question.value = { title, note, minutes, act };
  }

  private async doing(work: () => Promise<string>): Promise<void> {
    this.busy.value = true;
    this.fault.value = "";
    this.said.value = "";
    try {
      this.said.value = await work();
    } catch (error) {
      this.refused(error);
    } finally {
      this.busy.value = false;
    }
    void this.audit.refresh();
  }

  private refused(error: unknown): void {
    if (error instanceof Refusal && error.status === 401) this.leave();
    else this.fault.value = error instanceof Refusal ? error.detail : String(error);
  }

  private enter(who: Who): void {
    this.who.value = who;
    this.fault.value = "";
    for (const list of [this.models, this.votes, this.sessions, this.audit]) void list.refresh();
    this.clock.value = Date.now();
    this.ticking = setInterval(() => this.tick(), 1000);
    this.listen();
  }

  private leave(): void {
    this.source?.close();
    this.source = null;
    clearInterval(this.ticking);
    this.workers.value = new Map();
    this.question.value = null;
    for (const list of [this.models, this.votes, this.sessions, this.audit]) list.forget();
    this.who.value = null;
  }

  private listen(): void {
    this.link.value = "connecting";
    const source = new EventSource("/api/admin/events");
    this.source = source;
    source.onopen = () => (this.link.value = "live");
    source.onmessage = (event: MessageEvent<string>) => this.told(JSON.parse(event.data) as Told);
    source.onerror = () => {
      this.link.value = "lost";
      if (source.readyState === EventSource.CLOSED && source === this.source) setTimeout(() => void this.again(), 2000);
    };
  }

  /** The browser gives up on a refusal; ask why, and sign out or try again. */
  private async again(): Promise<void> {
    if (this.source?.readyState !== EventSource.CLOSED) return;
    try {
      const { operator } = await ask<{ operator: Who | null }>("GET", "/session");
      if (operator) this.listen();
      else this.leave();
    } catch {
      setTimeout(() => void this.again(), 5000);
    }
  }

  private told(message: Told): void {
    if (message.type === "worker") {
      this.clock.value = Date.now();
      this.workers.value = new Map(this.workers.value).set(message.worker, { board: message, at: this.clock.value });
    } else if (message.type === "changed") this.changed(message.what);
  }

  private changed(what: What): void {
    if (what === "models") void this.models.refresh();
    if (what === "votes" || what === "sessions") {
      void this.votes.refresh();
      void this.sessions.refresh();
    }
    void this.audit.refresh();
  }

  private tick(): void {
    this.clock.value = Date.now();
    const here = [...this.workers.value].filter(([, seen]) => this.clock.value - seen.at < FORGOTTEN_S * 1000);
    if (here.length !== this.workers.value.size) this.workers.value = new Map(here);
  }
}
