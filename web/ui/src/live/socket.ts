/**
 * One websocket that keeps coming back: hello, heartbeat, and a reconnect that never stampedes.
 *
 * It knows nothing of battles. Whoever uses it subscribes again in `opened`, with the cursor held by then.
 */
import { CloseCode, SUBPROTOCOL } from "../protocol.gen";
import type { ClientMessage, ServerFrame } from "../protocol.gen";

/** `stopped`: the server said not to come back, or `stop` was called. */
export type LinkState = "idle" | "connecting" | "open" | "down" | "stopped";

export interface LinkHandlers {
  opened(): void;
  frame(frame: ServerFrame): void;
  state(state: LinkState): void;
}

const FIRST_DELAY_MS = 500;
const MAX_DELAY_MS = 15_000;
/** The line counts as dead after this many heartbeats without a sound. */
const SILENT_BEATS = 2.25;
const OPEN_TIMEOUT_MS = 10_000;

/** 4500-4999, and every refusal of the protocol itself: coming back would change nothing. */
export function comesBack(code: number): boolean {
  return !(code >= 4500 && code <= 4999) && code !== CloseCode.TOO_BIG;
}

/** Full jitter: anywhere between at once and the cap, so that a restarted server is not met by everybody at once. */
export function retryDelay(attempt: number, random: () => number = Math.random): number {
  return random() * Math.min(MAX_DELAY_MS, FIRST_DELAY_MS * 2 ** Math.min(attempt, 10));
}

export class Link {
  private socket: WebSocket | null = null;
  private attempt = 0;
  private retry = 0;
  private watchdog = 0;
  private silenceMs = 45_000;
  private asked = 0;
  private running = false;

  constructor(
    private readonly url: string,
    private readonly handlers: LinkHandlers,
  ) {}

  start(): void {
    if (this.running) return;
    this.running = true;
    addEventListener("online", this.hurry);
    document.addEventListener("visibilitychange", this.hurry);
    this.connect();
  }

  stop(): void {
    this.halt();
    this.handlers.state("stopped");
  }

  /** False when the line is down; whatever mattered is asked again once it is open. */
  send(message: ClientMessage): boolean {
    if (this.socket?.readyState !== WebSocket.OPEN) return false;
    this.socket.send(JSON.stringify(message));
    return true;
  }

  private connect(): void {
    clearTimeout(this.retry);
    this.retry = 0;
    this.handlers.state("connecting");
    const socket = new WebSocket(this.url, SUBPROTOCOL);
    this.socket = socket;
    this.listen(OPEN_TIMEOUT_MS);
    socket.onmessage = ({ data }) => this.socket === socket && this.heard(data);
    socket.onclose = ({ code }) => this.socket === socket && this.lost(code);
  }

  private heard(data: unknown): void {
    this.listen(this.silenceMs);
    const frame = parse(data);
    if (!frame) return;
    if (frame.type === "hello") {
      this.silenceMs = Math.max(5_000, frame.heartbeat_s * 1_000 * SILENT_BEATS);
      this.attempt = 0;
      this.asked = 0;
      this.handlers.state("open");
      this.handlers.opened();
    } else if (frame.type === "ping") {
      this.send({ type: "pong", n: frame.n ?? 0 });
    } else if (frame.type === "bye") {
      this.asked = frame.reconnect_after_ms;
    } else if (frame.type !== "pong") {
      this.handlers.frame(frame);
    }
  }

  private lost(code: number): void {
    this.socket = null;
    clearTimeout(this.watchdog);
    if (!comesBack(code)) {
      this.halt();
      this.handlers.state("stopped");
      return;
    }
    this.handlers.state("down");
    const delay = this.asked + retryDelay(this.attempt);
    this.attempt += 1;
    this.asked = 0;
    this.retry = window.setTimeout(() => this.connect(), delay);
  }

  /** Give up the line unless something is heard within `ms`. A dead line never says that it is dead. */
  private listen(ms: number): void {
    clearTimeout(this.watchdog);
    this.watchdog = window.setTimeout(() => {
      const dead = this.socket;
      this.socket = null;
      dead?.close();
      this.lost(CloseCode.HEARTBEAT);
    }, ms);
  }

  private readonly hurry = (): void => {
    if (this.running && !this.socket && document.visibilityState === "visible") this.connect();
  };

  private halt(): void {
    this.running = false;
    clearTimeout(this.retry);
    clearTimeout(this.watchdog);
    removeEventListener("online", this.hurry);
    document.removeEventListener("visibilitychange", this.hurry);
    const socket = this.socket;
    this.socket = null;
    socket?.close(1000);
  }
}

function parse(data: unknown): ServerFrame | null {
  if (typeof data !== "string") return null;
  try {
    return JSON.parse(data) as ServerFrame;
  } catch {
    return null;
  }
}
