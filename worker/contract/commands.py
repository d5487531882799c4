"""Operators' commands over Redis, for those who may not speak Celery's remote control: a closed set, answered once.

======================  ============================================================================================
``arena:commands:<worker>``  list of ids, read by that worker alone
``arena:command:<id>``       the request; whoever takes it deletes it, be it the worker or who asked and waited enough
``arena:answer:<id>``        list of the one answer
======================  ============================================================================================

So a command is carried out in time or never: a worker that comes too late finds nothing, and whoever asked knows from
:func:`withdraw` whether it was taken. A command's name and fields are those of ``celery -A worker inspect|control``.
To cancel a battle needs none: its flag (``channel.request_cancel``) reaches whoever has it, now or later.
"""

from __future__ import annotations

import secrets
from typing import Any, Literal

import msgspec

ANSWER_S = 5.0
"""How long an answer is waited for, at most."""
_KEPT_S = 60
_ABANDONED_S = 5.0
"""How much longer than its answer is waited for a request may lie there, should who asked die before taking it back."""


class _Command(msgspec.Struct, frozen=True, tag_field="command", forbid_unknown_fields=True):
    pass


class Load(_Command, frozen=True, tag="load"):
    model: str


class Unload(_Command, frozen=True, tag="unload"):
    model: str


class Sleep(_Command, frozen=True, tag="sleep"):
    model: str
    tier: Literal["l1", "l2"] = "l1"


class Wake(_Command, frozen=True, tag="wake"):
    model: str


class Pin(_Command, frozen=True, tag="pin"):
    model: str


class Unpin(_Command, frozen=True, tag="unpin"):
    model: str


class Drain(_Command, frozen=True, tag="drain"):
    pass


class Resume(_Command, frozen=True, tag="resume"):
    pass


class SetCapacity(_Command, frozen=True, tag="set_capacity"):
    capacity: int


class ReloadCatalog(_Command, frozen=True, tag="reload_catalog"):
    pass


class Engines(_Command, frozen=True, tag="engines"):
    pass


class Queue(_Command, frozen=True, tag="queue"):
    pass


class Memory(_Command, frozen=True, tag="memory"):
    pass


class Plan(_Command, frozen=True, tag="plan"):
    pass


class Battles(_Command, frozen=True, tag="battles"):
    pass


class Chats(_Command, frozen=True, tag="chats"):
    pass


class Operations(_Command, frozen=True, tag="operations"):
    """``which``: an operation's id or how many; empty: the latest."""

    which: str = ""


Command = (
    Load
    | Unload
    | Sleep
    | Wake
    | Pin
    | Unpin
    | Drain
    | Resume
    | SetCapacity
    | ReloadCatalog
    | Engines
    | Queue
    | Memory
    | Plan
    | Battles
    | Chats
    | Operations
)


class Request(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``by``: the id of the key it was asked with."""

    by: str
    command: Command


class Answer(msgspec.Struct, frozen=True):
    """``body``: what the Celery command of the same name answers; ``{"error": why}`` for a refusal."""

    worker: str
    body: dict[str, Any]


class Malformed(ValueError):  # noqa: N818
    """A request outside the closed set, as from a web side newer than this worker. ``id``: where its answer goes."""

    def __init__(self, id: str) -> None:  # noqa: A002
        super().__init__(f"request {id} is none of this worker's commands")
        self.id = id


def name_of(command: Command) -> str:
    """As after ``celery -A worker control``."""
    return str(command.__struct_config__.tag)


def arguments_of(command: Command) -> dict[str, Any]:
    """Its fields."""
    return msgspec.structs.asdict(command)


def _inbox(worker: str) -> str:
    return f"arena:commands:{worker}"


def _request(id: str) -> str:  # noqa: A002
    return f"arena:command:{id}"


def _answer(id: str) -> str:  # noqa: A002
    return f"arena:answer:{id}"


# ── who asks ─────────────────────────────────────────────────────────────────────────────────────────────────────


def send(redis: Any, worker: str, request: Request, limit_s: float = ANSWER_S) -> str:
    """Put a request before a worker; returns its id, to be withdrawn unless answered in ``limit_s``. Sync client."""
    made = secrets.token_hex(8)
    with redis.pipeline(transaction=True) as pipe:
        pipe.set(_request(made), msgspec.json.encode(request), px=int((limit_s + _ABANDONED_S) * 1000))
        pipe.rpush(_inbox(worker), made)
        pipe.expire(_inbox(worker), _KEPT_S)
        pipe.execute()
    return made


def receive(redis: Any, id: str, wait_s: float) -> Answer | None:  # noqa: A002
    """The answer, None when it has not come within ``wait_s``. Sync client; blocks a connection meanwhile."""
    found = redis.blpop([_answer(id)], timeout=max(0.05, wait_s))
    return msgspec.json.decode(found[1], type=Answer) if found else None


def withdraw(redis: Any, id: str) -> bool:  # noqa: A002
    """Take a request back: True when no worker has taken it, so that it will not be carried out. Sync client."""
    return bool(redis.delete(_request(id)))


# ── who answers ──────────────────────────────────────────────────────────────────────────────────────────────────


async def take(redis: Any, worker: str, wait_s: float) -> tuple[str, Request] | None:
    """The next request with its id; None when none came within ``wait_s``, or it came too late. Async client.

    Raises Malformed.
    """
    found = await redis.blpop([_inbox(worker)], timeout=wait_s)
    if not found:
        return None
    made = found[1].decode()
    raw = await redis.getdel(_request(made))
    if raw is None:
        return None
    try:
        return made, msgspec.json.decode(raw, type=Request)
    except msgspec.DecodeError:
        raise Malformed(made) from None


async def answer(redis: Any, id: str, said: Answer) -> None:  # noqa: A002
    """Async client."""
    async with redis.pipeline(transaction=True) as pipe:
        pipe.rpush(_answer(id), msgspec.json.encode(said))
        pipe.expire(_answer(id), _KEPT_S)
        await pipe.execute()
