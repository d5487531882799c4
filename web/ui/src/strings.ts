/** Every word the island shows. One file, so that a translation is one file too. */
import type { FinishReason, Side, Winner } from "./protocol.gen";

export const SIDE_NAME: Readonly<Record<Side, string>> = { a: "A", b: "B" };

export const strings = {
  title: "Two models answer. You judge.",
  lede: "Write one prompt. Two anonymous models answer side by side; after your vote you learn who they were.",
  promptLabel: "Your prompt",
  promptHint: "Ask anything…",
  send: "Start battle",
  sending: "Starting…",
  keys: "Enter to start, Shift + Enter for a new line",
  examplesLabel: "Or try one of these",
  examples: [
    "Explain to a ten-year-old why the sky is blue.",
    "Write a Python function that finds the longest palindrome in a string.",
    "Give me three dinner ideas with chickpeas, in a table.",
    "Write the first paragraph of a mystery set in a lighthouse.",
  ],
  notice: "Votes are published, what is written is not. Share nothing private.",
  noticeLink: "What is stored, and for how long",
  tooLong: (over: string) => `${over} characters too long`,
  count: (used: string, limit: string) => `${used} of ${limit} characters`,

  panesLabel: "Answers",
  switchLabel: "Which answer to show",
  newText: "new text",
  you: "You asked",
  model: (side: Side) => `Model ${SIDE_NAME[side]}`,
  answerOf: (side: Side) => `Answer of model ${SIDE_NAME[side]}`,
  copy: "Copy",
  copied: "Copied",
  copyCode: "Copy",
  copyAnswer: (side: Side) => `Copy answer ${SIDE_NAME[side]}`,
  jump: "Jump to end",
  more: "Show all",
  less: "Show less",
  taskDone: "done",
  taskOpen: "not done",
  image: "Image",

  waiting: "Waiting",
  thinking: "About to answer",
  writing: "Writing",
  finished: {
    stop: "Finished",
    length: "Stopped at the length limit",
    cancelled: "Stopped",
    failed: "Failed",
  } satisfies Record<FinishReason, string>,

  connecting: "Your battle has begun. Connecting to watch it",
  begun: "Finding two models for you",
  queued: (position: number) => (position <= 1 ? "You are next" : `You are ${ordinal(position)} in line`),
  loading: "Loading the models",
  about: (eta: string) => `about ${eta}`,
  elapsed: (time: string) => `${time} so far`,
  patience: "Still waiting. Your place is kept: you may close this page and come back to its address.",
  reconnecting: "Reconnecting. Nothing is lost.",

  stop: "Stop",
  stopping: "Stopping…",
  voteLabel: "Your vote",
  vote: { a: "A is better", tie: "Tie", both_bad: "Both bad", b: "B is better" } satisfies Record<Winner, string>,
  voteSoon: "You can vote when both have finished.",
  voteOpening: "Both have finished.",
  voteNow: "Which answer is better?",
  voteKeys: "Alt + 1 to 4",
  voting: "Counting your vote…",

  verdict: {
    a: "You preferred A",
    b: "You preferred B",
    tie: "You called it a tie",
    both_bad: "You found both bad",
  } satisfies Record<Winner, string>,
  versus: (a: string, b: string) => `A was ${a}, B was ${b}.`,
  counted: "Your vote moves the leaderboard.",
  chosen: "Your choice",
  newBattle: "New battle",
  again: "Same prompt, two new models",
  retry: "Try again with this prompt",
  board: "Leaderboard",
  facts: {
    parameters: "Size",
    quantization: "Weights",
    licence: "Licence",
    tokens: "Length",
    speed: "Speed",
    first: "First word",
    rating: "Rating",
  },
  tokens: (n: number) => `${n.toLocaleString("en")} ${n === 1 ? "token" : "tokens"}`,
  speed: (n: number) => `${n >= 10 ? Math.round(n) : n.toFixed(1)} tokens/s`,
  seconds: (n: number) => (n < 1 ? `${Math.round(n * 1_000)} ms` : `${n.toFixed(n < 10 ? 1 : 0)} s`),

  noVote: {
    cancelled: "You stopped this battle, so it cannot be judged.",
    operator: (reason: string | null) => `This battle was stopped by the operator${reason ? `: ${reason}` : "."}`,
    failed: "This battle failed, so it cannot be judged.",
    side: (side: Side) => `Model ${SIDE_NAME[side]} failed, so this battle cannot be judged.`,
    empty: "An answer stayed empty, so this battle cannot be judged.",
  },
  sideFailed: "This answer failed.",
  gone: "This battle cannot be shown",
  sessionOver: "Your session has ended. Reload the page to go on.",
  unreachable: "The arena could not be reached. Check your connection; your prompt is still here.",
  noAnswer: (status: number) => `The arena gave no usable answer (${status}). Try again in a moment.`,
  unexpected: "Something went wrong on this page. Reload it and try again.",
  retryIn: (time: string) => `Try again in about ${time}.`,

  say: {
    queued: "Your battle is in line.",
    loading: "The models are being loaded.",
    started: "Both models are answering.",
    finished: (side: Side) => `${SIDE_NAME[side]} has finished.`,
    votable: "Both have finished. You can vote.",
    revealed: (a: string, b: string) => `A was ${a}. B was ${b}.`,
    cancelled: "Stopped.",
    reconnected: "Connected again.",
  },
};

export function ordinal(n: number): string {
  const tens = n % 100;
  const suffix = tens >= 11 && tens <= 13 ? "th" : (["th", "st", "nd", "rd"][n % 10] ?? "th");
  return `${n}${suffix}`;
}

/** Whole seconds below a minute and a half, minutes above. */
export function duration(seconds: number): string {
  const s = Math.max(1, Math.round(seconds));
  return s < 90 ? `${s} s` : `${Math.round(s / 60)} min`;
}
