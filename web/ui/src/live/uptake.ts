/** What a vote did to the board: its ratings once it has taken the vote up. Looked for a few times, then left alone. */
import { signal } from "@preact/signals";
import { readBattle, readBoard } from "./api";

/** When to look, in ms after the reveal. A look too many costs little, and mends one that came in the middle of it. */
const LOOKS_MS = [1_500, 4_000, 10_000, 30_000];

export class Uptake {
  /** By model id; null while the board stands as before the vote. */
  readonly ratings = signal<ReadonlyMap<string, number> | null>(null);
  private timers: number[] = [];

  watch(battle: string): void {
    this.forget();
    this.timers = LOOKS_MS.map((ms) => window.setTimeout(() => void this.look(battle, this.timers), ms));
  }

  forget(): void {
    this.timers.forEach(clearTimeout);
    this.timers = [];
    this.ratings.value = null;
  }

  private async look(battle: string, mine: number[]): Promise<void> {
    const [told, board] = await Promise.all([readBattle(battle), readBoard()]).catch(() => [null, null]);
    const taken = told?.voted_at && board?.updated_at && Date.parse(board.updated_at) > Date.parse(told.voted_at);
    if (taken && this.timers === mine) this.ratings.value = new Map(board.models.map((row) => [row.model, row.rating]));
  }
}
