/** A text being written that survives a reload of its tab, and nothing else: it leaves the browser only when sent. */
import { signal } from "@preact/signals";

export class Draft {
  private readonly text;

  constructor(private readonly place: string) {
    let kept: string | null = null;
    try {
      kept = sessionStorage.getItem(place);
    } catch {
      // No storage: it lives as long as the page.
    }
    this.text = signal(kept ?? "");
  }

  get value(): string {
    return this.text.value;
  }

  set value(text: string) {
    this.text.value = text;
    try {
      if (text) sessionStorage.setItem(this.place, text);
      else sessionStorage.removeItem(this.place);
    } catch {
      // As above.
    }
  }
}
