/**
 * A vote between being chosen and being cast: for a few seconds it can be undone or changed, and nothing has left the page.
 *
 * Whoever leaves in that time has voted all the same: the request outlives the page (`keepalive`). Staying away from the
 * undo is consent; a vote that was seen to be chosen and then silently lost would be worse than one that counts early.
 */
import { signal } from "@preact/signals";
import type { Winner } from "../protocol.gen";

export const UNDO_MS = 5_000;

export interface Chosen {
  readonly battle: string;
  readonly winner: Winner;
}

export class Ballot {
  /** Chosen and not yet cast. */
  readonly chosen = signal<Chosen | null>(null);
  /** On its way to the server. */
  readonly casting = signal<Winner | null>(null);
  private timer = 0;

  constructor(private readonly cast: (battle: string, winner: Winner) => Promise<void>) {
    addEventListener("pagehide", () => void this.commit());
  }

  /** The same choice again changes nothing, so that a double click neither casts nor delays; another one starts anew. */
  choose(battle: string, winner: Winner): void {
    const old = this.chosen.value;
    if (this.casting.value || (old?.winner === winner && old.battle === battle)) return;
    clearTimeout(this.timer);
    this.chosen.value = { battle, winner };
    this.timer = window.setTimeout(() => void this.commit(), UNDO_MS);
  }

  /** Returns whether there was anything to undo. */
  undo(): boolean {
    clearTimeout(this.timer);
    const had = this.chosen.value !== null;
    this.chosen.value = null;
    return had;
  }

  /** Cast what is chosen, now. */
  async commit(): Promise<void> {
    const chosen = this.chosen.value;
    if (!this.undo() || !chosen || this.casting.value) return;
    this.casting.value = chosen.winner;
    await this.cast(chosen.battle, chosen.winner);
    this.casting.value = null;
  }
}
