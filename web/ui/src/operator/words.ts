/** Every word the operators' page shows. */
export const words = {
  asking: "Asking who you are…",
  title: "Operator",
  signIn: "Sign in",
  signingIn: "Signing in…",
  signOut: "Sign out",
  keyLabel: "An operator's key",
  keyHint: "Made with: flask --app web keys create NAME --scope admin",
  keyNote: "The page keeps no key: it becomes a cookie that no script can read, for twelve hours or until the key is revoked.",
  signedIn: (name: string) => `Signed in with key ${name}`,
  live: { live: "Live", connecting: "Connecting…", lost: "Connection lost; trying again" },
  noWorker: "No worker is there.",
  unreachable: "The arena could not be reached.",
  unusable: (status: number) => `The arena gave no usable answer (${status}).`,

  workers: "Workers",
  allWorkers: "All workers",
  workerHead: ["Worker", "State", "In memory", "Running", "Waiting", "Oldest waits", "Actions"],
  commandTo: (command: string, worker: string) => `${command} ${worker}`,
  answered: (worker: string, answer: string) => `${worker}: ${answer}`,
  workerGone: (since: string) => `gone for ${since}`,
  asItWas: "Dead, or cut off: below is what it last said. If it is dead, its battles begin again elsewhere.",
  workerSilent: (s: number) => `silent for ${s} s`,
  accepting: "takes battles",
  notAccepting: "takes no battles",
  running: "Running",
  waiting: "Waiting",
  oldest: "Oldest waits",
  answers: "Answers in the last minute",
  tokens: "Tokens in the last minute",
  failures: "Failures since it started",
  device: "GPU memory",
  host: "Host memory",
  reserved: (reserved: string, budget: string) => `${reserved} of ${budget}`,
  drain: "Drain",
  resume: "Resume",
  reload: "Reload catalog",
  capacity: "Engines in memory",
  set: "Set",

  engines: "Engines",
  engineHead: ["Model", "State", "Battles", "Memory", "Last minute", "Failures", "Actions"],
  seats: (leases: number, seats: number | null) => (seats ? `${leases} of ${seats}` : `${leases}`),
  failing: (s: number, why: string) => `for ${s} s: ${why}`,
  lately: (answers: number, rate: number | null) => `${answers} ${answers === 1 ? "answer" : "answers"}${rate === null ? "" : `, ${rate} tokens/s`}`,
  pinned: "pinned",
  remote: "elsewhere",
  command: {
    load: "Load", unload: "Unload", sleep: "Sleep", wake: "Wake", pin: "Pin", unpin: "Unpin",
  } as Readonly<Record<string, string>>,
  commandOf: (command: string, model: string) => `${words.command[command] ?? command} ${model}`,

  queue: "Queue",
  queueHead: ["Place", "Models", "Waiting", "Oldest", "Expected in", "At the latest in"],
  nobodyWaits: "Nobody waits.",
  battles: "Battles here",
  battleHead: ["Battle", "Models", "State", "Age", "Actions"],
  noBattles: "None.",
  chats: "Requests of /v1 here",
  chatHead: ["Request", "Model", "State", "Age"],
  noChats: "None.",
  cancel: "Cancel",
  cancelOf: (battle: string) => `Cancel battle ${battle}`,
  cancelNote: "Whoever began it reads this reason: name no model.",
  operations: "Operations",
  operationHead: ["Asked", "Command", "State", "Detail"],
  noOperations: "None yet.",

  models: "Who takes part",
  modelHead: ["Model", "Takes part", "Why not", "Actions"],
  yes: "yes",
  no: "no",
  until: (moment: string) => `no, until ${moment}`,
  enable: "Enable",
  disable: "Disable",
  timeOut: "Time out",
  minutes: "Minutes",

  votes: "Votes",
  voteHead: ["Vote", "Cast", "A", "B", "Winner", "Counts", "Session", "Actions"],
  winner: { a: "A", b: "B", tie: "tie", both_bad: "both bad" } as Readonly<Record<string, string>>,
  noVotes: "No votes yet.",
  flag: "Flag",
  unflag: "Unflag",
  flagOf: (command: string, id: number) => `${command} vote ${id}`,

  sessions: "Sessions that voted",
  sessionHead: ["Session", "Votes", "Counted", "Latest vote", "Set apart", "Actions"],
  noSessions: "Nobody has voted yet.",
  quarantine: "Quarantine",
  release: "Release",

  audit: "Audit log",
  auditHead: ["When", "Who", "What", "Of what", "Outcome", "Reason"],
  noAudit: "Nothing has been done yet.",

  more: "Show older",
  reason: "Reason",
  reasonNote: "Kept in the audit log.",
  confirm: "Do it",
  back: "Go back",
  done: "Done.",
};

export function seconds(value: number | null | undefined): string {
  if (value === null || value === undefined) return "–";
  if (value < 90) return `${Math.round(value)} s`;
  return value < 5400 ? `${Math.round(value / 60)} min` : `${Math.round(value / 3600)} h`;
}

/** Day and time, where the reader is. */
export function moment(iso: string | null): string {
  if (!iso) return "–";
  return new Date(iso).toLocaleString("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", second: "2-digit" });
}

export function short(id: string): string {
  return id.length > 12 ? `${id.slice(0, 10)}…` : id;
}
