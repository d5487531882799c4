/**
 * Markdown drawn while it arrives, in time linear in its length.
 *
 * Only the last block is ever lexed again. A block is committed (built once, never touched again) when a later block
 * has begun on a complete line; deciding on complete lines makes the result independent of how the text was cut. An
 * open code fence is not lexed at all: its text is appended. `finish` leaves the DOM a one-shot rendering would.
 */
import { build, codeFrame, element } from "./build";
import type { Later } from "./build";
import { definitions, fenceCloser, lex } from "./lex";
import type { Links, Token } from "./lex";
import { mend } from "./mend";
import { patch } from "./patch";

/** A longer line is shown as plain text: inline rules may take seconds on it. */
const MAX_LINE = 16_384;
/** Text of an open code block goes into spans of about this size, so that layout stays local. */
const CHUNK = 1_500;

interface Fence {
  raw: string[];
  /** The last, unfinished line: held back, as it may turn out to close the block. */
  line: string;
  closes: RegExp;
  code: HTMLElement;
  chunk: HTMLElement | null;
  frame: HTMLElement;
}

/** Draws at the end of `root`, after what is there already. Its text has `\n` for line ends. */
export class BlockStream {
  private tail = "";
  private whole: string[] = [];
  private settledEnd = -1;
  /** How many of the root's last nodes are of the block that is not finished. */
  private open = 0;
  private fence: Fence | null = null;
  private long: HTMLElement | null = null;
  private readonly before: Node | null;

  constructor(
    private readonly root: HTMLElement,
    private readonly later: Later | null = null,
    private readonly links: Links = definitions(),
  ) {
    this.before = root.lastChild;
  }

  /** Take more text; nothing is drawn before `render`. */
  push(text: string): void {
    this.whole.push(text);
    this.tail += text;
  }

  render(): void {
    while (this.step());
  }

  /** No more text will come: commit everything, and draw again if link definitions came after their use. */
  finish(): void {
    this.settle();
    if (Object.keys(this.links).length > 0) this.redraw();
  }

  /** Advance as far as one mode goes; true when there may be more to do. */
  private step(): boolean {
    if (this.fence) return this.feedFence(this.fence);
    if (this.long) return this.feedLong(this.long);
    const text = this.tail;
    const longAt = longLine(text);
    const end = longAt >= 0 ? longAt : text.lastIndexOf("\n") + 1;
    if (longAt < 0 && end === this.settledEnd) return this.drawOpen(text, end);
    const tokens = end > 0 ? lex(text.slice(0, end), this.links) : [];
    const { index, offset } = lastBlock(tokens);
    const last = tokens[index];
    const opened = last?.type === "code" ? openFence(last.raw) : null;
    if (last && opened) {
      this.commit(tokens.slice(0, index));
      this.openFence(text.slice(offset), opened);
      return true;
    }
    if (longAt >= 0) {
      this.commit(tokens);
      this.long = element("p", "plain");
      this.root.append(this.long);
      this.tail = text.slice(longAt);
      return true;
    }
    this.commit(tokens.slice(0, index));
    this.tail = text.slice(offset);
    this.settledEnd = end - offset;
    return this.drawOpen(this.tail, this.settledEnd);
  }

  private commit(tokens: readonly Token[]): void {
    this.dropOpen();
    this.settledEnd = -1;
    this.root.append(...build(tokens, this.later));
  }

  /** Draw the last block as far as it is known. */
  private drawOpen(text: string, lineStart: number): false {
    const nodes = build(lex(mend(text, lineStart), definitions(this.links)), null);
    let first: Node | null = null;
    for (let n = this.open; n > 0; n -= 1) first = first ? first.previousSibling : this.root.lastChild;
    patch(this.root, first, nodes);
    this.open = nodes.length;
    return false;
  }

  private dropOpen(): void {
    for (; this.open > 0; this.open -= 1) this.root.lastChild?.remove();
  }

  private openFence(text: string, { closes, header, language }: NonNullable<ReturnType<typeof fenceCloser>>): void {
    const { frame, code } = codeFrame(language);
    this.root.append(frame);
    this.fence = { raw: [text.slice(0, header)], line: "", closes, code, chunk: null, frame };
    this.tail = text.slice(header);
  }

  private feedFence(fence: Fence): boolean {
    const text = fence.line + this.tail;
    let from = 0;
    for (;;) {
      const newline = text.indexOf("\n", from);
      if (newline < 0) break;
      const line = text.slice(from, newline);
      if (fence.closes.test(line)) {
        this.tail = text.slice(newline + 1);
        this.closeFence(line);
        return this.tail !== "";
      }
      fence.raw.push(line, "\n");
      append(fence, `${line}\n`);
      from = newline + 1;
    }
    fence.line = text.slice(from);
    this.tail = "";
    return false;
  }

  /** Replace the appended text by what the lexer makes of the whole block. */
  private closeFence(lastLine: string): void {
    const fence = this.fence;
    if (!fence) return;
    this.fence = null;
    fence.frame.remove();
    this.commit(lex(fence.raw.join("") + lastLine, this.links));
  }

  private feedLong(long: HTMLElement): boolean {
    const newline = this.tail.indexOf("\n");
    long.append(newline < 0 ? this.tail : this.tail.slice(0, newline));
    this.tail = newline < 0 ? "" : this.tail.slice(newline + 1);
    if (newline < 0) return false;
    long.normalize();
    this.long = null;
    return true;
  }

  private redraw(): void {
    const text = this.whole.join("");
    while (this.root.lastChild && this.root.lastChild !== this.before) this.root.lastChild.remove();
    const again = new BlockStream(this.root, this.later, definitions(this.links));
    again.push(text);
    again.settle();
  }

  private settle(): void {
    this.render();
    if (this.fence) this.closeFence(this.fence.line);
    else if (!this.long) this.commit(lex(this.tail, this.links));
    this.tail = "";
    this.long = null;
  }
}

function append(fence: Fence, text: string): void {
  const length = fence.chunk?.textContent?.length ?? CHUNK;
  if (!fence.chunk || length >= CHUNK) {
    fence.chunk = element("span", "chunk", text);
    fence.code.append(fence.chunk);
  } else {
    (fence.chunk.firstChild as Text).appendData(text);
  }
}

/** The last token that is not white space, and where in the source it begins. */
function lastBlock(tokens: readonly Token[]): { index: number; offset: number } {
  let index = tokens.length - 1;
  while (index > 0 && tokens[index]?.type === "space") index -= 1;
  index = Math.max(index, 0);
  let offset = 0;
  for (let i = 0; i < index; i += 1) offset += tokens[i]?.raw.length ?? 0;
  return { index, offset };
}

/** How the block in `raw` will close, when it is a fence that has not closed yet. */
function openFence(raw: string): ReturnType<typeof fenceCloser> {
  const fence = fenceCloser(raw);
  if (!fence) return null;
  const lines = raw.slice(fence.header).split("\n");
  return lines.some((line) => fence.closes.test(line)) ? null : fence;
}

/** Where the first line over MAX_LINE begins, or -1. */
function longLine(text: string): number {
  if (text.length <= MAX_LINE) return -1;
  for (let from = 0; from < text.length; ) {
    const newline = text.indexOf("\n", from);
    const end = newline < 0 ? text.length : newline;
    if (end - from > MAX_LINE) return from;
    from = end + 1;
  }
  return -1;
}
