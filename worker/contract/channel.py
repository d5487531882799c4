"""A battle's log and its live channel: publish and follow, side by side.

One Lua call appends to a Redis stream and publishes, and it alone assigns ``seq``; so order, resume cursor and the
fencing of a stale worker are one thing. Every function takes the redis client (sync, or ``redis.asyncio`` for those
that say so), and none keeps state. A call that is sent twice, because its answer was lost, counts once.

======================  ============================================================================================
``arena:battle:<id>``        pub/sub channel; a message is ``<epoch> <seq> <frame>``
``arena:battle:<id>:log``    stream; entry ``<seq>-0`` has one field ``f``, the frame as it goes over the wire
``arena:battle:<id>:meta``   hash: who counts, see log_scripts.py
``arena:cancel:<id>``        who asked to cancel which turn, and why; announced on channel ``arena:cancel``
======================  ============================================================================================
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from worker.contract.events import (
    BattleCancelled,
    BattleFailed,
    BattleVotable,
    CancelledBy,
    StoredEvent,
    TurnRetried,
    TurnStarted,
    decode_event,
    encode,
)
from worker.contract.log_scripts import APPEND, CLAIM, CLOSE, LOST, STALE

LOG_TTL_S = 24 * 3600
CANCEL_CHANNEL = "arena:cancel"
CANCEL_TTL_S = 3600

_ENDINGS = (BattleVotable, BattleFailed, BattleCancelled)
_RETRIES = 1000
"""More than there can be of one turn."""


class StaleAttempt(Exception):  # noqa: N818 (named for what happened, like the rest of the field's words)
    """A newer attempt owns this battle's log, or its turn is over: stop generating and write nothing more."""

    def __init__(self, battle: str, attempt: int) -> None:
        super().__init__(f"attempt {attempt} of battle {battle} has been superseded")
        self.battle = battle
        self.attempt = attempt


class LogLost(Exception):  # noqa: N818
    """The log does not hold what this writer wrote into it."""

    def __init__(self, battle: str) -> None:
        super().__init__(f"the log of battle {battle} was lost, or its end")


class Answered(Exception):  # noqa: N818
    """The turn has been answered and need not be again. ``result``: what it came to, as the attempt left it."""

    def __init__(self, battle: str, result: bytes) -> None:
        super().__init__(f"battle {battle} has been answered")
        self.result = result


@dataclass(frozen=True, slots=True)
class Frame:
    """One stored event as it goes over the wire: ``raw`` is JSON with ``battle``, ``seq`` and the event's fields."""

    epoch: str
    seq: int
    raw: bytes

    @property
    def event(self) -> StoredEvent:
        return decode_event(self.raw)


class Cancel(msgspec.Struct, frozen=True, omit_defaults=True):
    """A wish that a turn (its retry) end. ``turn`` 0: whichever is being answered. ``reason``: an operator's words."""

    by: CancelledBy
    reason: str = ""
    turn: int = 0
    retry: int = 0

    def means(self, turn: int, retry: int) -> bool:
        """Whether it is about that turn and retry: one that was about an earlier one ends nothing."""
        return self.turn == 0 or (self.turn, self.retry) == (turn, retry)


def _place(turn: int, retry: int) -> int:
    """The log's number of a turn and its retry: each new beginning has a greater one."""
    return turn * _RETRIES + retry


def channel_key(battle: str) -> str:
    return f"arena:battle:{battle}"


def log_key(battle: str) -> str:
    return f"arena:battle:{battle}:log"


def meta_key(battle: str) -> str:
    return f"arena:battle:{battle}:meta"


def cancel_key(battle: str) -> str:
    return f"arena:cancel:{battle}"


def _append_call(
    battle: str,
    events: Sequence[StoredEvent],
    attempt: int | None,
    place: int = 0,
    after: int = 0,
    fresh: bool = False,
    result: bytes = b"",
) -> tuple[list[str], list[Any]]:
    begun = [_place(e.turn, 0) for e in events if isinstance(e, TurnStarted)]
    begun += [_place(e.turn, e.retry) for e in events if isinstance(e, TurnRetried)]
    ends = any(isinstance(e, _ENDINGS) for e in events)
    args = [channel_key(battle), LOG_TTL_S, _token(), battle, attempt or 0, max([place, *begun]), after]
    said = [int(ends), int(fresh), result, int(bool(begun)), *(encode(e) for e in events)]
    return [log_key(battle), meta_key(battle)], [*args, *said]


def _token() -> str:
    return secrets.token_hex(6)


def _appended(answer: Any, battle: str, attempt: int | None) -> int:
    seq = int(answer)
    if seq == STALE:
        raise StaleAttempt(battle, attempt or 0)
    if seq == LOST:
        raise LogLost(battle)
    return seq


def publish(
    redis: Any,
    battle: str,
    events: Sequence[StoredEvent],
    attempt: int | None = None,
    *,
    turn: int = 0,
    retry: int = 0,
) -> int:
    """Append ``events`` in order and announce them; returns the last seq.

    Pass ``attempt`` when generating (a stale one raises StaleAttempt); web and records pass none and are never fenced.
    An ending told by them is the end of the turn: whoever still generates it is stale from then on. A turn, and a retry
    of it, begins once: what is published together with the beginning of one that has begun is dropped, and so is what
    is said of a ``turn`` (and its ``retry``) that has been followed by another.
    """
    place = _place(turn, retry) if attempt is None else 0
    keys, args = _append_call(battle, events, attempt, place)
    return _appended(redis.register_script(APPEND)(keys=keys, args=args), battle, attempt)


