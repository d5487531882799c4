/** A command that failed, in words, with when to try again. */
import { duration, strings } from "../strings";
import type { Problem } from "../live/api";

export function ProblemNote({ problem }: { problem: Problem | null }) {
  if (!problem) return null;
  return (
    <p class="failure" role="alert">
      {problem.detail} {problem.retryAfterS !== null && strings.retryIn(duration(problem.retryAfterS))}
    </p>
  );
}
