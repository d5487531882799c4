/** Code colours as DOM nodes: highlight.js names the scopes, its HTML output is never used. */
import hljs from "highlight.js/lib/common";

/** The part of highlight.js' token tree this module relies on; pinned by version and by tests/browser/test_md.py. */
interface Emitter {
  walk(builder: { addText(text: string): void; openNode(node: Scope): void; closeNode(node: Scope): void }): void;
}
interface Scope {
  scope?: string;
}

/** Colour `element`'s text as `language`; leaves it alone when the language is not one of the common ones. */
export function highlight(element: HTMLElement, language: string): void {
  if (!hljs.getLanguage(language)) return;
  const text = element.textContent ?? "";
  const result = hljs.highlight(text, { language, ignoreIllegals: true });
  const emitter = (result as unknown as { _emitter: Emitter })._emitter;
  const top = document.createDocumentFragment();
  const stack: Node[] = [top];
  const current = () => stack[stack.length - 1] ?? top;
  emitter.walk({
    addText: (part) => void current().appendChild(document.createTextNode(part)),
    openNode: ({ scope }) => {
      if (scope === undefined) return;
      const span = document.createElement("span");
      span.className = cssClass(scope);
      current().appendChild(span);
      stack.push(span);
    },
    closeNode: ({ scope }) => void (scope !== undefined && stack.pop()),
  });
  if (top.textContent === text) element.replaceChildren(top);
}

function cssClass(scope: string): string {
  if (scope.startsWith("language:")) return scope.replace("language:", "language-");
  const [first = "", ...rest] = scope.split(".");
  return [`hljs-${first}`, ...rest.map((part, i) => part + "_".repeat(i + 1))].join(" ");
}
