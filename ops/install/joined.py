"""Whether workers of this host take battles: ``python -m ops.install.joined NAME ...``, with ARENA_REDIS_URL.

In a process of its own, since an installation has nothing but the standard library. Exit status 1 and one line: not
yet, and why.
"""

from __future__ import annotations

import os
import re
import socket
import sys
from collections.abc import Iterable

PATIENCE_S = 5


def names(units: Iterable[str]) -> list[str]:
    """What the workers of these units are called by the others."""
    host = socket.gethostname()
    numbers = [re.fullmatch(r"vllm-arena(?:@(\d+))?\.service", unit) for unit in units]
    return [f"{'arena' if n[1] is None else f'gpu{n[1]}'}@{host}" for n in numbers if n]


def missing(url: str, wanted: Iterable[str]) -> str | None:
    """None when each of them takes battles."""
    import redis

    from worker.contract import residency

    try:
        with redis.Redis.from_url(url, socket_timeout=PATIENCE_S, socket_connect_timeout=PATIENCE_S) as client:
            accepting = {r.worker: r.accepting for r in residency.read(client)}
    except redis.RedisError as error:
        return f"the first host's store does not answer: {error}"
    absent = [name for name in wanted if name not in accepting]
    busy = [name for name in wanted if name in accepting and not accepting[name]]
    if absent:
        return f"{', '.join(absent)}: not started"
    return f"{', '.join(busy)}: loading, or drained" if busy else None


if __name__ == "__main__":
    sys.exit(missing(os.environ["ARENA_REDIS_URL"], sys.argv[1:]))
