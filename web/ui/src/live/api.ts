/** The commands, by REST. Every failure becomes a `Problem` with words that can be shown. */
import { strings } from "../strings";
import type { RevealedModels, Winner } from "../protocol.gen";

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

export interface Voted {
  winner: Winner;
  models: RevealedModels;
}

/** Where the arena asks a new session for a proof of work, that is done on the way. */
export async function beginBattle(prompt: string): Promise<Begun> {
  const guarded = document.getElementById("arena")?.dataset["guarded"] !== undefined;
  const first = guarded ? (await call<{ challenge: unknown }>("/api/challenge")).challenge : null;
  try {
    return await post<Begun>("/api/battles", { prompt }, await proven(first));
  } catch (error) {
    if (!(error instanceof Problem) || error.code !== "challenge_needed") throw error;
    const headers = await proven(error.challenge);
    if (!("Arena-Challenge" in headers)) throw error;
    return await post<Begun>("/api/battles", { prompt }, headers);
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

/** Repeating with the same `key` is safe: the first answer is given again. */
export function castVote(id: string, winner: Winner, key: string): Promise<Voted> {
  return post<Voted>(`/api/battles/${id}/vote`, { winner }, { "Idempotency-Key": key });
}

export function newKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join("");
}

async function post<T>(path: string, body?: unknown, headers: Record<string, string> = {}): Promise<T> {
  const request: RequestInit = { method: "POST", headers: { ...headers, Accept: "application/json" } };
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
  return new Problem(
    typeof code === "string" ? code : "internal",
    typeof detail === "string" ? detail : strings.noAnswer(response.status),
    response.status,
    Number.isFinite(after) ? after : null,
    challenge ?? null,
  );
}
