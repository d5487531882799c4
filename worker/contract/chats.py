"""A chat's own log: what ``/v1`` sends on to its caller while one model answers one request.

Like a battle's log (see channel.py), one Lua call appends and publishes, and it alone assigns ``seq``; a call that is
sent twice counts once, and an older attempt writes nothing more. Unlike it a chat has one reader, no past and no place
in the database: whoever reads it closes it, and with that its text is gone.

====================  ==============================================================================================
``arena:chat:<id>``        pub/sub channel; a message is ``<epoch> <seq> <frame>``
``arena:chat:<id>:log``    stream; entry ``<seq>-0`` has one field ``f``, the frame
``arena:chat:<id>:meta``   hash: ``epoch``, ``seq``, ``attempt``, ``call`` and ``call_seq`` (the last call), ``claim``,
                           ``over`` once it has ended or nobody reads it any more
====================  ==============================================================================================
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from worker.contract.events import Failure

LOG_TTL_S = 900
"""A log nobody closed is gone after this long without a word."""
_STALE = -1


class _Event(msgspec.Struct, frozen=True, tag_field="type", omit_defaults=True):
    pass


class ChatDelta(_Event, frozen=True, tag="chat.delta"):
    """More of the answer."""

    text: str

    def __repr__(self) -> str:
        return f"ChatDelta(<{len(self.text)} characters>)"


class ChatDone(_Event, frozen=True, tag="chat.done"):
    """The answer is complete; the counts are tokens."""

    finish_reason: Literal["stop", "length"]
    prompt_tokens: int
    completion_tokens: int


class ChatFailed(_Event, frozen=True, tag="chat.failed"):
    """Nothing more comes. ``retry_after_s``: when to ask again, where that is known.

    Codes are those of :class:`worker.contract.events.Failure`, and ``messages_refused``, ``cancelled``.
    """

    error: Failure
    retry_after_s: float | None = None


ChatEvent = ChatDelta | ChatDone | ChatFailed
ENDINGS = (ChatDone, ChatFailed)

_encoder = msgspec.json.Encoder()
_decoder: msgspec.json.Decoder[ChatEvent] = msgspec.json.Decoder(ChatEvent)


class ChatOver(Exception):  # noqa: N818 (named for what happened, as in channel.py)
    """It has ended, nobody reads it any more, or a newer attempt writes it: stop generating and write nothing more."""


@dataclass(frozen=True, slots=True)
class Claimed:
    """``attempt``: 1 for the first. ``seq``: the last entry; above 0 when an earlier one has said something already."""

    attempt: int
    seq: int


def channel_key(chat: str) -> str:
    return f"arena:chat:{chat}"


def log_key(chat: str) -> str:
    return f"arena:chat:{chat}:log"


def meta_key(chat: str) -> str:
    return f"arena:chat:{chat}:meta"


def decode(raw: bytes) -> ChatEvent:
    """Raises msgspec.DecodeError."""
    return _decoder.decode(raw)


# KEYS: meta. ARGV: ttl, token. Answers {attempt, seq}, or {-1} for one that is over.
_CLAIM = """
local m = redis.call('HMGET', KEYS[1], 'attempt', 'seq', 'claim', 'over')
if m[4] then return {-1} end
local attempt = tonumber(m[1] or '0')
if m[3] ~= ARGV[2] then
  attempt = attempt + 1
  redis.call('HSET', KEYS[1], 'attempt', attempt, 'claim', ARGV[2])
  redis.call('HSETNX', KEYS[1], 'epoch', ARGV[2])
  redis.call('EXPIRE', KEYS[1], ARGV[1])
end
return {attempt, tonumber(m[2] or '0')}
"""

# KEYS: log, meta. ARGV: channel, ttl, token, attempt, after, ends, frames... Answers seq, or -1. A log that is shorter
# than this attempt left it has lost what its reader was told, so nothing that could follow would fit.
_APPEND = """
local say, ttl, token, attempt, after = ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local m = redis.call('HMGET', KEYS[2], 'attempt', 'seq', 'call', 'call_seq', 'over', 'epoch')
if m[3] == token then return tonumber(m[4]) end
local seq = tonumber(m[2] or '0')
if m[5] or attempt ~= tonumber(m[1] or '0') or seq ~= after then return -1 end
for i = 7, #ARGV do
  seq = seq + 1
  redis.call('XADD', KEYS[1], seq .. '-0', 'f', ARGV[i])
  redis.call('PUBLISH', say, m[6] .. ' ' .. seq .. ' ' .. ARGV[i])
end
redis.call('HSET', KEYS[2], 'seq', seq, 'call', token, 'call_seq', seq)
if ARGV[6] == '1' then redis.call('HSET', KEYS[2], 'over', '1') end
redis.call('EXPIRE', KEYS[1], ttl)
redis.call('EXPIRE', KEYS[2], ttl)
return seq
"""


async def claim(redis: Any, chat: str) -> Claimed:
    """Begin an attempt. Async client. Raises ChatOver."""
    found = await redis.register_script(_CLAIM)(keys=[meta_key(chat)], args=[LOG_TTL_S, secrets.token_hex(6)])
    if int(found[0]) == _STALE:
        raise ChatOver
    return Claimed(int(found[0]), int(found[1]))


async def publish(redis: Any, chat: str, events: Sequence[ChatEvent], attempt: int, after: int) -> int:
    """Append ``events`` behind entry ``after`` and announce them; the last one's seq. Async client. Raises ChatOver."""
    ends = int(any(isinstance(e, ENDINGS) for e in events))
    said = [channel_key(chat), LOG_TTL_S, secrets.token_hex(6), attempt, after, ends]
    frames = [_encoder.encode(e) for e in events]
    seq = int(await redis.register_script(_APPEND)(keys=[log_key(chat), meta_key(chat)], args=[*said, *frames]))
    if seq == _STALE:
        raise ChatOver
    return seq


def read(redis: Any, chat: str, after: int = 0) -> tuple[str, list[tuple[int, bytes]]]:
    """The log's epoch, empty while nobody has begun, and ``(seq, frame)`` of what follows ``after``. Sync client."""
    with redis.pipeline(transaction=True) as pipe:
        pipe.hget(meta_key(chat), "epoch")
        pipe.xrange(log_key(chat), min=f"({after}-0")
        epoch, entries = pipe.execute()
    return (epoch or b"").decode(), [(int(name.split(b"-")[0]), fields[b"f"]) for name, fields in entries]


def close(redis: Any, chat: str) -> None:
    """Nobody reads it any more: its text goes now, and nothing is written to it again. Sync client."""
    with redis.pipeline(transaction=True) as pipe:
        pipe.hset(meta_key(chat), "over", "1")
        pipe.expire(meta_key(chat), LOG_TTL_S)
        pipe.delete(log_key(chat))
        pipe.execute()
