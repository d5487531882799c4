/** What this arena allows, as the server wrote it into the page. The server has the last word; the page tells first. */

export interface Limits {
  /** Characters of one prompt, and of all prompts of a battle together. */
  readonly prompt: number;
  readonly conversation: number;
  readonly turns: number;
  /** How often one turn may be answered anew. */
  readonly retries: number;
  /** Characters of a comment on a vote; 0: none are taken. */
  readonly comment: number;
}

export function readLimits(root: HTMLElement): Limits {
  const read = (name: string, missing: number) => {
    const given = root.dataset[name];
    return given === undefined || given === "" ? missing : Number(given);
  };
  return {
    prompt: read("promptMax", 8_000),
    conversation: read("conversationMax", 32_000),
    turns: read("turnsMax", 10),
    retries: read("retriesMax", 3),
    comment: read("commentMax", 1_000),
  };
}

/** Characters as the server counts them; JavaScript's length counts some twice. */
export function codePoints(text: string): number {
  let n = 0;
  for (const _ of text) n += 1;
  return n;
}
