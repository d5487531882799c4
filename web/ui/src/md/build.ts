/**
 * Tokens to DOM nodes, by createElement and text nodes only: nothing a model writes can become markup.
 *
 * Raw HTML is shown as the text it is. Links keep only http, https and mailto; an image becomes a link to it, because
 * fetching it would tell its host who reads, and could carry the conversation away in the address.
 */
import { decodeEntities } from "./entities";
import { languageOf } from "./lex";
import type { MathToken, NoteToken, PlainToken, Token, Tokens } from "./lex";
import { strings } from "../strings";
import { lang } from "../words";

/** Work that waits for a block to be final: colours for code, layout for formulas. */
export interface Later {
  code: (element: HTMLElement, language: string) => void;
  math: (element: HTMLElement, tex: string, display: boolean) => void;
}

const MAX_DEPTH = 40;

export function build(tokens: readonly Token[], later: Later | null): Node[] {
  return new Builder(later).all(tokens, 0);
}

export function element(tag: string, className = "", ...children: (Node | string)[]): HTMLElement {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...children);
  return made;
}

/** The frame of a code block; `code` is where its text goes. */
export function codeFrame(language: string): { frame: HTMLElement; code: HTMLElement } {
  const code = element("code");
  const pre = element("pre", "", code);
  pre.tabIndex = 0;
  const copy = element("button", "copy", strings.copyCode) as HTMLButtonElement;
  copy.type = "button";
  // The text around it may be in any language.
  copy.lang = lang;
  const frame = element("div", "code", element("div", "code-bar", element("span", "", language), copy), pre);
  return { frame, code };
}

class Builder {
  constructor(private readonly later: Later | null) {}

  all(tokens: readonly Token[] | undefined, depth: number): Node[] {
    const nodes: Node[] = [];
    for (const token of tokens ?? []) {
      const node = depth > MAX_DEPTH ? document.createTextNode(token.raw) : this.one(token, depth);
      if (Array.isArray(node)) nodes.push(...node);
      else if (node) nodes.push(node);
    }
    return nodes;
  }

  private one(token: Token, depth: number): Node | Node[] | null {
    const inside = (tag: string, className = "") =>
      element(tag, className, ...this.all((token as Tokens.Generic).tokens, depth + 1));
    switch (token.type) {
      case "space":
      case "def":
        return null;
      case "paragraph":
        return inside("p");
      case "heading":
        return inside(`h${Math.min((token as Tokens.Heading).depth + 2, 6)}`, `h${(token as Tokens.Heading).depth}`);
      case "hr":
        return element("hr");
      case "blockquote":
        return inside("blockquote");
      case "code":
        return this.code(token as Tokens.Code);
      case "list":
        return this.list(token as Tokens.List, depth);
      case "table":
        return this.table(token as Tokens.Table, depth);
      case "html":
        return this.html(token as Tokens.HTML | Tokens.Tag);
      case "plain":
        return element("p", "plain", (token as PlainToken).text);
      case "math":
        return this.math(token as unknown as MathToken);
      case "note":
        return this.note(token as unknown as NoteToken, depth);
      case "text":
        return (token as Tokens.Text).tokens
          ? this.all((token as Tokens.Text).tokens, depth + 1)
          : document.createTextNode(decodeEntities((token as Tokens.Text).text));
      case "escape":
        return document.createTextNode(decodeEntities((token as Tokens.Escape).text));
      case "strong":
      case "em":
      case "del":
        return inside(token.type);
      case "codespan":
        return element("code", "", (token as Tokens.Codespan).text);
      case "br":
        return element("br");
      case "checkbox":
        return checkbox((token as Tokens.Checkbox).checked);
      case "link":
        return this.link(token as Tokens.Link, depth);
      case "image":
        return image(token as Tokens.Image);
      default:
        return document.createTextNode(token.raw);
    }
  }

  private code(token: Tokens.Code): Node {
    const language = languageOf(token.lang);
    const { frame, code } = codeFrame(language);
    code.append(token.text.replace(/\n$/, ""));
    if (language) this.later?.code(code, language);
    return frame;
  }

  private list(token: Tokens.List, depth: number): Node {
    const list = element(token.ordered ? "ol" : "ul");
    if (token.ordered && typeof token.start === "number" && token.start !== 1) {
      (list as HTMLOListElement).start = token.start;
    }
    for (const item of token.items) {
      list.append(element("li", item.task ? "task" : "", ...this.all(item.tokens, depth + 1)));
    }
    return list;
  }

  private table(token: Tokens.Table, depth: number): Node {
    const row = (cells: readonly Tokens.TableCell[]) =>
      element("tr", "", ...cells.map((cell) => this.cell(cell, depth)));
    const table = element("table", "", element("thead", "", row(token.header)));
    if (token.rows.length) table.append(element("tbody", "", ...token.rows.map(row)));
    const scroller = element("div", "table", table);
    scroller.tabIndex = 0;
    return scroller;
  }

  private cell(cell: Tokens.TableCell, depth: number): HTMLElement {
    return element(cell.header ? "th" : "td", cell.align ?? "", ...this.all(cell.tokens, depth + 1));
  }

  /** `<br>` is the one tag honoured: in table cells Markdown has no other line break. */
  private html(token: Tokens.HTML | Tokens.Tag): Node {
    if (/^<br\s*\/?>$/i.test(token.raw.trim())) return element("br");
    return token.block ? element("p", "plain", token.raw.replace(/\n+$/, "")) : document.createTextNode(token.raw);
  }

  private math(token: MathToken): Node {
    const made = element(token.display ? "div" : "span", token.display ? "math display" : "math", token.text);
    this.later?.math(made, token.text, token.display);
    return made;
  }

  private note({ text, tokens }: NoteToken, depth: number): Node {
    const mark = element("sup", "", text);
    return tokens ? element("p", "note", mark, " ", ...this.all(tokens, depth + 1)) : mark;
  }

  private link(token: Tokens.Link, depth: number): Node | Node[] {
    const children = this.all(token.tokens, depth + 1);
    const href = safeHref(token.href);
    return href ? anchor(href, children) : children;
  }
}

function checkbox(checked: boolean): HTMLElement {
  const box = element("input") as HTMLInputElement;
  box.type = "checkbox";
  box.disabled = true;
  box.defaultChecked = checked;
  box.ariaLabel = checked ? strings.taskDone : strings.taskOpen;
  return box;
}

function image(token: Tokens.Image): Node {
  const label = `${strings.image}: ${token.text || token.href}`;
  const href = safeHref(token.href);
  return href ? anchor(href, [label]) : document.createTextNode(label);
}

function anchor(href: string, children: (Node | string)[]): HTMLElement {
  const link = element("a", "", ...children) as HTMLAnchorElement;
  link.href = href;
  link.target = "_blank";
  link.rel = "noopener noreferrer nofollow ugc";
  link.title = href;
  return link;
}

/** The absolute address when its scheme may be followed from an untrusted text, else null. */
export function safeHref(href: string): string | null {
  const decoded = decodeEntities(href).trim();
  if (!/^(?:https?:\/\/|mailto:)/i.test(decoded)) return null;
  try {
    const url = new URL(decoded);
    return ["http:", "https:", "mailto:"].includes(url.protocol) ? url.href : null;
  } catch {
    return null;
  }
}
