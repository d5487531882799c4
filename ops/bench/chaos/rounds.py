"""A round: many battles with their visitors, one kind of fault again and again, and what it cost."""

from __future__ import annotations

import concurrent.futures
import statistics
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import text

from ops.bench.chaos.faults import FAULTS, prepared
from ops.bench.chaos.stack import SCRIPTS, Stack
from ops.bench.chaos.visitor import Visit, Visitor

PAUSE_S = 3.0
"""Between two faults of a round: time for visitors to see text again."""
HITS = 3
"""A battle meets this many faults at most: a worker gives up one that keeps being interrupted (ARENA_MAX_ATTEMPTS)."""
SETTLE_S = 40.0
"""How long after the last visitor battles whose visitor never got their id may take to end."""


@dataclass(slots=True)
class Outcome:
    """What one kind of fault did to ``visits``. ``recovery_s``: each viewer's longest silence after each fault."""

    fault: str
    visits: list[Visit]
    faults: int = 0
    stuck_unseen: int = 0
    votes_stored: int = 0
    recovery_s: list[float] = field(default_factory=list)

    @property
    def lost(self) -> int:
        """Battles that ended otherwise than with two answers."""
        return sum(v.state in ("failed", "cancelled") for v in self.visits)

    @property
    def stuck(self) -> int:
        return self.stuck_unseen + sum(v.state.startswith(("stuck", "never")) for v in self.visits)

    @property
    def tokens_lost(self) -> int:
        return sum(v.tokens_lost for v in self.visits)

    @property
    def tokens_repeated(self) -> int:
        return sum(v.tokens_repeated for v in self.visits)

    @property
    def votes_lost(self) -> int:
        """Votes that somebody was told were stored and are not."""
        voted = sum(v.voted for v in self.visits)
        return sum(v.votes_lost for v in self.visits) + abs(voted - self.votes_stored)

    @property
    def recovery_p95_s(self) -> float:
        if len(self.recovery_s) < 2:
            return max(self.recovery_s, default=0.0)
        return statistics.quantiles(self.recovery_s, n=20, method="inclusive")[-1]

    @property
    def breaches(self) -> list[str]:
        """Where what a visitor was sent did not continue what it had."""
        return [note for v in self.visits for note in v.notes]


def play(arena: Stack, fault: str, battles: int, at_once: int, first: int = 0, faults: int = 0) -> Outcome:
    """``faults``: how often at most; 0: as long as battles run. Raises what the fault raises."""
    visitors = [Visitor(arena.url, first + n) for n in range(battles)]
    before = _votes(arena)
    over = threading.Event()
    with prepared(fault, arena, at_once), concurrent.futures.ThreadPoolExecutor(at_once + 1) as threads:
        harm = threads.submit(_harm, arena, fault, visitors, over, faults)
        try:
            visits = [running.result() for running in [threads.submit(v.visit) for v in visitors]]
        finally:
            over.set()
        moments = harm.result()
        outcome = Outcome(fault, visits, len(moments))
        if fault == "engine":
            outcome.faults = _deaths(arena)
        outcome.stuck_unseen = _settle(arena, {v.battle for v in visits})
    outcome.votes_stored = _votes(arena) - before
    for moment in moments or [v.first_text for v in visits if fault == "engine" and v.first_text]:
        outcome.recovery_s += [s for v in visits if (s := v.silence(moment)) is not None]
    return outcome


def _harm(arena: Stack, fault: str, visitors: Sequence[Visitor], over: threading.Event, limit: int) -> list[float]:
    """Break things while something is being shown; when it was done."""
    moments: list[float] = []
    hits: Counter[str] = Counter()
    while fault != "engine" and not over.wait(0.1) and (not limit or len(moments) < limit):
        showing = [v.seen.prompt for v in visitors if v.seen.first_text is not None and v.seen.ended is None]
        left = sum(v.seen.ended is None for v in visitors)
        if len(showing) * 2 < min(left, 4) or any(hits[prompt] >= HITS for prompt in showing):
            continue
        over.wait(0.4)
        hits.update(showing)
        moments.append(time.monotonic())
        FAULTS[fault](arena)
        arena.wait_ready()
        over.wait(PAUSE_S)
    return moments


def _deaths(arena: Stack) -> int:
    """Engines of the running worker that were loaded again, which only death makes necessary."""
    newest = arena.worker.text().rpartition("[tasks]")[2]
    return newest.count(" loading echo-") - len(SCRIPTS)


def _query(arena: Stack, sql: str) -> list[Any]:
    with arena.database.connect() as db:
        return list(db.execute(text(sql)))


def _votes(arena: Stack) -> int:
    return int(_query(arena, "SELECT count(*) FROM votes")[0][0])


def _settle(arena: Stack, known: set[str]) -> int:
    """Battles that began although nobody was told their id must end too; how many do not."""
    give_up = time.monotonic() + SETTLE_S
    while True:
        open_ = _query(arena, "SELECT id FROM battles WHERE state IN ('queued', 'running')")
        unseen = [battle for (battle,) in open_ if battle not in known]
        if not unseen or time.monotonic() > give_up:
            return len(unseen)
        time.sleep(0.2)
