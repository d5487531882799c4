"""What travels through Celery: the job web sends, the messages and the result the worker answers with.

Prompts and answers are inside, so every type here hides them from ``repr`` and every sender must pass ``argsrepr``
(see :func:`private`): Celery writes reprs into logs, events, message headers and ``inspect active``.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from worker.contract.events import CancelledBy, Failure, FinishReason

QUEUE_BATTLES = "battles"
"""Read by every worker; each also reads one of its own, see :func:`queue_of`."""
QUEUE_RECORDS = "records"
RUN_BATTLE = "worker.run_battle"
RUN_CHAT = "worker.run_chat"
RECORDS_STARTED = "records.started"
"""args: ``(battle_id, turn, attempt)``: generation of that attempt has been claimed."""
RECORDS_FINISHED = "records.finished"
"""args: ``(BattleResult as builtins,)``."""
RECORDS_FAILED = "records.failed"
"""args: ``(task_id,)`` as Celery's errback gives it; see :func:`task_id`."""


class Message(msgspec.Struct, frozen=True):
    role: Literal["system", "user", "assistant"]
    content: str

    def __repr__(self) -> str:
        return f"Message(role={self.role!r}, content=<{len(self.content)} characters>)"


class Sampling(msgspec.Struct, frozen=True):
    """Sampling of one side; ``None`` means the catalog's default for that model."""

    max_tokens: Annotated[int, msgspec.Meta(ge=1)] | None = None
    temperature: Annotated[float, msgspec.Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, msgspec.Meta(gt=0, le=1)] | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()

    def __repr__(self) -> str:  # stop strings are people's words
        numbers = f"max_tokens={self.max_tokens}, temperature={self.temperature}, top_p={self.top_p}, seed={self.seed}"
        return f"Sampling({numbers}, stop=<{len(self.stop)} strings>)"


class ChatJob(msgspec.Struct, frozen=True):
    """One request of ``/v1`` to one model; what becomes of it is told on its own log (see chats.py), and nowhere else.

    ``deadline`` and ``session`` as for a battle. ``stream``: its reader wants the text as it comes, so an answer that
    was begun cannot be begun anew; without it nothing is told before the answer is complete.
    """

    id: str
    side: SideJob
    deadline: float
    session: str = ""
    stream: bool = False

    @property
    def task(self) -> str:
        """The Celery task id it goes by."""
        return self.id


class Timings(msgspec.Struct, frozen=True):
    """Seconds. ``queued_s``: job received to lease; ``first_token_s`` and ``duration_s`` count from the lease."""

    queued_s: float = 0.0
    first_token_s: float | None = None
    duration_s: float = 0.0


class SideResult(msgspec.Struct, frozen=True):
    """How one side ended. ``error`` exactly when ``finish_reason`` is ``failed``."""

    text: str
    finish_reason: FinishReason
    prompt_tokens: int = 0
    completion_tokens: int = 0
    timings: Timings = Timings()
    error: Failure | None = None

    def __repr__(self) -> str:
        return f"SideResult({self.finish_reason}, {self.completion_tokens} tokens)"


class SideResults(msgspec.Struct, frozen=True):
    a: SideResult
    b: SideResult


class SideJob(msgspec.Struct, frozen=True):
    """``answered``: this side is not to be answered, that answer stands; the other side is tried once more."""

    model: str
    messages: tuple[Message, ...]
    sampling: Sampling = Sampling()
    answered: SideResult | None = None


class SideJobs(msgspec.Struct, frozen=True):
    a: SideJob
    b: SideJob


class BattleJob(msgspec.Struct, frozen=True):
    """One turn of one battle. ``deadline``: unix seconds after which the answer is of no use to anybody.

    ``session``: an opaque word that is the same for all battles of one person, so that engines are shared fairly.
    ``attempts``: how many have begun as far as the sender knows; a log that was lost counts on from there.
    ``retry``: how often this turn was asked for again; ``before``: attempts that served earlier turns and retries.
    """

    battle_id: str
    turn: int
    sides: SideJobs
    deadline: float
    session: str = ""
    attempts: int = 0
    retry: int = 0
    before: int = 0

    @property
    def task(self) -> str:
        """The Celery task id it goes by."""
        return task_id(self.battle_id, self.turn, self.retry)


