"""The log and the battles of this arena, as those who follow need them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from web.arena import views
from web.errors import UnknownBattle
from worker.contract import channel
from worker.contract.channel import Frame
from worker.contract.events import BattleView

if TYPE_CHECKING:
    from web.context import Arena


class ArenaAuthority:
    """See :class:`web.live.follow.Authority`."""

    def __init__(self, arena: Arena) -> None:
        self._arena = arena

    def allows(self, battle: str, owner: str) -> bool:
        try:
            self._arena.db.read(lambda s: views.owned(s, battle, owner))
        except UnknownBattle:
            return False
        return True

    def after(self, battle: str, seq: int) -> tuple[str | None, Sequence[Frame], int]:
        # From one earlier: that the reader's last entry is there shows, in the same call, that the log reaches so far.
        epoch, entries = channel.read_log(self._arena.redis, battle, max(0, seq - 1))
        newest = entries[-1].seq if entries else 0
        return epoch, [entry for entry in entries if entry.seq > seq], newest

    def snapshot(self, battle: str) -> tuple[BattleView, str, int]:
        now = views.current(self._arena.db, self._arena.redis, self._arena.catalog, battle)
        return now.view, now.epoch, now.seq
