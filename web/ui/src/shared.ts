/** Shared battles: the text that is there without any script becomes what the arena shows while it is written. */
import { enhancer } from "./md/later";
import { renderMarkdown } from "./md/stream";
import { copyOnClick } from "./ui/copy";

for (const place of document.querySelectorAll<HTMLElement>("[data-markdown]")) {
  const text = place.textContent ?? "";
  place.replaceChildren();
  place.className = "prose";
  place.addEventListener("click", copyOnClick);
  renderMarkdown(place, text, enhancer());
}
