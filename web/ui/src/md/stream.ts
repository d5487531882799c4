/**
 * One answer drawn while it arrives: Markdown, with what the model thought aloud first folded away.
 *
 * Reasoning stands at the very beginning, between `<think>` and `</think>`. Some chat templates write the opening tag
 * into the prompt, so that an answer shows only the closing one, on a line of its own: all before it was reasoning.
 * Anywhere else these tags are text like any other, so that an answer about them stays readable.
 */
import { BlockStream } from "./blocks";
import { element } from "./build";
import type { Later } from "./build";
import { fenceCloser } from "./lex";
import { strings } from "../strings";
import { lang } from "../words";

/** Blanks around a tag are bounded, so that what may still become one is never long. */
const OPENS = /^\s{0,64}<(think|thinking)>/;
const CLOSES_LINE = /^ {0,3}<\/(?:think|thinking)>[ \t]{0,8}$/;
const LONGEST_OPENING = 74;
const LONGEST_CLOSING = 22;
const OPENING = ["<think>", "<thinking>"];
const CLOSING = ["</think>", "</thinking>"];

type Mode = "begin" | "thought" | "answer" | "closed";

export class MarkdownStream {
  private pushed: string[] = [];
  private carry = "";
  private mode: Mode = "begin";
  /** Text that may still turn out to be a tag. */
  private held = "";
  private blank = "";
  private line = new Line();
  private tag = "";
  private thought: Thought | null = null;
  private main: BlockStream | null = null;

  constructor(
    private readonly root: HTMLElement,
    private readonly later: Later | null = null,
  ) {}

  /** Take more text; nothing is drawn before `render`. */
  push(text: string): void {
    this.pushed.push(text);
    const joined = this.carry + text;
    this.carry = joined.endsWith("\r") ? "\r" : "";
    this.take((this.carry ? joined.slice(0, -1) : joined).replace(/\r\n?/g, "\n"));
  }

  /** All that was pushed. */
  get text(): string {
    return this.pushed.join("");
  }

  render(): void {
    this.thought?.stream.render();
    this.main?.render();
  }

  /** No more text will come: the DOM is now what a one-shot rendering makes of it. */
  finish(): void {
    if (this.carry) this.take("\n");
    this.carry = "";
    if (this.mode === "begin") this.answer(this.held);
    else if (this.mode === "thought") this.think(this.held);
    if (this.mode === "answer") this.endLine("");
    this.held = "";
    this.thought?.finish(this.mode === "thought");
    this.main?.finish();
  }

  reset(): void {
    this.root.replaceChildren();
    this.pushed = [];
    this.carry = this.held = this.blank = "";
    this.mode = "begin";
    this.line = new Line();
    this.thought = this.main = null;
  }

  private take(text: string): void {
    if (this.mode === "begin") this.begin(this.held + text);
    else if (this.mode === "thought") this.thinkOn(this.held + text);
    else if (this.mode === "answer") this.answer(text);
    else this.write(text);
  }

  private begin(text: string): void {
    const opened = OPENS.exec(text);
    this.held = "";
    if (opened) {
      this.mode = "thought";
      this.tag = `</${opened[1]}>`;
      this.thinkOn(text.slice(opened[0].length));
    } else if (text.length < LONGEST_OPENING && startsOneOf(OPENING, text.trimStart())) {
      this.held = text;
    } else {
      this.answer(text);
    }
  }

  private thinkOn(text: string): void {
    const end = text.indexOf(this.tag);
    if (end < 0) {
      const keep = overlap(text, this.tag);
      this.held = text.slice(text.length - keep);
      this.think(text.slice(0, text.length - keep));
      return;
    }
    this.held = "";
    this.think(text.slice(0, end));
    this.close();
    this.write(text.slice(end + this.tag.length));
  }

  private think(text: string): void {
    // Models told not to think leave an empty block: nothing to unfold.
    if (!this.thought && !text.trim()) {
      this.blank += text;
      return;
    }
    this.thought ??= new Thought(this.root, this.later);
    this.thought.stream.push(this.blank + text);
    this.blank = "";
  }

  /** Text of an answer that may yet turn out to have been reasoning. */
  private answer(text: string): void {
    this.mode = "answer";
    let from = 0;
    for (let newline = text.indexOf("\n"); newline >= 0; newline = text.indexOf("\n", from)) {
      this.line.text += text.slice(from, newline);
      from = newline + 1;
      if (this.endLine("\n")) return this.write(text.slice(from));
    }
    this.line.text += text.slice(from);
    const { text: line } = this.line;
    if (line.length > LONGEST_CLOSING || !startsOneOf(CLOSING, line.trim())) this.writeLine("");
  }

  /** Judge the line that is complete now; true when it closed the reasoning. */
  private endLine(end: string): boolean {
    if (this.line.closesThought()) {
      this.fold();
      return true;
    }
    this.writeLine(end);
    this.line.next();
    return false;
  }

  private writeLine(end: string): void {
    const { text, written } = this.line;
    this.write(text.slice(written) + end);
    this.line.written = text.length;
  }

  private write(text: string): void {
    if (!text) return;
    this.main ??= new BlockStream(this.root, this.later);
    this.main.push(text);
  }

  /** All that was drawn so far was reasoning. */
  private fold(): void {
    this.main?.finish();
    const drawn = [...this.root.childNodes];
    this.thought = new Thought(this.root, this.later);
    this.thought.body.append(...drawn);
    this.close();
  }

  private close(): void {
    this.thought?.finish(false);
    this.thought = null;
    this.main = null;
    this.mode = "closed";
  }
}

/** The line of an answer that is being written, and whether it stands in a code block. */
class Line {
  text = "";
  /** How much of it was passed on. */
  written = 0;
  private fence: RegExp | null = null;

  closesThought(): boolean {
    return !this.fence && CLOSES_LINE.test(this.text);
  }

  next(): void {
    if (this.fence?.test(this.text)) this.fence = null;
    else this.fence ??= fenceCloser(`${this.text}\n`)?.closes ?? null;
    this.text = "";
    this.written = 0;
  }
}

/** The folded block at the head of an answer. */
class Thought {
  readonly body = element("div", "thought-text");
  readonly stream: BlockStream;
  private readonly title = element("summary", "", strings.reasoningNow);
  private readonly whole = element("details", "thought", this.title, this.body);

  constructor(root: HTMLElement, later: Later | null) {
    this.title.lang = lang;
    root.append(this.whole);
    this.stream = new BlockStream(this.body, later);
  }

  finish(cutShort: boolean): void {
    this.stream.finish();
    if (!this.body.hasChildNodes()) this.whole.remove();
    this.title.textContent = cutShort ? strings.reasoningCut : strings.reasoning;
  }
}

/** Draw a complete text at once. */
export function renderMarkdown(root: HTMLElement, text: string, later: Later | null = null): void {
  const stream = new MarkdownStream(root, later);
  stream.push(text);
  stream.finish();
}

/** Whether `text` may go on to become one of `tags`, or is one. */
function startsOneOf(tags: readonly string[], text: string): boolean {
  return tags.some((tag) => tag.startsWith(text));
}

/** How many of the last characters of `text` may be the beginning of `tag`. */
function overlap(text: string, tag: string): number {
  for (let n = Math.min(tag.length - 1, text.length); n > 0; n -= 1) {
    if (tag.startsWith(text.slice(-n))) return n;
  }
  return 0;
}
