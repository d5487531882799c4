/** Since when somebody waits: kept over a reload, asked of the server where another tab or visit began the battle. */
import { battleAge } from "./api";
import type { TurnView } from "../protocol.gen";

const PLACE = "arena-began";

interface Begun {
  battle: string;
  turn: number;
  retry: number;
  at: number;
}

export function remember(battle: string, turn = 1, retry = 0): void {
  const begun: Begun = { battle, turn, retry, at: Date.now() };
  try {
    sessionStorage.setItem(PLACE, JSON.stringify(begun));
  } catch {
    // No storage: after a reload the server is asked.
  }
}

/** The moment (as of `Date.now()`) the newest turn was put in line; null when nobody can tell. */
export async function beganAt(battle: string, last: TurnView | undefined): Promise<number | null> {
  const turn = last?.turn ?? 1;
  const retry = last?.retry ?? 0;
  const kept = recall();
  if (kept?.battle === battle && kept.turn === turn && kept.retry === retry) return kept.at;
  if (turn > 1 || retry > 0) return null;
  const age = await battleAge(battle).catch(() => null);
  return age === null ? null : Date.now() - age;
}

function recall(): Begun | null {
  try {
    return JSON.parse(sessionStorage.getItem(PLACE) ?? "null") as Begun | null;
  } catch {
    return null;
  }
}
