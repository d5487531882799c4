/**
 * Fetching a part of the page until it is here. What a lost line kept from coming comes by itself, a little later and
 * at once when the line is back: a person who has written a prompt should not have to reload for it.
 */
const FIRST_DELAY_MS = 1_000;
const MAX_DELAY_MS = 30_000;

/** What `load` comes to, however often it has to be called; `failed` is told of every time it did not come. */
export async function insist<T>(load: (attempt: number) => Promise<T>, failed: () => void): Promise<T> {
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await load(attempt);
    } catch {
      failed();
      await pause(Math.min(MAX_DELAY_MS, FIRST_DELAY_MS * 2 ** attempt));
    }
  }
}

/** Some browsers remember that a module could not be had, and never ask for its address again: ask for another one. */
export function anew(address: string | undefined, attempt: number): string {
  if (!address) throw new Error("The page does not say where its parts are.");
  return `${address}?again=${attempt}`;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => {
    const go = () => {
      clearTimeout(timer);
      removeEventListener("online", go);
      resolve();
    };
    const timer = setTimeout(go, ms);
    addEventListener("online", go);
  });
}
