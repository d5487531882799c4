"""Answers given at temperature 0, kept for whoever asks exactly the same: opt-in, bounded, and never for battles.

The key is a digest, under the arena's own secret, of the model as the catalog describes it, the messages and every
parameter: from what Redis holds nobody can tell what was asked. What was answered is there in plain text, for as long
as ``ARENA_V1_CACHE_S`` says. A hit tells its caller that somebody has asked the same before.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import msgspec

from web.context import Arena
from worker.contract.chats import ChatDelta, ChatDone, ChatEvent
from worker.contract.jobs import SideJob

HEADER = "X-Arena-Cache"
MOST_BYTES = 256 * 1024
"""Of one answer: a longer one is not kept."""
_ENTRY = "arena:v1:cache:"
_USED = "arena:v1:cached"
"""Sorted set of keys by when they were last asked for."""

# KEYS: entry, used. ARGV: name, now, ttl in ms, most, answer (empty: only look). Answers what is kept, if anything.
_SCRIPT = """
local kept = redis.call('GET', KEYS[1])
if ARGV[5] == '' then
  if kept then redis.call('ZADD', KEYS[2], ARGV[2], ARGV[1]) else redis.call('ZREM', KEYS[2], ARGV[1]) end
  return kept
end
redis.call('SET', KEYS[1], ARGV[5], 'PX', ARGV[3])
redis.call('ZADD', KEYS[2], ARGV[2], ARGV[1])
redis.call('PEXPIRE', KEYS[2], ARGV[3])
local over = redis.call('ZCARD', KEYS[2]) - tonumber(ARGV[4])
if over > 0 then
  local prefix = string.sub(KEYS[1], 1, #KEYS[1] - #ARGV[1])
  for i, member in ipairs(redis.call('ZPOPMIN', KEYS[2], over)) do
    if i % 2 == 1 then redis.call('DEL', prefix .. member) end
  end
end
return false
"""


class Kept(msgspec.Struct, frozen=True):
    """One answer."""

    text: str
    done: ChatDone

    @property
    def events(self) -> list[ChatEvent]:
        """As if it had just been given."""
        return [ChatDelta(self.text), self.done] if self.text else [self.done]


def name_of(arena: Arena, side: SideJob) -> str | None:
    """What the answer to ``side`` is kept as; None when it is not to be kept, since another would be another answer."""
    spec = arena.catalog.get(side.model)
    if not arena.settings.v1_cache_s or spec is None:
        return None
    temperature = spec.sampling.temperature if side.sampling.temperature is None else side.sampling.temperature
    if temperature > 0:
        return None
    secret = hashlib.blake2b(arena.settings.signing_key().encode(), digest_size=32).digest()
    asked = repr(spec).encode() + b"\0" + msgspec.json.encode(side)
    return hashlib.blake2b(asked, key=secret, digest_size=24, person=b"arena-v1-cache").hexdigest()


def find(arena: Arena, name: str, now: float) -> Kept | None:
    """What is kept under ``name``. Raises RedisError."""
    kept = _call(arena, name, now, b"")
    return msgspec.json.decode(kept, type=Kept) if kept else None


def keep(arena: Arena, name: str, now: float, text: Sequence[str], done: ChatDone) -> None:
    """Raises RedisError."""
    answer = msgspec.json.encode(Kept("".join(text), done))
    if len(answer) <= MOST_BYTES:
        _call(arena, name, now, answer)


def _call(arena: Arena, name: str, now: float, answer: bytes) -> Any:
    settings = arena.settings
    args = [name, now, max(1, round(settings.v1_cache_s * 1000)), settings.v1_cache_entries, answer]
    return arena.redis.register_script(_SCRIPT)(keys=[_ENTRY + name, _USED], args=args)
