/**
 * One animation frame draws everything that waits, and never more than a fifth of the time goes into drawing:
 * after a slow frame the next one waits four times as long as that one took.
 */
const REST = 4;
/** Text that grows oftener reads no smoother, and each frame's layout and painting costs the reader's battery. */
const EVERY_MS = 40;

const waiting = new Map<string, () => void>();
let planned = false;
let notBefore = 0;

/** Run `draw` in the next frame that is due; asking again under the same `key` before then replaces it. */
export function schedule(key: string, draw: () => void): void {
  waiting.set(key, draw);
  if (!planned) plan();
}

function plan(): void {
  planned = true;
  const wait = notBefore - performance.now();
  // A hidden page has no frames; its text must still be there for whoever copies or prints it.
  if (document.hidden) setTimeout(run, 250);
  else if (wait > 16) setTimeout(() => requestAnimationFrame(run), wait);
  else requestAnimationFrame(run);
}

function run(): void {
  planned = false;
  const start = performance.now();
  const due = [...waiting.values()];
  waiting.clear();
  for (const draw of due) draw();
  const end = performance.now();
  notBefore = Math.max(start + EVERY_MS, end + REST * (end - start));
}
