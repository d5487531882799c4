"""Waits until what a program needs is there, then becomes that program: ``python -m ops.gate --redis -- celery ...``.

Supervisor starts everything at once and knows no "when". A gate in front of each program gives the order at the start
and after every restart. It also asks the kernel to end the program when its supervisor dies, which nothing else would
do after ``kill -9``: the request survives exec, so the program needs to know nothing of it.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import signal
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

PR_SET_PDEATHSIG = 1
EVERY_S = 0.1
SAY_EVERY_S = 10.0


def die_with_parent(name: str) -> None:
    """Have the kernel send this process ``SIG<name>`` when its parent ends. Linux only; elsewhere nothing happens."""
    if not sys.platform.startswith("linux"):
        return
    parent = os.getppid()
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, int(signal.Signals[f"SIG{name}"]))
    if os.getppid() != parent:  # it died between the two lines, and the kernel will not tell
        sys.exit(1)


def without_secret(url: str) -> str:
    """The URL as it may appear in a log."""
    parts = urlsplit(url)
    return parts._replace(netloc=f"***@{parts.hostname}" if parts.password else parts.netloc, query="").geturl()


def become_redis_user(name: str) -> None:
    """From here on ``ARENA_REDIS_URL`` is that user's own, where the store has users; nobody else's is passed on."""
    if users := os.environ.pop("ARENA_REDIS_USERS", None):
        os.environ["ARENA_REDIS_URL"] = json.loads(Path(users).read_text())[name]


def wait_for_redis(url: str, limit_s: float | None) -> None:
    """Return once the server answers PING. Exits with a readable line after ``limit_s``, when one is given."""
    import redis

    began = said = time.monotonic()
    while True:
        try:
            with redis.Redis.from_url(url, socket_timeout=5, socket_connect_timeout=5) as client:
                client.ping()
            return
        except (redis.RedisError, OSError, ValueError) as error:
            reason = str(error) or type(error).__name__
        now = time.monotonic()
        if limit_s is not None and now - began > limit_s:
            sys.exit(f"Redis at {without_secret(url)} does not answer: {reason}")
        if now - said > SAY_EVERY_S:
            said = now
            print(f"gate: waiting for Redis at {without_secret(url)}: {reason}", file=sys.stderr, flush=True)
        time.sleep(EVERY_S)


def main() -> None:
    """Pass the gates named on the command line, in order, then exec the command after ``--``."""
    parser = argparse.ArgumentParser(prog="python -m ops.gate", description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--die-with-parent", metavar="SIGNAL", help="e.g. KILL: sent to the program when its parent ends"
    )
    parser.add_argument("--redis", action="store_true", help="wait until ARENA_REDIS_URL answers PING")
    parser.add_argument("--redis-as", metavar="USER", help="speak to the embedded store as this user")
    parser.add_argument("--limit", type=float, metavar="SECONDS", help="give up after that long; default: never")
    parser.add_argument("command", nargs="+")
    options = parser.parse_args()
    if options.die_with_parent:
        die_with_parent(options.die_with_parent)
    if options.redis_as:
        become_redis_user(options.redis_as)
    if options.redis:
        wait_for_redis(os.environ["ARENA_REDIS_URL"], options.limit)
    try:
        os.execvp(options.command[0], options.command)  # noqa: S606  becoming the command is the point
    except OSError as error:
        sys.exit(f"gate: {options.command[0]} cannot be started: {error.strerror}")


if __name__ == "__main__":
    main()