async def publish_async(
    redis: Any,
    battle: str,
    events: Sequence[StoredEvent],
    attempt: int | None = None,
    *,
    turn: int = 0,
    retry: int = 0,
    after: int = 0,
    fresh: bool = False,
    result: bytes = b"",
) -> int:
    """:func:`publish` for a ``redis.asyncio`` client.

    ``turn`` and ``after`` say what the log must hold: that turn's beginning, and entries up to that seq. Raises LogLost
    when it does not, as after a server came back without its newest data; the writer then tells the turn again from
    its beginning into a ``fresh`` log, with a new epoch. ``result``: what the attempt came to, kept until the turn's
    outcome is told; from then on :func:`claim_attempt` raises Answered.
    """
    keys, args = _append_call(battle, events, attempt, _place(turn, retry), after, fresh, result)
    return _appended(await redis.register_script(APPEND)(keys=keys, args=args), battle, attempt)


async def claim_attempt(redis: Any, battle: str, turn: int = 1, known: int = 0, retry: int = 0) -> int:
    """Begin a generation: one atomic increment, 1 for a battle's first. Async client.

    ``known``: attempts known from elsewhere, in case the log was lost. Raises StaleAttempt when the turn is over and
    Answered when an earlier attempt came to its end: neither may be generated again.
    """
    script: Callable[..., Awaitable[Any]] = redis.register_script(CLAIM)
    claimed, *kept = await script(keys=[meta_key(battle)], args=[LOG_TTL_S, _token(), _place(turn, retry), known])
    if kept:
        raise Answered(battle, kept[0] if isinstance(kept[0], bytes) else kept[0].encode())
    if int(claimed) == STALE:
        raise StaleAttempt(battle, 0)
    return int(claimed)


def newest_attempt(redis: Any, battle: str) -> int:
    """0 while no worker has begun; ahead of the database, which learns of it later."""
    return int(redis.hget(meta_key(battle), "attempt") or 0)


def kept_result(redis: Any, battle: str) -> bytes | None:
    """What the battle's last turn came to, while its outcome has not been told."""
    kept: bytes | None = redis.hget(meta_key(battle), "result")
    return kept


def close(redis: Any, battle: str) -> None:
    """Forget all that was said in this battle; whoever still generates for it is stale, and no turn begins any more."""
    args = [LOG_TTL_S, channel_key(battle)]
    redis.register_script(CLOSE)(keys=[log_key(battle), meta_key(battle)], args=args)


def read_log(redis: Any, battle: str, after: int = 0) -> tuple[str | None, list[Frame]]:
    """``(epoch, frames with seq > after)``; epoch is None when the log does not exist (never begun, or expired)."""
    with redis.pipeline(transaction=True) as pipe:
        pipe.hget(meta_key(battle), "epoch")
        pipe.xrange(log_key(battle), min=f"({after}-0")
        raw_epoch, entries = pipe.execute()
    if raw_epoch is None:
        return None, []
    epoch = _text(raw_epoch)
    frames = [Frame(epoch, int(_text(i).split("-")[0]), _field(fields)) for i, fields in entries]
    return epoch, frames


def parse_announcement(data: bytes) -> Frame:
    """A pub/sub message as a frame; the frame's bytes are not decoded."""
    epoch, seq, raw = data.split(b" ", 2)
    return Frame(epoch.decode(), int(seq), raw)


def follow(redis: Any, battle: str, after: int = 0, timeout: float | None = None) -> Iterator[Frame]:
    """Every frame after ``after``, once each and in order: subscribe first, replay, then live.

    Ends never by itself; raises TimeoutError after ``timeout`` seconds without a new frame.
    """
    pubsub = redis.pubsub(ignore_subscribe_messages=False)
    try:
        pubsub.subscribe(channel_key(battle))
        pubsub.get_message(timeout=5.0)  # the confirmation: from here on nothing is missed
        _, frames = read_log(redis, battle, after)
        last = after
        for frame in frames:
            yield frame
            last = frame.seq
        while True:
            message = pubsub.get_message(timeout=timeout)
            if message is None:
                raise TimeoutError(f"nothing new on battle {battle} for {timeout} s")
            if message["type"] != "message":
                continue
            frame = parse_announcement(message["data"])
            if frame.seq > last:
                yield frame
                last = frame.seq
    finally:
        pubsub.close()


def expire(redis: Any, battle: str, seconds: int) -> None:
    """Forget the log after so long, unless more is said in it."""
    with redis.pipeline(transaction=True) as pipe:
        pipe.expire(log_key(battle), seconds)
        pipe.expire(meta_key(battle), seconds)
        pipe.execute()


def request_cancel(
    redis: Any, battle: str, by: CancelledBy, reason: str = "", *, turn: int = 0, retry: int = 0
) -> None:
    """Ask whoever runs (or is about to run) this turn to stop it. Works before, during and without a worker."""
    wish = msgspec.json.encode(Cancel(by, reason, turn, retry))
    with redis.pipeline(transaction=True) as pipe:
        pipe.set(cancel_key(battle), wish, ex=CANCEL_TTL_S)
        pipe.publish(CANCEL_CHANNEL, battle)
        pipe.execute()


async def cancel_requested(redis: Any, battle: str) -> Cancel | None:
    """Who asked to cancel a turn of this battle, if anybody did. Async client."""
    wish = await redis.get(cancel_key(battle))
    try:
        return msgspec.json.decode(wish, type=Cancel) if wish else None
    except msgspec.DecodeError:  # of another version, as during an update: it is asked again, or not at all
        return None


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _field(fields: Any) -> bytes:
    value = fields[b"f"] if b"f" in fields else fields["f"]
    return value if isinstance(value, bytes) else value.encode()
