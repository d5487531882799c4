/**
 * Markdown text to tokens: marked's lexer, and nothing else of marked, so that no HTML string ever exists.
 *
 * TeX is lexed here rather than found later in the text, because `$a_1 * b_1$` must not become emphasis. Every rule
 * decides on whole lines: what a finished block is never depends on how the answer was cut into chunks.
 */
import { Lexer, Tokenizer, getDefaults } from "marked";
import type { Links, MarkedOptions, Token, Tokens, TokensList } from "marked";

export type { Links, Token, Tokens };

export interface MathToken {
  type: "math";
  raw: string;
  text: string;
  display: boolean;
}

/** A footnote's mark in the text, or (with `tokens`) the note itself. */
export interface NoteToken {
  type: "note";
  raw: string;
  text: string;
  tokens?: Token[];
}

/** Text shown exactly as it stands: an unfinished formula, an over-long line, or what the lexer refused. */
export interface PlainToken {
  type: "plain";
  raw: string;
  text: string;
}

const BLOCK_MATH = [
  { open: /^ {0,3}\$\$/, closed: /^ {0,3}\$\$((?:(?!\n[ \t]*\n|\$\$)[\s\S])+)\$\$/ },
  { open: /^ {0,3}\\\[/, closed: /^ {0,3}\\\[((?:(?!\n[ \t]*\n|\\\])[\s\S])+)\\\]/ },
];
const TO_BLANK_LINE = /^(?:(?!\n[ \t]*\n)[\s\S])*\n?/;
const REST_OF_LINE = /^[ \t]*(?:\n|$)/;

function blockMath(src: string): MathToken | PlainToken | undefined {
  for (const { open, closed } of BLOCK_MATH) {
    if (!open.test(src)) continue;
    const match = closed.exec(src);
    if (!match) return plain((TO_BLANK_LINE.exec(src) ?? [src])[0]);
    const rest = REST_OF_LINE.exec(src.slice(match[0].length));
    const text = match[1] ?? "";
    // A one-line formula with words after it belongs to a paragraph; a formula of several lines ends where it closes.
    if (!rest && !text.includes("\n")) return undefined;
    return { type: "math", raw: match[0] + (rest?.[0] ?? ""), text: text.trim(), display: true };
  }
  return undefined;
}

/** Where a formula could interrupt the paragraph at the start of `src`; looks no further than the paragraph goes. */
function blockMathStart(src: string): number | undefined {
  const end = src.indexOf("\n\n");
  const at = (end < 0 ? src : src.slice(0, end)).search(/\n {0,3}(?:\$\$|\\\[)/);
  return at < 0 ? undefined : at + 1;
}

const INLINE_MATH: readonly [RegExp, boolean][] = [
  [/^\$\$(?!\$)((?:\\[^\n]|[^\\$\n])+)\$\$/, true],
  [/^\$(?![\s$])((?:\\[^\n]|[^\\$\n])*[^\s\\$])\$(?![\d$])/, false],
  [/^\\\(([^\n]+?)\\\)/, false],
  [/^\\\[([^\n]+?)\\\]/, true],
];

function inlineMath(src: string): MathToken | undefined {
  for (const [rule, display] of INLINE_MATH) {
    const match = rule.exec(src);
    if (match) return { type: "math", raw: match[0], text: (match[1] ?? "").trim(), display };
  }
  return undefined;
}

function inlineMathStart(src: string): number | undefined {
  const at = src.search(/\$|\\[([]/);
  return at < 0 ? undefined : at;
}

const NOTE_MARK = /^\[\^([^\s\[\]^]{1,40})\]/;
const NOTE = /^ {0,3}\[\^([^\s\[\]^]{1,40})\]:[ \t]*([^\n]*(?:\n {2,}[^\s][^\n]*)*)\n?/;

function noteMark(src: string): NoteToken | undefined {
  const match = NOTE_MARK.exec(src);
  return match ? { type: "note", raw: match[0], text: match[1] ?? "" } : undefined;
}

/** A note stays where it was written; nothing leads there and back, as two answers would use the same names. */
function note(this: { lexer: Lexer }, src: string): NoteToken | undefined {
  const match = NOTE.exec(src);
  if (!match) return undefined;
  return { type: "note", raw: match[0], text: match[1] ?? "", tokens: this.lexer.inline((match[2] ?? "").trim()) };
}

function noteMarkStart(src: string): number | undefined {
  const at = src.indexOf("[^");
  return at < 0 ? undefined : at;
}

/** Deeper lists are text: every level is read once more by all the levels above it. */
const MAX_LISTS = 16;

class AnswerTokenizer extends Tokenizer {
  private lists = 0;

  /** A formula that begins on a line of its own ends a paragraph, so it cannot stand in an underlined heading either. */
  override lheading(src: string): Tokens.Heading | undefined {
    const token = super.lheading(src);
    return token && blockMathStart(token.raw) === undefined ? token : undefined;
  }

  override list(src: string): Tokens.List | undefined {
    if (this.lists >= MAX_LISTS) return undefined;
    this.lists += 1;
    try {
      return super.list(src);
    } finally {
      this.lists -= 1;
    }
  }
}

const OPTIONS: MarkedOptions = {
  ...getDefaults(),
  gfm: true,
  tokenizer: new AnswerTokenizer(),
  extensions: {
    block: [blockMath, note],
    inline: [inlineMath, noteMark],
    startBlock: [blockMathStart],
    startInline: [inlineMathStart, noteMarkStart],
    renderers: {},
    childTokens: {},
  } as NonNullable<MarkedOptions["extensions"]>,
};

export function plain(raw: string): PlainToken {
  return { type: "plain", raw, text: raw.replace(/\n+$/, "") };
}

/** A table of link definitions that knows none but its own: `[constructor]` must not find what every object has. */
export function definitions(known: Links = {}): Links {
  return Object.assign(Object.create(null) as Links, known);
}

/**
 * The tokens of `src`. `links` collects link definitions and resolves references to earlier ones.
 * What the lexer gives up on (nesting thousands deep overflows its stack) comes back as one plain token.
 */
export function lex(src: string, links: Links): Token[] {
  const lexer = new Lexer(OPTIONS);
  (lexer.tokens as TokensList).links = links;
  try {
    return lexer.lex(src);
  } catch {
    return [plain(src)];
  }
}

const FENCE = /^ {0,3}(`{3,}(?=[^`\n]*\n)|~{3,})([^\n]*)\n/;

/** The line that closes the fenced block at the start of `raw` (as a test), or null when `raw` opens none. */
export function fenceCloser(raw: string): { closes: RegExp; header: number; language: string } | null {
  const match = FENCE.exec(raw);
  const marker = match?.[1];
  if (!match || !marker) return null;
  const closes = new RegExp(`^ {0,3}${marker[0]}{${marker.length},} *$`);
  return { closes, header: match[0].length, language: languageOf(match[2]) };
}

export function languageOf(info: string | undefined): string {
  return /^\S*/.exec((info ?? "").trim())?.[0] ?? "";
}
