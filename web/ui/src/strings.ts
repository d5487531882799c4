/**
 * Every word the island shows, once. The English words are the ids of the catalogues in `web/translations`;
 * `python -m ops.words` brings those up to date after a change here.
 */
import { _, lang, ngettext, number } from "./words";
import type { FinishReason, Side, Winner } from "./protocol.gen";

export const SIDE_NAME: Readonly<Record<Side, string>> = { a: "A", b: "B" };

export const strings = {
  title: _("Two models answer. You judge."),
  lede: _("Write one prompt. Two anonymous models answer side by side; after your vote you learn who they were."),
  promptLabel: _("Your prompt"),
  promptHint: _("Ask anything…"),
  send: _("Start battle"),
  sending: _("Starting…"),
  keys: _("Enter to start, Shift + Enter for a new line"),
  examplesLabel: _("Or try one of these"),
  examples: [
    _("Explain to a ten-year-old why the sky is blue."),
    _("Write a Python function that finds the longest palindrome in a string."),
    _("Give me three dinner ideas with chickpeas, in a table."),
    _("Write the first paragraph of a mystery set in a lighthouse."),
  ],
  named: {
    title: _("Compare two models of your choice"),
    note: _("Which of them is A stays hidden until you vote. The vote is kept, but does not move the leaderboard."),
    labels: [_("One model"), _("The other model")],
  },
  notice: _("Votes are published, what is written is not. Share nothing private."),
  noticeLink: _("What is stored, and for how long"),
  tooLong: (over: number) => ngettext("%(num)s character too long", "%(num)s characters too long", over),
  count: (used: number, limit: number) =>
    _("%(used)s of %(limit)s characters", { used: number(used), limit: number(limit) }),

  askLabel: _("Ask both something more"),
  askHint: _("Ask something more…"),
  ask: _("Ask both"),
  asking: _("Asking…"),
  askLater: _("You can go on once both have finished."),
  noMoreTurns: (n: number) =>
    ngettext("This battle has its %(num)s turn.", "This battle has its %(num)s turns.", n),
  turn: (n: number) => _("Turn %(n)s", { n: number(n) }),

  panesLabel: _("Answers"),
  switchLabel: _("Which answer to show"),
  newText: _("new text"),
  you: _("You asked"),
  model: (side: Side) => _("Model %(side)s", { side: SIDE_NAME[side] }),
  answerOf: (side: Side) => _("Answer of model %(side)s", { side: SIDE_NAME[side] }),
  copy: _("Copy"),
  copied: _("Copied"),
  copyCode: _("Copy"),
  copyAnswer: (side: Side) => _("Copy answer %(side)s", { side: SIDE_NAME[side] }),
  jump: _("Jump to end"),
  more: _("Show all"),
  less: _("Show less"),
  taskDone: _("done"),
  taskOpen: _("not done"),
  image: _("Image"),
  reasoningNow: _("Reasoning…"),
  reasoning: _("Reasoning"),
  reasoningCut: _("Reasoning, cut short"),

  waiting: _("Waiting"),
  thinking: _("About to answer"),
  writing: _("Writing"),
  finished: {
    stop: _("Finished"),
    length: _("Stopped at the length limit"),
    cancelled: _("Stopped"),
    failed: _("Failed"),
  } satisfies Record<FinishReason, string>,

  stoppedHere: _("Stopped here."),
  stoppedEarly: _("Stopped before the first word."),

  connecting: _("Your battle has begun. Connecting to watch it"),
  begun: _("Finding two models for you"),
  queued: (position: number) =>
    position <= 1 ? _("You are next") : _("You are %(place)s in line", { place: ordinal(position) }),
  loading: _("Loading the models"),
  about: (eta: string) => _("about %(time)s", { time: eta }),
  elapsed: (time: string) => _("%(time)s so far", { time }),
  patience: _("Still waiting. Your place is kept: you may close this page and come back to its address."),
  partsLate: _("Part of this page has not loaded yet. Trying again; you need not reload."),
  textLate: _("Shown as plain text: the formatting has not loaded yet. Trying again."),
  reconnecting: _("Reconnecting. Nothing is lost."),
  offline: _("You are offline. The answers go on without you and are here when you are back."),

  stop: _("Stop"),
  stopping: _("Stopping…"),
  voteLabel: _("Your vote"),
  vote: {
    a: _("A is better"),
    tie: _("Tie"),
    both_bad: _("Both bad"),
    b: _("B is better"),
  } satisfies Record<Winner, string>,
  voteSoon: _("You can vote when both have finished."),
  voteOpening: _("Both have finished."),
  voteNow: _("Which answer is better?"),
  voteKey: (n: number) => _("Alt %(n)s", { n }),
  stopKey: _("Esc"),
  undo: _("Undo"),
  commit: _("Count it now"),
  chosenUntil: _("About to count."),
  voteBefore: _("The newest answers are not complete. You can vote on the turns before them."),
  voting: _("Counting your vote…"),

  verdict: {
    a: _("You preferred A"),
    b: _("You preferred B"),
    tie: _("You called it a tie"),
    both_bad: _("You found both bad"),
  } satisfies Record<Winner, string>,
  versus: (a: string, b: string) => _("A was %(a)s, B was %(b)s.", { a, b }),
  counted: {
    true: _("Your vote moves the leaderboard."),
    false: _("You chose the pair, so your vote does not move the leaderboard."),
  },
  chosen: _("Your choice"),
  newBattle: _("New battle"),
  again: _("Same prompt, two new models"),
  retry: _("Two new models"),
  retryBoth: _("Let both answer again"),
  retrySide: (side: Side) => _("Let %(side)s answer again", { side: SIDE_NAME[side] }),
  board: _("Leaderboard"),
  facts: {
    parameters: _("Size"),
    quantization: _("Weights"),
    licence: _("Licence"),
    tokens: _("Length"),
    speed: _("Speed"),
    first: _("First word"),
    rating: _("Rating"),
  },
  change: (n: number) => n === 0
    ? _("unchanged by your vote")
    : _("%(change)s since your vote", { change: `${n > 0 ? "+" : "−"}${number(Math.abs(n))}` }),
  firstRating: _("new on the board"),
  tokens: (n: number) => ngettext("%(num)s token", "%(num)s tokens", n),
  speed: (n: number) => _("%(n)s tokens/s", { n: number(n, n >= 10 ? 0 : 1) }),
  seconds: (n: number) =>
    n < 1 ? _("%(n)s ms", { n: number(n * 1_000) }) : _("%(n)s s", { n: number(n, n < 10 ? 1 : 0) }),

  why: _("Say why"),
  whyHint: _("if you like; it helps those who study the votes"),
  whyOf: (side: Side) => _("Answer %(side)s was", { side: SIDE_NAME[side] }),
  reasons: {
    useful: _("Useful"),
    complete: _("Complete"),
    creative: _("Creative"),
    clear_formatting: _("Clearly formatted"),
    incorrect: _("Incorrect"),
    superficial: _("Superficial"),
    instructions_not_followed: _("Against instructions"),
  },
  commentLabel: _("Comment"),
  commentHint: _("Anything else about these answers?"),
  saveComment: _("Save comment"),
  saved: _("Saved."),

  share: _("Share"),
  shared: _("Shared"),
  shareLabel: _("Anybody with this address can read the battle"),
  copyLink: _("Copy address"),
  unshare: _("Stop sharing"),
  unshared: _("No longer shared."),

  remove: _("Delete"),
  removeSure: _("Delete for good?"),
  removeYes: _("Yes, delete"),
  removeNo: _("Keep"),
  removed: _("Deleted."),

  mine: {
    title: _("My battles"),
    lede: _("What you have asked in this browser. Nobody else sees this list."),
    loading: _("Looking for your battles"),
    none: _("No battles yet"),
    noneLede: _("Whatever you ask appears here, to be read again, shared or deleted."),
    first: _("Begin the first one"),
    more: _("Show older ones"),
    untold: _("The prompt is no longer stored."),
    turns: (n: number) => ngettext("%(num)s turn", "%(num)s turns", n),
    running: _("Being answered"),
    open: _("Waiting for your vote"),
    cancelled: _("Stopped"),
    failed: _("Failed"),
    over: _("Not voted"),
    versus: (a: string, b: string) => _("A: %(a)s, B: %(b)s", { a, b }),
    unranked: _("not on the board: you chose the pair"),
    again: _("Try again"),
    of: (action: string, prompt: string) => _("%(action)s: %(prompt)s", { action, prompt }),
  },

  noVote: {
    cancelled: _("You stopped this battle, so it cannot be judged."),
    operator: (reason: string | null) => reason
      ? _("This battle was stopped by the operator: %(reason)s", { reason })
      : _("This battle was stopped by the operator."),
    failed: _("This battle failed, so it cannot be judged."),
    side: (side: Side) =>
      _("Model %(side)s failed, so this battle cannot be judged.", { side: SIDE_NAME[side] }),
    empty: _("An answer stayed empty, so this battle cannot be judged."),
  },
  sideFailed: _("This answer failed."),
  gone: _("This battle cannot be shown"),
  sessionOver: _("Your session has ended. Reload the page to go on."),
  unreachable: _("The arena could not be reached. Check your connection; your prompt is still here."),
  noAnswer: (status: number) =>
    _("The arena gave no usable answer (%(status)s). Try again in a moment.", { status }),
  unexpected: _("Something went wrong on this page. Reload it and try again."),
  retryIn: (time: string) => _("Try again in about %(time)s.", { time }),

  say: {
    queued: _("Your battle is in line."),
    loading: _("The models are being loaded."),
    started: _("Both models are answering."),
    finished: (side: Side) => _("%(side)s has finished.", { side: SIDE_NAME[side] }),
    votable: _("Both have finished. You can vote."),
    chosen: (choice: string, seconds: number) => ngettext(
      "%(choice)s. It counts in %(num)s second; Escape undoes it.",
      "%(choice)s. It counts in %(num)s seconds; Escape undoes it.", seconds, { choice }),
    undone: _("Undone. You can vote."),
    asked: (turn: number) => _("Turn %(n)s has begun.", { n: number(turn) }),
    again: _("It is being answered again."),
    revealed: (a: string, b: string) => _("A was %(a)s. B was %(b)s.", { a, b }),
    cancelled: _("Stopped."),
    reconnected: _("Connected again."),
  },
};

const PLACES: Readonly<Partial<Record<Intl.LDMLPluralRule, string>>> = {
  one: _("%(n)sst"),
  two: _("%(n)snd"),
  few: _("%(n)srd"),
  other: _("%(n)sth"),
};

/** 1st, 2nd, 3rd, 4th: which ending fits is the language's own rule. */
export function ordinal(n: number): string {
  const form = new Intl.PluralRules(lang, { type: "ordinal" }).select(n);
  return (PLACES[form] ?? PLACES.other ?? "%(n)s").replace("%(n)s", String(n));
}

/** Whole seconds below a minute and a half, minutes above. */
export function duration(seconds: number): string {
  const s = Math.max(1, Math.round(seconds));
  return s < 90 ? _("%(n)s s", { n: number(s) }) : _("%(n)s min", { n: number(s / 60) });
}
