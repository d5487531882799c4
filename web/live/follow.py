"""One battle on one socket: a cursor into the battle's log.

The cursor is the only state. Announcements that directly continue it are passed on; anything else (the beginning, a
gap, a full outbox, a new epoch) makes the follower *behind*, and whoever pumps the socket calls :meth:`catch_up`,
which reads the log after the cursor and tells it in one message. No announcement is ever kept in memory.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from web.live import frames
from web.live.outbox import Outbox
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


class BattleFollower:
    """``pump`` is called, from any thread, when :meth:`catch_up` is due or ``outbox`` holds something back."""

    def __init__(
        self,
        battle: str,
        log: Authority,
        outbox: Outbox,
        pump: Callable[[], None],
        epoch: str | None = None,
        after: int | None = None,
    ) -> None:
        self.battle = battle
        self._log = log
        self._outbox = outbox
        self._pump = pump
        self._lock = threading.Lock()
        self._epoch = epoch if after is not None else None
        self._seq = after or 0
        self._greeted = False
        self._live = False
        self._missed = False

    @property
    def is_behind(self) -> bool:
        return self._missed and not self._live

    def subscribed(self) -> None:
        with self._lock:
            self._live, self._missed = False, True
        self._pump()

    def announced(self, epoch: str, seq: int, frame: bytes) -> None:
        with self._lock:
            if not self._live:
                self._missed = True
                return
            if epoch == self._epoch and seq <= self._seq:
                return
            next_in_line = epoch == self._epoch and seq == self._seq + 1
            if next_in_line and self._outbox.offer(frame, droppable=True):
                self._seq = seq
            else:
                self._live, self._missed = False, True
        if self._missed or self._outbox.pending:
            self._pump()

    def catch_up(self) -> None:
        """Tell what the client lacks, in one message; live again when nothing was announced meanwhile."""
        with self._lock:
            self._missed = False
        messages, epoch, seq = self._lacking()
        with self._lock:
            for message in messages:
                self._outbox.offer(frames.text(ev.encode(message)))
            self._epoch, self._seq, self._greeted = epoch, seq, True
            self._live = not self._missed

    def _lacking(self) -> tuple[list[msgspec.Struct], str | None, int]:
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
