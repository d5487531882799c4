/** Colours and formulas: loaded when the first one is needed, applied in idle time, to blocks that are final. */
import type { Later } from "./build";

const MAX_CODE = 60_000;
const MAX_TEX = 4_000;

type Job = () => Promise<void>;
const jobs: Job[] = [];
let running = false;

function idle(): Promise<void> {
  return new Promise((resolve) => {
    if ("requestIdleCallback" in window) requestIdleCallback(() => resolve(), { timeout: 1_000 });
    else setTimeout(resolve, 16);
  });
}

async function drain(): Promise<void> {
  if (running) return;
  running = true;
  for (let job = jobs.shift(); job; job = jobs.shift()) {
    await idle();
    // A chunk that cannot be loaded leaves the text as it is: readable, only without colours.
    await job().catch(() => undefined);
  }
  running = false;
}

function later(element: HTMLElement, job: Job): void {
  jobs.push(async () => {
    if (element.isConnected) await job();
  });
  void drain();
}

/** `moved` is called after each formula: set, it has another height than its source had. */
export function enhancer(moved: () => void = () => undefined): Later {
  return {
    code(element, language) {
      if ((element.textContent ?? "").length > MAX_CODE) return;
      later(element, async () => (await import("./hl")).highlight(element, language));
    },
    math(element, tex, display) {
      if (tex.length > MAX_TEX) return;
      later(element, async () => {
        await (await import("./tex")).typeset(element, tex, display);
        moved();
      });
    },
  };
}
