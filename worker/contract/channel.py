"""A battle's log and its live channel: publish and follow, side by side.

One Lua call appends to a Redis stream and publishes, and it alone assigns ``seq``; so order, resume cursor and the
fencing of a stale worker are one thing. Every function takes the redis client (sync, or ``redis.asyncio`` for those
that say so), and none keeps state.

======================  ============================================================================================
``arena:battle:<id>``        pub/sub channel; a message is ``<epoch> <seq> <frame>``
``arena:battle:<id>:log``    stream; entry ``<seq>-0`` has one field ``f``, the frame as it goes over the wire
``arena:battle:<id>:meta``   hash ``epoch``, ``seq``, ``attempt``
``arena:cancel:<id>``        who asked to cancel; announced on channel ``arena:cancel``
======================  ============================================================================================
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

from worker.contract.events import CancelledBy, StoredEvent, decode_event, encode

LOG_TTL_S = 24 * 3600
CANCEL_CHANNEL = "arena:cancel"
CANCEL_TTL_S = 3600

_APPEND = """
local current = tonumber(redis.call('HGET', KEYS[2], 'attempt') or '0')
local attempt = tonumber(ARGV[2])
if attempt > 0 then
  if attempt < current then return -1 end
  if attempt > current then redis.call('HSET', KEYS[2], 'attempt', attempt) end
end
redis.call('HSETNX', KEYS[2], 'epoch', ARGV[4])
local epoch = redis.call('HGET', KEYS[2], 'epoch')
local seq = 0
for i = 6, #ARGV do
  seq = redis.call('HINCRBY', KEYS[2], 'seq', 1)
  local frame = '{"battle":"' .. ARGV[5] .. '","seq":' .. seq .. ',' .. string.sub(ARGV[i], 2)
  redis.call('XADD', KEYS[1], seq .. '-0', 'f', frame)
  redis.call('PUBLISH', ARGV[1], epoch .. ' ' .. seq .. ' ' .. frame)
end
redis.call('EXPIRE', KEYS[1], ARGV[3])
redis.call('EXPIRE', KEYS[2], ARGV[3])
return seq
"""

_CLAIM = """
redis.call('HSETNX', KEYS[1], 'epoch', ARGV[2])
redis.call('EXPIRE', KEYS[1], ARGV[1])
return redis.call('HINCRBY', KEYS[1], 'attempt', 1)
"""


class StaleAttempt(Exception):  # noqa: N818 (named for what happened, like the rest of the field's words)
    """A newer attempt owns this battle's log; whoever gets this must stop generating and write nothing more."""

    def __init__(self, battle: str, attempt: int) -> None:
        super().__init__(f"attempt {attempt} of battle {battle} has been superseded")
        self.battle = battle
        self.attempt = attempt


@dataclass(frozen=True, slots=True)
class Frame:
    """One stored event as it goes over the wire: ``raw`` is JSON with ``battle``, ``seq`` and the event's fields."""

    epoch: str
    seq: int
    raw: bytes

    @property
    def event(self) -> StoredEvent:
        return decode_event(self.raw)


def channel_key(battle: str) -> str:
    return f"arena:battle:{battle}"


def log_key(battle: str) -> str:
    return f"arena:battle:{battle}:log"


def meta_key(battle: str) -> str:
    return f"arena:battle:{battle}:meta"


def cancel_key(battle: str) -> str:
    return f"arena:cancel:{battle}"


def _append_call(battle: str, events: Sequence[StoredEvent], attempt: int | None) -> tuple[list[str], list[Any]]:
    args = [channel_key(battle), attempt or 0, LOG_TTL_S, secrets.token_hex(4), battle]
    return [log_key(battle), meta_key(battle)], [*args, *(encode(e) for e in events)]


def publish(redis: Any, battle: str, events: Sequence[StoredEvent], attempt: int | None = None) -> int:
    """Append ``events`` in order and announce them; returns the last seq.

    Pass ``attempt`` when generating (a stale one raises StaleAttempt); web and records pass none and are never fenced.
    """
    keys, args = _append_call(battle, events, attempt)
    seq = int(redis.register_script(_APPEND)(keys=keys, args=args))
    if seq < 0:
        raise StaleAttempt(battle, attempt or 0)
    return seq


async def publish_async(redis: Any, battle: str, events: Sequence[StoredEvent], attempt: int | None = None) -> int:
    """:func:`publish` for a ``redis.asyncio`` client."""
    keys, args = _append_call(battle, events, attempt)
    seq = int(await redis.register_script(_APPEND)(keys=keys, args=args))
    if seq < 0:
        raise StaleAttempt(battle, attempt or 0)
    return seq


async def claim_attempt(redis: Any, battle: str) -> int:
    """Begin a generation: one atomic increment, 1 for the first. Async client."""
    script: Callable[..., Awaitable[Any]] = redis.register_script(_CLAIM)
    return int(await script(keys=[meta_key(battle)], args=[LOG_TTL_S, secrets.token_hex(4)]))


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


def request_cancel(redis: Any, battle: str, by: CancelledBy) -> None:
    """Ask whoever runs (or is about to run) this battle to stop it. Works before, during and without a worker."""
    with redis.pipeline(transaction=True) as pipe:
        pipe.set(cancel_key(battle), by, ex=CANCEL_TTL_S)
        pipe.publish(CANCEL_CHANNEL, battle)
        pipe.execute()


async def cancel_requested(redis: Any, battle: str) -> CancelledBy | None:
    """Who asked to cancel this battle, if anybody did. Async client."""
    by = await redis.get(cancel_key(battle))
    return cast(CancelledBy, _text(by)) if by else None


def _text(value: Any) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


def _field(fields: Any) -> bytes:
    value = fields[b"f"] if b"f" in fields else fields["f"]
    return value if isinstance(value, bytes) else value.encode()
