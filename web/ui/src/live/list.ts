/** One's own battles, newest first, a page at a time; looked at again whenever the tab comes back into sight. */
import { signal } from "@preact/signals";
import { deleteBattle, listBattles, Problem } from "./api";
import { strings } from "../strings";
import type { Entry } from "./api";

export class List {
  /** Null until the first answer. */
  readonly battles = signal<readonly Entry[] | null>(null);
  /** Where the next page begins; null on the last one. */
  readonly following = signal<string | null>(null);
  readonly busy = signal(false);
  readonly problem = signal<Problem | null>(null);

  async begin(): Promise<void> {
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "visible") void this.look();
    });
    addEventListener("online", () => void this.look());
    await this.look();
  }

  /** The newest page again: what is new comes on top, what has changed (a vote in another tab) is replaced. */
  async look(): Promise<void> {
    await this.attempt(async () => {
      const { battles, next_cursor } = await listBattles(null);
      const held = this.battles.value;
      const known = new Set(battles.map((b) => b.id));
      const oldest = battles.at(-1)?.created_at ?? "";
      const older = held?.filter((b) => !known.has(b.id) && b.created_at < oldest) ?? [];
      if (!older.length) this.following.value = next_cursor;
      this.battles.value = next_cursor ? [...battles, ...older] : battles;
    });
  }

  async more(): Promise<void> {
    const cursor = this.following.value;
    if (!cursor) return;
    await this.attempt(async () => {
      const { battles, next_cursor } = await listBattles(cursor);
      this.battles.value = [...(this.battles.value ?? []), ...battles];
      this.following.value = next_cursor;
    });
  }

  /** Returns whether it is gone. */
  remove(id: string): Promise<boolean> {
    return this.attempt(async () => {
      await deleteBattle(id);
      this.battles.value = this.battles.value?.filter((b) => b.id !== id) ?? null;
    });
  }

  private async attempt(command: () => Promise<void>): Promise<boolean> {
    if (this.busy.value) return false;
    this.busy.value = true;
    this.problem.value = null;
    try {
      await command();
      return true;
    } catch (error) {
      this.problem.value = error instanceof Problem ? error : new Problem("internal", strings.unexpected, 0);
      return false;
    } finally {
      this.busy.value = false;
    }
  }
}