class BattleResult(msgspec.Struct, frozen=True):
    """What became of one attempt. ``cancelled_by``, with the operator's words, is set when a cancel ended it."""

    battle_id: str
    turn: int
    attempt: int
    sides: SideResults
    cancelled_by: CancelledBy | None = None
    cancel_reason: str = ""
    retry: int = 0

    def __repr__(self) -> str:
        which = f"{self.battle_id} turn {self.turn} attempt {self.attempt}"
        return f"BattleResult({which}: {self.sides.a} | {self.sides.b})"

    def __json__(self) -> Any:  # kombu's JSON encoder asks for this
        return msgspec.to_builtins(self)


def votable(result: BattleResult) -> bool:
    """A battle can be voted when both sides are non-empty and ended by ``stop`` or ``length``."""
    return ended_well(result.sides.a.finish_reason, result.sides.a.text) and ended_well(
        result.sides.b.finish_reason, result.sides.b.text
    )


def ended_well(finish_reason: str, text: str) -> bool:
    """Whether a side's answer can be judged."""
    return bool(text.strip()) and finish_reason in ("stop", "length")


def queue_of(worker: str | None) -> str:
    """The queue that only this worker reads; the common one for None."""
    return f"{QUEUE_BATTLES}.{worker}" if worker else QUEUE_BATTLES


def models_of(job: BattleJob | ChatJob) -> tuple[str, ...]:
    """The models that must be on one worker to serve the job, without repeats."""
    if isinstance(job, ChatJob):
        return (job.side.model,)
    return tuple(dict.fromkeys((job.sides.a.model, job.sides.b.model)))


def task_id(battle_id: str, turn: int, retry: int = 0) -> str:
    """The Celery task id of a turn, and of each retry of it: a job can be found by the battle it serves."""
    return f"{battle_id}.{turn}r{retry}" if retry else f"{battle_id}.{turn}"


def battle_of(task: str) -> tuple[str, int, int]:
    """``(battle_id, turn, retry)`` of a task id made by :func:`task_id`."""
    battle_id, _, place = task.rpartition(".")
    turn, _, retry = place.partition("r")
    return battle_id, int(turn), int(retry or 0)


def private(subject: str) -> dict[str, str]:
    """Options for ``send_task``, ``apply_async`` and link signatures that keep arguments out of every repr."""
    return {"argsrepr": f"<{subject}>", "kwargsrepr": "{}"}


def encode_job(job: BattleJob) -> dict[str, Any]:
    """Plain data for a Celery message."""
    builtins: dict[str, Any] = msgspec.to_builtins(job)
    return builtins


def decode_job(data: Any) -> BattleJob:
    """Raises msgspec.ValidationError naming the offending field."""
    return msgspec.convert(data, BattleJob)


def encode_chat(job: ChatJob) -> dict[str, Any]:
    """Plain data for a Celery message."""
    builtins: dict[str, Any] = msgspec.to_builtins(job)
    return builtins


def decode_chat(data: Any) -> ChatJob:
    """Raises msgspec.ValidationError naming the offending field."""
    return msgspec.convert(data, ChatJob)


def encode_result(result: BattleResult) -> bytes:
    """As the log keeps it."""
    return msgspec.json.encode(result)


def read_result(kept: bytes) -> BattleResult:
    """The inverse of :func:`encode_result`."""
    return msgspec.json.decode(kept, type=BattleResult)


def decode_result(data: Any) -> BattleResult:
    """Raises msgspec.ValidationError naming the offending field."""
    return msgspec.convert(data, BattleResult)
