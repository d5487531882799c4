"""Somebody who starts a battle, watches it over lines that break, votes, and knows what should have been answered."""

from __future__ import annotations

import difflib
import http.client
import json
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, TypeVar

import msgspec
import websocket

from ops.bench.chaos.stack import SCRIPTS
from ops.client import Client, Refused
from worker.contract import events as ev
from worker.contract.view import fold_all
from worker.engines.echo import answer

T = TypeVar("T")

WORDS = tuple(
    "why do rivers bend and cats sleep while iron rusts under a green moon of old cheese".split()  # noqa: SIM905
)
LOST_LINE = (OSError, websocket.WebSocketException, http.client.HTTPException, json.JSONDecodeError)
SILENCE_S = 20.0
"""A line that says nothing for so long is given up; the server's heartbeat is shorter."""
FINAL = ("finished", "failed", "cancelled")


@dataclass(slots=True)
class Visit:
    """What one visitor met with. ``heard``: when something of the battle arrived, in seconds of the monotonic clock."""

    prompt: str
    battle: str = ""
    state: str = "never begun"
    heard: list[float] = field(default_factory=list)
    first_text: float | None = None
    ended: float | None = None
    drops: int = 0
    tokens_lost: int = 0
    tokens_repeated: int = 0
    votes_lost: int = 0
    voted: bool = False
    notes: list[str] = field(default_factory=list)

    def silence(self, since: float) -> float | None:
        """Longest wait for a word after ``since``; None if nothing was being shown then."""
        if self.first_text is None or self.first_text > since or (self.ended or since) < since:
            return None
        times = [since, *(t for t in self.heard if t > since)]
        return max((b - a for a, b in pairwise(times)), default=0.0)


class Visitor:
    """``visit`` once. ``limit_s``: after that the battle counts as stuck. ``drops``: how often its line breaks."""

    def __init__(self, url: str, number: int, limit_s: float = 90.0, drops: float = 2.0) -> None:
        self._dice = random.Random(number)  # noqa: S311
        self._client = Client(url, timeout=25)
        self._limit_s = limit_s
        self._drops = drops
        self.seen = Visit(f"{' '.join(self._dice.sample(WORDS, 8))} {number}?")
        self._view = ev.BattleView()
        self._epoch = ""
        self._seq = 0

    def visit(self) -> Visit:
        """Never raises: what went wrong is in the visit."""
        give_up = time.monotonic() + self._limit_s
        try:
            self.seen.battle = self._patiently(lambda: self._client.start(self.seen.prompt), give_up)
            self._watch(give_up)
            self.seen.state, self.seen.ended = self._view.state, time.monotonic()
            if self._view.votable:
                self._vote(give_up + 30)
        except TimeoutError:
            self.seen.state = f"stuck {self._view.state}" if self.seen.battle else "never begun"
        return self.seen

    # ── over lines that break ────────────────────────────────────────────────────────────────────────────────────

    def _patiently(self, ask: Callable[[], T], give_up: float) -> T:
        """Again and again while nobody answers, or answers that it cannot now."""
        while True:
            try:
                return ask()
            except Refused as refused:
                if refused.status < 500 and refused.status != 429:
                    raise
            except LOST_LINE:
                pass
            if time.monotonic() > give_up:
                raise TimeoutError
            time.sleep(self._dice.uniform(0.1, 0.4))

    def _watch(self, give_up: float) -> None:
        while self._view.state not in FINAL:
            if time.monotonic() > give_up:
                raise TimeoutError
            try:
                with self._line() as line:
                    self._listen(line, give_up)
            except LOST_LINE:
                self.seen.drops += 1
                time.sleep(self._dice.uniform(0.02, 0.3))

    @contextmanager
    def _line(self) -> Iterator[websocket.WebSocket]:
        line = self._client.connect()
        line.settimeout(SILENCE_S)
        try:
            asked = ev.Subscribe(self.seen.battle, self._epoch or None, self._seq if self._epoch else None)
            line.send(ev.encode(asked).decode())
            yield line
        finally:
            line.shutdown()  # type: ignore[no-untyped-call]

    def _listen(self, line: websocket.WebSocket, give_up: float) -> None:
        drop_at = time.monotonic() + self._dice.expovariate(self._drops / 4.0) if self._drops else give_up
        while self._view.state not in FINAL:
            text = str(line.recv())
            if not text or time.monotonic() > min(drop_at, give_up):
                raise ConnectionError("the line broke")
            self._take(line, text)

    # ── what arrives ─────────────────────────────────────────────────────────────────────────────────────────────

    def _take(self, line: websocket.WebSocket, text: str) -> None:
        try:
            event = ev.decode_event(text)
        except msgspec.DecodeError:
            self._take_message(line, ev.decode_socket(text))
            return
        seq = int(json.loads(text)["seq"])
        if seq != self._seq + 1:
            self.seen.notes.append(f"seq {seq} after {self._seq}")
        self._seq = seq
        self._fold([event])

    def _take_message(self, line: websocket.WebSocket, message: ev.SocketMessage) -> None:
        match message:
            case ev.Snapshot():
                self._view, self._epoch, self._seq = message.view, message.epoch, message.seq
                self._fold([])
            case ev.Batch():
                if message.seq - message.n != self._seq:
                    self.seen.notes.append(f"a batch from {message.seq - message.n} after {self._seq}")
                self._seq = message.seq
                self._fold(message.events)
            case ev.Resumed():
                if (message.epoch, message.seq) != (self._epoch, self._seq):
                    self.seen.notes.append(f"resumed at {message.seq} instead of {self._seq}")
            case ev.Ping(n=n):
                line.send(ev.encode(ev.Pong(n)).decode())
            case ev.Error():
                raise ConnectionError(message.code)

    def _fold(self, events: list[ev.StoredEvent]) -> None:
        self._view = fold_all(events, self._view)
        now = time.monotonic()
        self.seen.heard.append(now)
        if self.seen.first_text is None and self._view.turns and self._view.turns[-1].a.text:
            self.seen.first_text = now

    # ── the vote, and the truth ──────────────────────────────────────────────────────────────────────────────────

    def _vote(self, give_up: float) -> None:
        winner = self._dice.choice(("a", "b", "tie", "both_bad"))
        try:
            models = self._patiently(lambda: self._client.vote(self.seen.battle, winner), give_up)["models"]
        except Refused as refused:  # the answer to an earlier try was lost
            if refused.problem.get("code") != "already_voted":
                raise TimeoutError from None
            models = refused.problem["models"]
        self.seen.voted = True
        stored = self._patiently(lambda: self._client.battle(self.seen.battle), give_up)
        self.seen.votes_lost += stored["winner"] != winner
        for side in ev.SIDES:
            said = list(answer(SCRIPTS[models[side]["id"]], self.seen.prompt))
            self._compare(said, getattr(self._view.turns[-1], side).text, f"side {side}")
            self._compare(said, stored["turns"][-1][side]["text"], f"side {side}, stored")

    def _compare(self, said: list[str], got: str, where: str) -> None:
        if "".join(said) == got:
            return
        wanted, there = "".join(said).split(), got.split()
        found = difflib.SequenceMatcher(None, wanted, there, autojunk=False).get_matching_blocks()
        same = sum(block.size for block in found)
        self.seen.tokens_lost += len(wanted) - same
        self.seen.tokens_repeated += len(there) - same
        self.seen.notes.append(f"{where}: {len(wanted)} words said, {len(there)} there, {same} the same")


def facts(visit: Visit) -> dict[str, Any]:
    """For a failing test's message."""
    return {"battle": visit.battle, "state": visit.state, "drops": visit.drops, "notes": visit.notes}
