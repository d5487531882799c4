/** What the reveal tells about one model. */
import { strings } from "../strings";
import type { ModelFacts } from "../protocol.gen";

export function Facts({ facts }: { facts: ModelFacts }) {
  const rows: [string, string | null, string?][] = [
    [strings.facts.parameters, facts.parameters || null],
    [strings.facts.quantization, facts.quantization || null],
    [strings.facts.tokens, facts.completion_tokens === null ? null : strings.tokens(facts.completion_tokens)],
    [strings.facts.speed, facts.tokens_per_s === null ? null : strings.speed(facts.tokens_per_s)],
    [strings.facts.first, facts.first_token_s === null ? null : strings.seconds(facts.first_token_s)],
    [strings.facts.rating, facts.rating === null ? null : String(Math.round(facts.rating))],
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
