/**
 * The proof of work that an arena may ask of a session before its first battle (see `web/challenge.py`).
 *
 * It is found on the page's own thread, in slices shorter than a frame: a worker could only be had by a script address
 * that the policy (`trusted-types 'none'`) allows nobody to make. SHA-256 is here because `crypto.subtle` answers with a
 * promise per hash, which costs ten times the hash itself, and is missing where an arena is served without TLS.
 */

export interface ProofOfWork {
  kind: "proof_of_work";
  seed: string;
  difficulty: number;
  token: string;
}

/** Longest slice of work between two breaths of the page. */
const SLICE_MS = 8;
/** Hashes between two looks at the clock. */
const BATCH = 256;

export function isProofOfWork(challenge: unknown): challenge is ProofOfWork {
  const c = challenge as Partial<ProofOfWork> | null;
  return c?.kind === "proof_of_work" && typeof c.seed === "string" && typeof c.token === "string"
    && typeof c.difficulty === "number";
}

/** What goes into the header `Arena-Challenge`. */
export async function answer(challenge: ProofOfWork): Promise<string> {
  let n = 0;
  for (;;) {
    const until = performance.now() + SLICE_MS;
    while (performance.now() < until) {
      for (const end = n + BATCH; n < end; n += 1) {
        if (zeroBits(`${challenge.seed}.${n}`) >= challenge.difficulty) return `${challenge.token}:${n}`;
      }
    }
    await new Promise((resolve) => setTimeout(resolve));
  }
}

const K = new Uint32Array([
  0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98,
  0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786,
  0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8,
  0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13,
  0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819,
  0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a,
  0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7,
  0xc67178f2,
]);
const W = new Uint32Array(64);
/** The longest text that fits one block of SHA-256; seeds and numbers are shorter. */
const LONGEST = 55;

/** Leading zero bits, up to 64, of the SHA-256 of a short ASCII text. */
export function zeroBits(text: string): number {
  if (text.length > LONGEST) throw new RangeError("too long for one block");
  W.fill(0, 0, 16);
  for (let i = 0; i < text.length; i += 1) W[i >> 2]! |= text.charCodeAt(i) << (24 - 8 * (i & 3));
  W[text.length >> 2]! |= 0x80 << (24 - 8 * (text.length & 3));
  W[15] = text.length * 8;
  for (let i = 16; i < 64; i += 1) {
    const x = W[i - 15]!;
    const y = W[i - 2]!;
    const s0 = turn(x, 7) ^ turn(x, 18) ^ (x >>> 3);
    const s1 = turn(y, 17) ^ turn(y, 19) ^ (y >>> 10);
    W[i] = W[i - 16]! + s0 + W[i - 7]! + s1;
  }
  let a = 0x6a09e667, b = 0xbb67ae85 | 0, c = 0x3c6ef372, d = 0xa54ff53a | 0;
  let e = 0x510e527f, f = 0x9b05688c | 0, g = 0x1f83d9ab, h = 0x5be0cd19;
  for (let i = 0; i < 64; i += 1) {
    const s1 = turn(e, 6) ^ turn(e, 11) ^ turn(e, 25);
    const t1 = (h + s1 + ((e & f) ^ (~e & g)) + K[i]! + W[i]!) | 0;
    const s0 = turn(a, 2) ^ turn(a, 13) ^ turn(a, 22);
    const t2 = (s0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
    h = g; g = f; f = e; e = (d + t1) | 0;
    d = c; c = b; b = a; a = (t1 + t2) | 0;
  }
  const first = (a + 0x6a09e667) | 0;
  return first === 0 ? 32 + Math.clz32((b + 0xbb67ae85) | 0) : Math.clz32(first);
}

function turn(x: number, n: number): number {
  return (x >>> n) | (x << (32 - n));
}
