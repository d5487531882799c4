"""What of Redis outlives a host: live logs, messages in the queues, the audit log, what the sampler is at.

Residency, limits, tickets and leases are of the moment and of a machine; they are made anew.
"""

from __future__ import annotations

import base64
import json
from pathlib import Path

import redis

from ops.backup.archive import BackupError
from ops.gate import without_secret

NAME = "redis.jsonl"
KEPT = ("arena:battle:*", "arena:audit", "arena:sampling:*", "arena:purge:done", "battles*", "records*", "unacked*")


def dump(url: str, into: Path) -> int:
    """One JSON object a line: key, milliseconds it has left (0: no end), and the server's own form of its value."""
    target = into / NAME
    target.touch(mode=0o600)
    count = 0
    try:
        with redis.Redis.from_url(url) as client, target.open("w") as out:
            for pattern in KEPT:
                for key in client.scan_iter(pattern, count=1000):
                    value, left = client.dump(key), client.pttl(key)
                    if value is not None:
                        record = {"key": _text(key), "ttl_ms": max(0, int(left)), "value": _text(value)}
                        out.write(json.dumps(record) + "\n")
                        count += 1
    except redis.RedisError as error:
        raise _explained(url, error) from None
    return count


def restore(url: str, file: Path, replace: bool) -> int:
    """Put the keys back. Raises BackupError where one is there already, unless they may be replaced."""
    records = [json.loads(line) for line in file.read_text().splitlines()]
    try:
        with redis.Redis.from_url(url) as client:
            there = next((r for r in records if client.exists(_bytes(r["key"]))), None)
            if there and not replace:
                raise BackupError("the store holds battles of its own; --replace puts the backup in their place")
            for record in records:
                client.restore(_bytes(record["key"]), record["ttl_ms"], _bytes(record["value"]), replace=True)
    except redis.RedisError as error:
        raise _explained(url, error) from None
    return len(records)


def anybody_works(url: str) -> bool:
    """Whether a records worker, or an engines' worker, has been heard of in the last moments."""
    try:
        with redis.Redis.from_url(url) as client:
            return bool(client.exists("arena:records:alive")) or any(client.scan_iter("arena:residency:*", count=1000))
    except redis.RedisError as error:
        raise _explained(url, error) from None


def _explained(url: str, error: redis.RedisError) -> BackupError:
    if "NOPERM" in str(error) or "NOAUTH" in str(error):
        return BackupError("this account may not read the whole store; ARENA_REDIS_URL must be the admin's")
    if "payload version" in str(error):
        return BackupError("the store is older than the one of the backup; install at least that version")
    return BackupError(f"Redis at {without_secret(url)}: {error}; is it running?")


def _text(value: bytes) -> str:
    return base64.b64encode(value).decode()


def _bytes(text: str) -> bytes:
    return base64.b64decode(text)
