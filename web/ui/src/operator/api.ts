/** Requests of an operator's browser; the cookie goes by itself. Every refusal becomes words. */
import { words } from "./words";

export class Refusal extends Error {
  constructor(
    readonly code: string,
    readonly detail: string,
    readonly status: number,
  ) {
    super(detail);
  }
}

const BASE = "/api/admin";

export async function ask<T>(method: "GET" | "POST" | "DELETE", path: string, body?: unknown): Promise<T> {
  const request: RequestInit = { method, headers: { Accept: "application/json" } };
  if (body !== undefined) {
    request.body = JSON.stringify(body);
    request.headers = { ...request.headers, "Content-Type": "application/json" };
  }
  let response: Response;
  try {
    response = await fetch(BASE + path, request);
  } catch {
    throw new Refusal("unreachable", words.unreachable, 0);
  }
  if (response.status === 204) return undefined as T;
  const answer: unknown = await response.json().catch(() => null);
  if (response.ok) return answer as T;
  const { code, detail } = (answer ?? {}) as { code?: unknown; detail?: unknown };
  throw new Refusal(
    typeof code === "string" ? code : "internal",
    typeof detail === "string" ? detail : words.unusable(response.status),
    response.status,
  );
}
