"""What one side has said so far, how it ended, and the words for each way of failing. None of it names a model."""

from __future__ import annotations

from dataclasses import dataclass, field

from worker.contract import events as ev
from worker.contract.events import Failure, FinishReason, Side
from worker.contract.jobs import SideResult, Timings
from worker.engines import Piece

OVERFLOW = Failure(
    "context_overflow", "This conversation is too long for these models. Try a shorter prompt.", retryable=False
)
DIED = Failure("engine_failed", "This model could not finish its answer. Try again.")
INTERNAL = Failure("internal", "Something went wrong while answering. Try again.")
UNAVAILABLE = Failure("load_failed", "A model of this pair could not be started. Start a new battle.")
PREEMPTED = Failure("preempted", "This answer took too long while others were waiting.")
TOO_LATE = Failure("deadline_exceeded", "The answer took too long and was given up.")
TOO_OFTEN = Failure("internal", "This battle was interrupted too many times and was given up.")


def overloaded(retry_after_s: float) -> Failure:
    """Too many wait already; ``retry_after_s`` is told in whole seconds."""
    wait = max(round(retry_after_s), 1)
    about = "a second" if wait == 1 else f"{wait} seconds"
    return Failure("overloaded", f"Too many battles are waiting. Please try again in about {about}.")


@dataclass(slots=True)
class Answer:
    """Grows as pieces come. ``queued_s``: received to leased; the other times are seconds since the lease."""

    text: list[str] = field(default_factory=list)
    prompt_tokens: int = 0
    completion_tokens: int = 0
    queued_s: float | None = None
    first_token_s: float | None = None
    duration_s: float = 0.0
    finish_reason: FinishReason | None = None
    error: Failure | None = None
    stands: SideResult | None = None
    """What it is, when the turn is tried again for the other side's sake only."""

    @classmethod
    def standing(cls, result: SideResult) -> Answer:
        """One that was given before and is not given again."""
        return cls([result.text], finish_reason=result.finish_reason, error=result.error, stands=result)

    @property
    def ended(self) -> bool:
        """Nothing more will be said."""
        return self.finish_reason is not None

    @property
    def said(self) -> str:
        return "".join(self.text)

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

    def result(self, waited_s: float) -> SideResult:
        """What the records keep. ``waited_s``: how long this side had waited if it never got an engine."""
        if self.stands is not None:
            return self.stands
        queued = waited_s if self.queued_s is None else self.queued_s
        return SideResult(
            text=self.said,
            finish_reason=self.finish_reason or "cancelled",
            prompt_tokens=self.prompt_tokens,
            completion_tokens=self.completion_tokens,
            timings=Timings(queued, self.first_token_s, self.duration_s),
            error=self.error,
        )
