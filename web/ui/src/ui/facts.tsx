/** What the reveal tells about one model, and what the vote did to its rating. */
import { strings } from "../strings";
import type { ModelFacts } from "../protocol.gen";

/** `now`: the rating since the board has taken the vote up. */
export function Facts({ facts, now }: { facts: ModelFacts; now: number | null }) {
  const rows: [string, string | null, string?][] = [
    [strings.facts.rating, rating(facts.rating, now)],
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

/** The rating in words, with what the vote did to it where that is known. */
function rating(before: number | null, now: number | null): string | null {
  if (now === null) return before === null ? null : String(Math.round(before));
  const change = before === null ? strings.firstRating : strings.change(Math.round(now) - Math.round(before));
  return `${Math.round(now)} (${change})`;
}
