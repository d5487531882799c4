/** The commands, by REST. Every failure becomes a `Problem` with words that can be shown. */
import { strings } from "../strings";
import { refusal } from "../words";
import type { BattleStateName, RevealedModels, Side, Winner } from "../protocol.gen";

/** A refusal (RFC 9457) or a request that got no answer; `code` is stable, `detail` is for people. */
export class Problem extends Error {
  constructor(
    readonly code: string,
    readonly detail: string,
    readonly status: number,
    readonly retryAfterS: number | null = null,
    /** What must be answered first, with `challenge_needed`. */
    readonly challenge: unknown = null,
  ) {
    super(detail);
  }
}

export interface Begun {
  id: string;
  url: string;
}

export interface Contender {
  id: string;
  name: string;
}

/** Ids of two models; which of them is A is not the asker's to say. */
export type Pair = readonly [string, string];

export interface TurnBegun extends Begun {
  turn: number;
  retry: number;
}

export interface Voted {
  winner: Winner;
  models: RevealedModels;
}

export type Reason = keyof typeof strings.reasons;

/** What stands beside a vote. */
export interface Remarks {
  why: Record<Side, Reason[]> | null;
  comment: string | null;
}

/** A battle as the list of one's own tells it; models are named after the vote. */
export interface Entry {
  id: string;
  url: string;
  created_at: string;
  state: BattleStateName;
  votable: boolean;
  turns: number;
  prompt: string;
  winner: Winner | null;
  models: Record<Side, { id: string; name: string }> | null;
  ranked: boolean;
  share_id: string | null;
}

/** One key per wish until it is granted: a request whose answer was lost on the way is not done twice when sent again. */
const wishes = new Map<string, string>();

async function wish<T>(what: string, grant: (key: Record<string, string>) => Promise<T>): Promise<T> {
  const key = wishes.get(what) ?? newKey();
  wishes.set(what, key);
  const granted = await grant({ "Idempotency-Key": key });
  wishes.delete(what);
  return granted;
}

/** Of a pair that the arena draws, or of the two that are named. */
export function beginBattle(prompt: string, named: Pair | null): Promise<Begun> {
  const asked = named ? { prompt, models: named } : { prompt };
  return wish(`begin ${named} ${prompt}`, (key) => begin(asked, key));
}

/** Where the arena asks a new session for a proof of work, that is done on the way. */
async function begin(asked: object, key: Record<string, string>): Promise<Begun> {
  const guarded = document.getElementById("arena")?.dataset["guarded"] !== undefined;
  const first = guarded ? (await call<{ challenge: unknown }>("/api/challenge")).challenge : null;
  try {
    return await post<Begun>("/api/battles", asked, { ...key, ...(await proven(first)) });
  } catch (error) {
    if (!(error instanceof Problem) || error.code !== "challenge_needed") throw error;
    const headers = await proven(error.challenge);
    if (!("Arena-Challenge" in headers)) throw error;
    return await post<Begun>("/api/battles", asked, { ...key, ...headers });
  }
}

/** The headers that answer a challenge; none for no challenge, or for one of a kind this page does not know. */
async function proven(challenge: unknown): Promise<Record<string, string>> {
  if (challenge === null) return {};
  const { answer, isProofOfWork } = await import("./proof");
  return isProofOfWork(challenge) ? { "Arena-Challenge": await answer(challenge) } : {};
}

export function cancelBattle(id: string): Promise<unknown> {
  return post(`/api/battles/${id}/cancel`);
}

export function askTurn(id: string, prompt: string): Promise<TurnBegun> {
  return wish(`ask ${id} ${prompt}`, (key) => post<TurnBegun>(`/api/battles/${id}/turns`, { prompt }, key));
}

/** Both sides, or the one that failed. */
export function retryTurn(id: string, side: Side | null): Promise<TurnBegun> {
  return wish(`retry ${id} ${side}`, (key) => post<TurnBegun>(`/api/battles/${id}/retry`, side ? { side } : {}, key));
}

/** Outlives the page: a vote is sent even by somebody who is on the way out. */
export function castVote(id: string, winner: Winner): Promise<Voted> {
  return wish(`vote ${id} ${winner}`, (key) => send<Voted>("POST", `/api/battles/${id}/vote`, { winner }, key, true));
}

/** Change what stands beside the vote, and learn what does; without changes only the latter. */
export function remark(id: string, changes: Partial<Remarks> = {}): Promise<Remarks> {
  return send<Remarks>("PATCH", `/api/battles/${id}/vote`, changes);
}

/** The address under which anybody may read the battle. */
export async function shareBattle(id: string): Promise<string> {
  return (await post<{ url: string }>(`/api/battles/${id}/share`)).url;
}

export function unshareBattle(id: string): Promise<unknown> {
  return send("DELETE", `/api/battles/${id}/share`);
}

export function deleteBattle(id: string): Promise<unknown> {
  return send("DELETE", `/api/battles/${id}`);
}

export function listBattles(cursor: string | null): Promise<{ battles: Entry[]; next_cursor: string | null }> {
  return call(`/api/battles${cursor ? `?cursor=${encodeURIComponent(cursor)}` : ""}`);
}

/** Milliseconds since the battle began, by the server's clock alone. */
export async function battleAge(id: string): Promise<number | null> {
  const response = await fetch(`/api/battles/${id}`);
  const { created_at } = (await response.json()) as { created_at?: string };
  const age = Date.parse(response.headers.get("Date") ?? "") - Date.parse(created_at ?? "");
  return Number.isFinite(age) ? Math.max(0, age) : null;
}

/** What the socket does not tell of a battle. */
export function readBattle(id: string): Promise<{ voted_at: string | null; ranked: boolean }> {
  return call(`/api/battles/${id}`);
}

/** Who takes part. */
export async function readContenders(): Promise<readonly Contender[]> {
  return (await call<{ models: Contender[] }>("/api/models")).models;
}

/** The board of all votes as it stands; `updated_at` is null before the first one. */
export function readBoard(): Promise<{ updated_at: string | null; models: { model: string; rating: number }[] }> {
  return call("/api/leaderboard");
}

function newKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join("");
}

function post<T>(path: string, body?: unknown, headers: Record<string, string> = {}): Promise<T> {
  return send<T>("POST", path, body, headers);
}

function send<T>(
  method: string, path: string, body?: unknown, headers: Record<string, string> = {}, keepalive = false,
): Promise<T> {
  const request: RequestInit = { method, keepalive, headers: { ...headers, Accept: "application/json" } };
  if (body !== undefined) {
    request.body = JSON.stringify(body);
    request.headers = { ...request.headers, "Content-Type": "application/json" };
  }
  return call<T>(path, request);
}

async function call<T>(path: string, request: RequestInit = {}): Promise<T> {
  let response: Response;
  try {
    response = await fetch(path, request);
  } catch {
    throw new Problem("unreachable", strings.unreachable, 0);
  }
  const answer: unknown = await response.json().catch(() => null);
  if (!response.ok) throw problem(response, answer);
  return answer as T;
}

function problem(response: Response, answer: unknown): Problem {
  const { code, detail, challenge } = (answer ?? {}) as { code?: unknown; detail?: unknown; challenge?: unknown };
  const after = Number(response.headers.get("Retry-After") ?? NaN);
  const known = typeof code === "string" ? code : "internal";
  return new Problem(
    known,
    typeof detail === "string" ? refusal(known, detail) : strings.noAnswer(response.status),
    response.status,
    Number.isFinite(after) ? after : null,
    challenge ?? null,
  );
}
