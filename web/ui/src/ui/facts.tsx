/** What the reveal tells about one model, and what the vote did to its rating. */
import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import { readRatings } from "../live/api";
import { strings } from "../strings";
import type { ModelFacts } from "../protocol.gen";

/** When to look whether the board has been refitted, in ms after the reveal; then it is left alone. */
const LOOKS_MS = [1_500, 4_000, 10_000];

export function Facts({ facts, fresh }: { facts: ModelFacts; fresh: boolean }) {
  const rating = useRating(facts, fresh);
  const rows: [string, string | null, string?][] = [
    [strings.facts.rating, rating],
    [strings.facts.parameters, facts.parameters || null],
    [strings.facts.quantization, facts.quantization || null],
    [strings.facts.tokens, facts.completion_tokens === null ? null : strings.tokens(facts.completion_tokens)],
    [strings.facts.speed, facts.tokens_per_s === null ? null : strings.speed(facts.tokens_per_s)],
    [strings.facts.first, facts.first_token_s === null ? null : strings.seconds(facts.first_token_s)],
    [strings.facts.licence, facts.licence || null, facts.terms_url],
  ];
  return (
    <dl class="facts">
      {rows.filter(([, value]) => value !== null).map(([name, value, href]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{href ? <a href={href} target="_blank" rel="noopener noreferrer">{value}</a> : value}</dd>
        </div>
      ))}
    </dl>
  );
}

/** The rating in words; once the board has taken the vote in, with what changed since the reveal. */
function useRating(facts: ModelFacts, fresh: boolean): string | null {
  const after = useSignal<number | null>(null);
  useEffect(() => {
    if (!fresh) return;
    const look = async () => {
      const now = (await readRatings().catch(() => null))?.get(facts.id);
      if (now !== undefined && now !== facts.rating) after.value = now;
    };
    const timers = LOOKS_MS.map((ms) => setTimeout(() => after.value === null && void look(), ms));
    return () => timers.forEach(clearTimeout);
  }, [fresh, facts.id]);
  const now = after.value;
  if (now === null) return facts.rating === null ? null : String(Math.round(facts.rating));
  const change = facts.rating === null ? strings.firstRating : strings.change(Math.round(now) - Math.round(facts.rating));
  return `${Math.round(now)} (${change})`;
}
