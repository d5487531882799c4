"""What one side has said so far, how it ended, and the words for each way of failing. None of it names a model."""

from __future__ import annotations

from dataclasses import dataclass, field

from worker.contract import events as ev
from worker.contract.events import Failure, FinishReason, Side
from worker.contract.jobs import SideResult, Timings
from worker.engines import Piece

OVERFLOW = Failure("context_overflow", "The prompt is too long for this model. Try a shorter one.", retryable=False)
DIED = Failure("engine_failed", "This model stopped while answering. Try again.")
INTERNAL = Failure("internal", "Something went wrong while answering. Try again.")
UNAVAILABLE = Failure("load_failed", "A model of this pair could not be started. Start a new battle.")
TOO_LATE = Failure("deadline_exceeded", "The answer took too long and was given up.")
TOO_OFTEN = Failure("internal", "This battle was interrupted too many times and was given up.")


@dataclass(slots=True)
class Answer:
    """Grows as pieces come. Times are seconds since the lease."""

    text: list[str] = field(default_factory=list)
    prompt_tokens: int = 0
    completion_tokens: int = 0
    first_token_s: float | None = None
    duration_s: float = 0.0
    finish_reason: FinishReason | None = None
    error: Failure | None = None

    def take(self, piece: Piece, at: float) -> None:
        """One more piece, ``at`` seconds after the lease."""
        self.prompt_tokens = piece.prompt_tokens
        self.completion_tokens = piece.completion_tokens
        if piece.text:
            if self.first_token_s is None:
                self.first_token_s = at
            self.text.append(piece.text)
        if piece.finish_reason is not None:
            self.finish_reason = piece.finish_reason

    def fail(self, error: Failure) -> None:
        """It ended badly; what was said stands."""
        self.finish_reason = "failed"
        self.error = error

    def ending(self, side: Side) -> ev.SideDone | ev.SideFailed:
        """The event that tells how it ended; a side that was stopped before its end is cancelled."""
        if self.error is not None:
            return ev.SideFailed(side, self.error)
        return ev.SideDone(side, self.finish_reason or "cancelled")

    def result(self, queued_s: float) -> SideResult:
        """What the records keep."""
        return SideResult(
            text="".join(self.text),
            finish_reason=self.finish_reason or "cancelled",
            prompt_tokens=self.prompt_tokens,
            completion_tokens=self.completion_tokens,
            timings=Timings(queued_s, self.first_token_s, self.duration_s),
            error=self.error,
        )
