/** Copying, also where the page is served without TLS and `navigator.clipboard` does not exist. */
import { strings } from "../strings";

export async function copyText(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copyBySelection(text);
  }
}

function copyBySelection(text: string): boolean {
  const area = document.createElement("textarea");
  area.value = text;
  area.className = "offscreen";
  area.setAttribute("aria-hidden", "true");
  document.body.append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  return done;
}

/** Click handler of a rendered text: its code blocks' copy buttons. */
export async function copyOnClick(event: Event): Promise<void> {
  const button = (event.target as Element | null)?.closest<HTMLButtonElement>("button.copy");
  const code = button?.closest(".code")?.querySelector("code");
  if (!button || !code || !(await copyText(code.textContent ?? ""))) return;
  button.textContent = strings.copied;
  setTimeout(() => (button.textContent = strings.copyCode), 1_500);
}
