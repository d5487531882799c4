"""Waits until a battle can really be started, saying what is still missing; notices a program that keeps failing."""

from __future__ import annotations

import json
import re
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from ops.setup.console import Progress, SetupError, elapsed, note, tail
from ops.setup.layout import Layout
from ops.setup.supervise import ProgramState, program_states

RESTARTS = 3
"""A program that was started this often before the arena became ready is given up, with the end of its log."""

LIMIT_S = 3600.0
EVERY_S = 0.25

HINTS = {
    "redis": "If the disk is full, free some space. If the log names a broken append-only file, repair or remove it",
    "records": "Check ARENA_DATABASE_URL and ARENA_REDIS_URL",
    "worker": "Check the catalog and this machine's memory (free -h); --catalog ops/catalogs/echo.toml needs little",
    "web": "Check --host and --port, and the settings named in the log",
}


@dataclass(slots=True)
class Starts:
    """Counts how often each program was started."""

    seen: dict[str, set[int]] = field(default_factory=dict)

    def failing(self, states: list[ProgramState]) -> ProgramState | None:
        """The first program that keeps failing, or None."""
        for program in states:
            starts = self.seen.setdefault(program.name, set())
            if program.started:
                starts.add(program.started)
            if program.state == "FATAL" or len(starts) >= RESTARTS:
                return program
        return None


def ask_ready(url: str) -> str | None:
    """None when ``GET /ready`` is 200, else why not, in the server's words."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"{url}ready", timeout=10):
            return None
    except urllib.error.HTTPError as error:
        try:
            problem = json.loads(error.read())
            return str(problem.get("detail") or problem.get("title"))
        except (ValueError, AttributeError):
            return f"The web server answers {error.code}."
    except OSError:
        return "The web server is starting."


LOADING = re.compile(r"/MainProcess\] (loading .+|loaded .+|.+ failed to load.+)")


def worker_says(log: Path, before: str) -> str:
    """The model worker's last word on what it loads, in the log's end as far as it is not ``before``."""
    words = LOADING.findall(tail(log, 200))
    stale = LOADING.findall(before)
    return f"Model worker: {words[-1]}." if words and words[-1:] != stale[-1:] else ""


def wait(url: str, layout: Layout, supervisor_alive: Callable[[], bool]) -> None:
    """Return when the arena is ready. Raises SetupError with the end of a log when it will not become so."""
    starts, reason, deadline = Starts(), "", time.monotonic() + LIMIT_S
    worker = layout.logs / "worker.log"
    before = tail(worker, 200)
    while True:
        if not supervisor_alive():
            said = tail(layout.logs / "supervisord.out")
            raise SetupError(f"The supervisor ended:\n{said}", f"See {layout.logs}/supervisord.log")
        states = program_states(layout) or []
        if failing := starts.failing(states):
            _give_up(failing)
        missing = ask_ready(url) if states else "The supervisor is starting."
        if missing is None:
            Progress.clear()
            return
        if time.monotonic() > deadline:
            raise SetupError(f"Not ready after an hour: {missing}", f"Read the logs in {layout.logs}")
        missing = f"{missing} {worker_says(worker, before)}".rstrip()
        if missing != reason:
            reason = missing
            note(f"{elapsed()} waiting: {reason}")
        Progress.show(f"{elapsed()} waiting: {reason}")
        time.sleep(EVERY_S)


def _give_up(program: ProgramState) -> NoReturn:
    hint = HINTS.get(program.name, "Read its log")
    raise SetupError(
        f"The program {program.name!r} keeps failing. The end of {program.log}:\n{tail(program.log)}",
        f"{hint}\nthen run ./ops/up again",
    )
