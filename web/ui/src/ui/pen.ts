/**
 * Who draws an answer: the Markdown renderer, which is fetched beside the page's other parts, and plain text until it is
 * here. An answer can be read from its first word on, and comes to the same DOM whenever the renderer came.
 */
import { signal } from "@preact/signals";
import { anew, insist } from "../live/insist";

type Renderer = typeof import("../md/renderer");

/** Null until it is here. */
export const renderer = signal<Renderer | null>(null);
/** It did not come when it was asked for, and is being asked for again. */
export const rendererLate = signal(false);

/** `address`: where it is, for asking again. */
export async function fetchRenderer(address: string | undefined): Promise<void> {
  const load = (attempt: number) => attempt ? import(anew(address, attempt)) as Promise<Renderer> : import("../md/renderer");
  renderer.value = await insist(load, () => (rendererLate.value = true));
  rendererLate.value = false;
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

/** `moved` is called when what was drawn before gets another height. */
export function newPen(root: HTMLElement, drawer: Renderer | null, moved: () => void): Pen {
  return drawer ? new drawer.MarkdownStream(root, drawer.enhancer(moved)) : new PlainPen(root);
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
