/** What `/api/admin` answers, and what its events tell (`worker/contract/watch.py`). */

export interface Engine {
  state: string;
  leases: number;
  seats: number | null;
  loads: number;
  pinned: boolean;
  reserved: string;
  tier?: string;
  failed_for_s?: number;
  why?: string;
  crashes?: number;
  remote?: boolean;
  retiring?: string;
}

export interface Ledger {
  budget: string;
  reserved: string;
  budget_bytes: number | null;
  reserved_bytes: number;
}

export interface Group {
  place: number;
  models: string;
  waiting: number;
  oldest_s: number | null;
  eta_s: number | null;
  starts_within_s: number | null;
}

export interface Operation {
  operation: string;
  command: string;
  state: string;
  asked: string;
  detail?: string;
}

export interface Work {
  answers: number;
  tokens: number;
  tokens_per_s: number | null;
  failures: Record<string, number>;
}

export interface Board {
  type: "worker";
  worker: string;
  at: number;
  accepting: boolean;
  engines: { capacity: number; running: number; waiting: number; engines: Record<string, Engine> };
  queue: { waiting: number; oldest_s: number | null; line: Group[] };
  memory: { device: Ledger | null; host: Ledger };
  battles: Record<string, { a: string; b: string; age_s: number; state: string }>;
  /** Workers older than this page tell of none. */
  chats?: Record<string, { model: string; age_s: number; state: string }>;
  operations: Operation[];
  throughput: Record<string, Work>;
}

export type What = "models" | "votes" | "sessions" | "keys" | "battles" | "workers";
export type Told = Board | { type: "changed"; what: What; subject: string } | { type: "bye"; reconnect_after_ms: number };

export interface Who {
  id: string;
  name: string;
}

export interface Standing {
  id: string;
  name: string;
  takes_part: boolean;
  enabled: boolean;
  out_until: string | null;
  reason: string;
}

export interface Vote {
  id: number;
  battle_id: string;
  owner: string;
  winner: string;
  model_a: string;
  model_b: string;
  counted: boolean;
  reasons: string[];
  created_at: string;
}

export interface Voter {
  owner: string;
  votes: number;
  counted: number;
  newest_vote_at: string | null;
  quarantined_at: string | null;
  reason: string;
}

export interface AuditLine {
  at: string;
  by: string;
  action: string;
  target: string;
  reason: string;
  outcome: string;
  detail: string;
  worker: string | null;
}

export interface Answers {
  answers: { worker: string; ok?: string | null; error?: string | null }[];
}
