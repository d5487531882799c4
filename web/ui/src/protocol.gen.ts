// Written by `python -m ops.protocol` from worker/contract/events.py: change that file, not this one.

export const SUBPROTOCOL = "arena.v1";

/** 4000-4499: come back. 4500-4999: stop. */
export const CloseCode = {
  NORMAL: 1000,
  GOING_AWAY: 1001,
  TOO_BIG: 1009,
  OVERLOAD: 1013,
  SLOW: 4008,
  HEARTBEAT: 4009,
  LIMITED: 4029,
  BAD_MESSAGE: 4500,
  SESSION: 4501,
  FORBIDDEN: 4503,
  UNKNOWN: 4504,
  VERSION: 4505,
} as const;

export type Side = "a" | "b";

export type FinishReason = "stop" | "length" | "cancelled" | "failed";

export type Winner = "a" | "b" | "tie" | "both_bad";

export type BattleStateName = "queued" | "running" | "finished" | "failed" | "cancelled";

export type CancelledBy = "user" | "operator";

export interface TurnStarted {
  type: "turn.started";
  turn: number;
  prompt: string;
}

/** ``sides`` of the newest turn are answered anew: forget what they said. ``retry`` counts from 1 in each turn. */
export interface TurnRetried {
  type: "turn.retried";
  turn: number;
  retry: number;
  sides: readonly Side[];
}

/** ``position`` is the place in line (1 = next); ``eta_s`` whole seconds until start, absent when unknown. */
export interface BattleQueued {
  type: "battle.queued";
  position: number;
  eta_s?: number | null;
}

/** ``fraction`` in 0..1 of the loading still owed to this battle, both sides together: never per side. */
export interface BattleLoading {
  type: "battle.loading";
  fraction: number;
  eta_s?: number | null;
}

export interface SideStarted {
  type: "side.started";
  side: Side;
}

export interface SideDelta {
  type: "side.delta";
  side: Side;
  text: string;
}

export interface SideDone {
  type: "side.done";
  side: Side;
  finish_reason: FinishReason;
}

/** Why a side or a battle failed, in words for the person who asked. Never names a model. */
export interface Failure {
  code: string;
  message: string;
  retryable: boolean;
}

export interface SideFailed {
  type: "side.failed";
  side: Side;
  error: Failure;
}

/** A new attempt begins: forget the turn's text so far. */
export interface BattleRestarted {
  type: "battle.restarted";
  attempt: number;
}

export interface BattleVotable {
  type: "battle.votable";
}

export interface BattleVoted {
  type: "battle.voted";
  winner: Winner;
}

/** What the reveal tells about one contender. ``tokens_per_s`` and ``first_token_s`` are of this battle. */
export interface ModelFacts {
  id: string;
  name: string;
  maker: string;
  licence: string;
  terms_url: string;
  parameters: string;
  quantization: string;
  completion_tokens: number | null;
  tokens_per_s: number | null;
  first_token_s: number | null;
  rating: number | null;
}

export interface RevealedModels {
  a: ModelFacts;
  b: ModelFacts;
}

export interface BattleRevealed {
  type: "battle.revealed";
  models: RevealedModels;
}

/** The newest turn failed. ``votable``: earlier turns ended well, and may be voted all the same. */
export interface BattleFailed {
  type: "battle.failed";
  error: Failure;
  votable?: boolean;
}

/** The newest turn was stopped. ``reason``: the operator's words. ``votable`` as in ``battle.failed``. */
export interface BattleCancelled {
  type: "battle.cancelled";
  by: CancelledBy;
  reason?: string;
  votable?: boolean;
}

/** First message on every socket. ``heartbeat_s``: silence after which the server sends ``ping``. */
export interface Hello {
  type: "hello";
  protocol: string;
  heartbeat_s: number;
  server_time: number;
}

/** ``status``: waiting → streaming → done | failed. */
export interface SideView {
  text: string;
  status: "done" | "failed" | "streaming" | "waiting";
  finish_reason: FinishReason | null;
  error: Failure | null;
}

/** ``retry``: how often it was answered anew because somebody asked for that. */
export interface TurnView {
  turn: number;
  prompt: string;
  a: SideView;
  b: SideView;
  retry: number;
}

/** All a page needs to draw a battle. ``loading`` and ``queued`` are null when they no longer apply. */
export interface BattleView {
  state: BattleStateName;
  turns: readonly TurnView[];
  queued: BattleQueued | null;
  loading: BattleLoading | null;
  attempt: number;
  votable: boolean;
  winner: Winner | null;
  models: RevealedModels | null;
  error: Failure | null;
  cancelled_by: CancelledBy | null;
  cancel_reason: string | null;
}

/** Replaces whatever the client holds of ``battle``; live events continue after ``seq`` of ``epoch``. */
export interface Snapshot {
  type: "snapshot";
  battle: string;
  epoch: string;
  seq: number;
  view: BattleView;
}

/** What the client holds up to ``seq`` stands; what it missed follows as ``batch`` and live events. */
export interface Resumed {
  type: "resumed";
  battle: string;
  epoch: string;
  seq: number;
}

/** A merged catch-up of ``n`` log entries ending at ``seq``. Apply all or nothing, iff ``seq - n == last``. */
export interface Batch {
  type: "batch";
  battle: string;
  seq: number;
  n: number;
  events: readonly StoredEvent[];
}

/** Connection-level refusal; a close code follows when it cannot go on. ``battle`` when it is about one. */
export interface Error {
  type: "error";
  code: string;
  message: string;
  retryable?: boolean;
  battle?: string | null;
}

/** The server is going away on purpose; come back after ``reconnect_after_ms``. */
export interface Bye {
  type: "bye";
  reconnect_after_ms: number;
}

export interface Ping {
  type: "ping";
  n?: number;
}

export interface Pong {
  type: "pong";
  n?: number;
}

/** Follow a battle. With ``epoch`` and ``after`` (last seq held) the server resumes; else it sends a snapshot. */
export interface Subscribe {
  type: "subscribe";
  battle: string;
  epoch?: string | null;
  after?: number | null;
}

export interface Unsubscribe {
  type: "unsubscribe";
  battle: string;
}

export type StoredEvent = TurnStarted | TurnRetried | BattleQueued | BattleLoading | SideStarted | SideDelta | SideDone | SideFailed | BattleRestarted | BattleVotable | BattleVoted | BattleRevealed | BattleFailed | BattleCancelled;

export type SocketMessage = Hello | Snapshot | Resumed | Batch | Error | Bye | Ping | Pong;

export type ClientMessage = Subscribe | Unsubscribe | Ping | Pong;

/** A stored event as it goes over the wire: the log stamps it with its battle and its place. */
export type Stamp = { battle: string; seq: number };
export type StoredFrame = StoredEvent & Stamp;
export type ServerFrame = SocketMessage | StoredFrame;
