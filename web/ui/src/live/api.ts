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

export function beginBattle(prompt: string): Promise<Begun> {
  return post<Begun>("/api/battles", { prompt });
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
  const { code, detail } = (answer ?? {}) as { code?: unknown; detail?: unknown };
  const after = Number(response.headers.get("Retry-After") ?? NaN);
  return new Problem(
    typeof code === "string" ? code : "internal",
    typeof detail === "string" ? detail : strings.noAnswer(response.status),
    response.status,
    Number.isFinite(after) ? after : null,
  );
}
