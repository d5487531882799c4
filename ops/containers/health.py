"""Whether a container is well: an address that must answer, or a worker that must accept battles.

    python -m ops.containers.health http://127.0.0.1:5000/health
    python -m ops.containers.health --accepting arena
    python -m ops.containers.health --migrated

Exit status 0 or 1, and the reason on standard error.
"""

from __future__ import annotations

import argparse
import socket
import sys
import time
import urllib.error
import urllib.request

TIMEOUT_S = 5.0
LOOK_EVERY_S = 1.0


def answers(url: str) -> str:
    """Why the address is not well; empty: it is."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=TIMEOUT_S):
            return ""
    except urllib.error.HTTPError as error:
        return f"{url}: {error.code}"
    except OSError as error:
        return f"{url}: {getattr(error, 'reason', error)}"


def accepting(name: str) -> str:
    """Why the worker ``name`` of this host takes no battles: it loads, it drains, it is gone; empty: it takes them."""
    import redis

    from worker.contract import residency
    from worker.settings import WorkerSettings

    me = f"{name}@{socket.gethostname()}"
    try:
        with redis.Redis.from_url(WorkerSettings.from_env().redis_url, socket_timeout=TIMEOUT_S) as client:
            reports = residency.read(client)
    except redis.RedisError as error:
        return f"Redis: {type(error).__name__}"
    return "" if any(r.worker == me and r.accepting for r in reports) else f"{me} accepts no battles"


def wait_migrated() -> None:
    """Return once the database is at this image's revision; until then whoever was there before serves people."""
    from sqlalchemy.exc import SQLAlchemyError

    from web.db import Database
    from web.migrate import is_current
    from web.production import load

    database = Database(load().database)
    while True:
        try:
            if is_current(database):
                return
            print("waiting: the database has not been migrated", file=sys.stderr, flush=True)
        except SQLAlchemyError as error:
            print(f"waiting: the database does not answer ({type(error).__name__})", file=sys.stderr, flush=True)
        time.sleep(LOOK_EVERY_S)


def main(argv: list[str]) -> int:
    """The command; returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m ops.containers.health", description=__doc__.partition("\n")[0])
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("url", nargs="?", help="must answer with a status below 400")
    which.add_argument("--accepting", metavar="NAME", help="the model worker NAME@HOST takes battles")
    which.add_argument("--migrated", action="store_true", help="wait until the database is as this image needs it")
    asked = parser.parse_args(argv)
    if asked.migrated:
        wait_migrated()
        return 0
    why = accepting(asked.accepting) if asked.accepting else answers(asked.url)
    if why:
        print(why, file=sys.stderr)
    return bool(why)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
