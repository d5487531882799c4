"""One battle on one line (a websocket or an event stream): a cursor into the battle's log.

The cursor is the only state. Announcements that directly continue it are passed on; anything else (the beginning, a
gap, a full outbox, a new epoch) makes the follower *behind*, and whoever looks after the line calls :meth:`catch_up`,
which reads the log after the cursor and tells it in one message. No announcement is ever kept in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import msgspec

from web.live.hub import Announced
from worker.contract import events as ev
from worker.contract.channel import Frame
from worker.contract.events import BattleView
from worker.contract.view import merge_deltas


class Authority(Protocol):
    """Where a battle's past is read, and who may read it. All may raise RedisError or SQLAlchemyError."""

    def allows(self, battle: str, owner: str) -> bool:
        """Whether this session may follow that battle."""

    def after(self, battle: str, seq: int) -> tuple[str | None, Sequence[Frame], int]:
        """``(epoch, entries after seq, newest seq)``; epoch None without a log."""

    def snapshot(self, battle: str) -> tuple[BattleView, str, int]:
        """``(view, epoch, seq)``; epoch empty without a log."""


class Sink(Protocol):
    """Where a follower's words go; ``lock`` guards its cursor too, so that order and cursor cannot disagree."""

    lock: Any

    @property
    def pending(self) -> bool: ...

    def tell(self, told: Announced) -> bool: ...

    def retell(self, message: msgspec.Struct, epoch: str, seq: int) -> None: ...


class BattleFollower:
    """``pump`` is called, from any thread, when :meth:`catch_up` is due."""

    __slots__ = ("_epoch", "_greeted", "_live", "_log", "_missed", "_pump", "_seq", "_sink", "battle")

    def __init__(
        self,
        battle: str,
        log: Authority,
        sink: Sink,
        pump: Callable[[], None],
        epoch: str | None = None,
        after: int | None = None,
    ) -> None:
        self.battle = battle
        self._log = log
        self._sink = sink
        self._pump = pump
        self._epoch = epoch if after is not None else None
        self._seq = after or 0
        self._greeted = False
        self._live = False
        self._missed = False

    @property
    def is_behind(self) -> bool:
        return self._missed and not self._live

    def subscribed(self) -> None:
        with self._sink.lock:
            self._live, self._missed = False, True
        self._pump()

    def announced(self, told: Announced) -> None:
        with self._sink.lock:
            if not self._live:
                self._missed = True
                return
            if told.epoch == self._epoch:
                if told.seq == self._seq + 1 and self._sink.tell(told):
                    self._seq = told.seq
                    return
                if told.seq <= self._seq:
                    return
            self._live, self._missed = False, True
        self._pump()

    def catch_up(self) -> None:
        """Tell what the client lacks, in one message; live again when nothing was announced meanwhile."""
        with self._sink.lock:
            self._missed = False
        messages, epoch, seq = self._lacking()
        with self._sink.lock:
            for message in messages:
                self._sink.retell(message, epoch, seq)
            self._epoch, self._seq, self._greeted = epoch, seq, True
            self._live = not self._missed

    def _lacking(self) -> tuple[list[msgspec.Struct], str, int]:
        if self._epoch is not None:
            epoch, entries, newest = self._log.after(self.battle, self._seq)
            continues = not entries or entries[0].seq == self._seq + 1
            if epoch == self._epoch and newest >= self._seq and continues:
                return self._resumed(entries), epoch, entries[-1].seq if entries else self._seq
        view, epoch, seq = self._log.snapshot(self.battle)
        return [ev.Snapshot(battle=self.battle, epoch=epoch, seq=seq, view=view)], epoch, seq

    def _resumed(self, entries: Sequence[Frame]) -> list[msgspec.Struct]:
        messages: list[msgspec.Struct] = []
        if not self._greeted:
            messages.append(ev.Resumed(battle=self.battle, epoch=self._epoch or "", seq=self._seq))
        if entries:
            merged = merge_deltas(entry.event for entry in entries)
            messages.append(ev.Batch(battle=self.battle, seq=entries[-1].seq, n=len(entries), events=merged))
        return messages
