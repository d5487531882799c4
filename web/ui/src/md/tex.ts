/** Formulas as DOM nodes. KaTeX builds elements; its string output, whose style attributes the CSP blocks, is unused. */
import katex from "katex";

/** Of untrusted input: no links or HTML, no macro bombs, no letters larger than a page. */
const LIMITS = { trust: false, maxExpand: 200, maxSize: 20 } as const;

let styled: Promise<void> | null = null;

/** Replace `element`'s content by the formula; what KaTeX cannot read stays as the source text. */
export async function typeset(element: HTMLElement, tex: string, display: boolean): Promise<void> {
  await (styled ??= loadStyles());
  const drawn = document.createElement("span");
  try {
    katex.render(tex, drawn, { displayMode: display, throwOnError: true, strict: "ignore", ...LIMITS });
  } catch {
    return;
  }
  element.replaceChildren(...drawn.childNodes);
}

function loadStyles(): Promise<void> {
  const href = document.documentElement.dataset["katexCss"];
  return new Promise((resolve) => {
    if (!href) return resolve();
    const link = document.createElement("link");
    link.rel = "stylesheet";
    link.href = href;
    link.onload = link.onerror = () => resolve();
    document.head.append(link);
  });
}
