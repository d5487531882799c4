"""What draws have in common between processes, in Redis: the round, and the failures.

None of it is needed: without it, policies draw as if nothing had been drawn or failed, and what they say of
their probabilities is as true. So nothing here is worth a lock.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from web.arena.sampling.failing import Failures
from worker.contract.residency import pair_key

ROUND = "arena:sampling:round"
"""Hash: battles drawn by pair; under :data:`_NAME` the round's name, which begins with how many are over."""
FAILURES = "arena:sampling:failures"
"""Hash: ``<count> <unix seconds>`` by model."""
_FAILURES_TTL_S = 24 * 3600
_NAME = b"#"

# KEYS: round. ARGV: the name of the round that is over, the next one's. Whoever comes second changes nothing.
_NEXT = """
if (redis.call('HGET', KEYS[1], '#') or '') == ARGV[1] then
  redis.call('DEL', KEYS[1])
  redis.call('HSET', KEYS[1], '#', ARGV[2])
end
"""


@dataclass(frozen=True, slots=True)
class Ledger:
    """What was read at one draw."""

    round: str = ""
    rounds: int = 0
    drawn: dict[str, int] = field(default_factory=dict)
    failures: dict[str, Failures] = field(default_factory=dict)


def read(redis: Any, *, drawn: bool) -> Ledger:
    """All of it, in one round trip; the round only where it is asked for. Raises RedisError."""
    with redis.pipeline(transaction=False) as pipe:
        pipe.hgetall(FAILURES)
        if drawn:
            pipe.hgetall(ROUND)
        failures, *rest = pipe.execute()
    counts = dict(rest[0]) if drawn else {}
    name = counts.pop(_NAME, b"").decode()
    return Ledger(
        name,
        int(name.partition(".")[0] or 0),
        {k.decode(): int(v) for k, v in counts.items()},
        {k.decode(): _failures(v) for k, v in failures.items()},
    )


def _failures(raw: bytes) -> Failures:
    count, _, last = raw.partition(b" ")
    return Failures(int(count), float(last))


def count(redis: Any, one: str, other: str, by: int = 1) -> None:
    """One more battle of the pair in this round; ``by`` -1 takes it back. Raises RedisError."""
    redis.hincrby(ROUND, pair_key(one, other), by)


def next_round(redis: Any, over: str) -> None:
    """Begin anew, unless somebody has since the round named ``over`` was read. Raises RedisError."""
    following = int(over.partition(".")[0] or 0) + 1
    redis.register_script(_NEXT)(keys=[ROUND], args=[over, f"{following}.{secrets.token_hex(4)}"])


def note_failure(redis: Any, models: Iterable[str], now: float) -> None:
    """A battle of these ended before it began. Raises RedisError."""
    names = list(models)
    known = redis.hmget(FAILURES, names)
    told = {m: f"{(_failures(raw).count if raw else 0) + 1} {now:.0f}" for m, raw in zip(names, known, strict=True)}
    with redis.pipeline(transaction=False) as pipe:
        pipe.hset(FAILURES, mapping=told)
        pipe.expire(FAILURES, _FAILURES_TTL_S)
        pipe.execute()


def clear_failures(redis: Any, models: Iterable[str]) -> None:
    """These have answered. Raises RedisError."""
    redis.hdel(FAILURES, *models)
