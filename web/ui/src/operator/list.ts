/** A list that is read page by page, newest first, and again from its beginning when it has changed. */
import { signal } from "@preact/signals";
import { ask } from "./api";

const PAGE = 25;

export class List<T> {
  readonly rows = signal<readonly T[]>([]);
  readonly next = signal<number | string | null>(null);
  readonly read = signal(false);
  private asked = 0;

  constructor(
    private readonly path: string,
    private readonly field: string,
    private readonly failed: (error: unknown) => void,
  ) {}

  /** The first page anew; older ones that were shown are asked for again with "Show older". */
  async refresh(): Promise<void> {
    await this.page(null);
  }

  async older(): Promise<void> {
    if (this.next.value !== null) await this.page(this.next.value);
  }

  forget(): void {
    this.asked++;
    this.rows.value = [];
    this.next.value = null;
    this.read.value = false;
  }

  private async page(cursor: number | string | null): Promise<void> {
    const mine = ++this.asked;
    const after = cursor === null ? "" : `&cursor=${encodeURIComponent(cursor)}`;
    try {
      const answer = await ask<Record<string, unknown>>("GET", `${this.path}?limit=${PAGE}${after}`);
      if (mine !== this.asked) return;
      const fresh = answer[this.field] as T[];
      this.rows.value = cursor === null ? fresh : [...this.rows.value, ...fresh];
      this.next.value = (answer["next"] ?? null) as number | string | null;
      this.read.value = true;
    } catch (error) {
      if (mine === this.asked) this.failed(error);
    }
  }
}
