/**
 * Who draws an answer: the Markdown renderer, which is fetched beside the page's other parts, and plain text until it is
 * here. An answer can be read from its first word on, and comes to the same DOM whenever the renderer came.
 */
import { signal } from "@preact/signals";

type Renderer = typeof import("../md/renderer");

/** Null until it is here; where it cannot be fetched, for good. */
export const renderer = signal<Renderer | null>(null);

export function fetchRenderer(): void {
  import("../md/renderer").then((found) => (renderer.value = found), () => undefined);
}

/** Draws one answer while it grows. */
export interface Pen {
  /** All that was pushed. */
  readonly text: string;
  push(text: string): void;
  render(): void;
  finish(): void;
  reset(): void;
}

export function newPen(root: HTMLElement, drawer: Renderer | null): Pen {
  return drawer ? new drawer.MarkdownStream(root, drawer.enhance) : new PlainPen(root);
}

class PlainPen implements Pen {
  text = "";
  private readonly place = document.createElement("p");

  constructor(private readonly root: HTMLElement) {
    this.place.className = "plain";
  }

  push(text: string): void {
    this.text += text;
  }

  render(): void {
    if (!this.text) return;
    this.place.textContent = this.text;
    if (!this.place.isConnected) this.root.append(this.place);
  }

  finish(): void {
    this.render();
  }

  reset(): void {
    this.root.replaceChildren();
  }
}
