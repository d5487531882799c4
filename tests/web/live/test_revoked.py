"""A line ends with its key also when nobody could say that the key was revoked."""

from __future__ import annotations

from typing import Any

from sqlalchemy import update

from web.access import ENVIRONMENT
from web.admin import keys
from web.context import Arena
from web.live.revoked import CHECK_S, Revoked
from web.models import ApiKey, now


class Silent:
    """A hub that never tells anything; ``followed``: whether anybody listens."""

    followed = False

    def follow(self, *_: Any) -> None:
        self.followed = True

    def leave(self, *_: Any) -> None:
        self.followed = False


class Line:
    ended = False

    def revoked(self) -> None:
        self.ended = True


def test_the_database_is_asked_now_and_then(arena: Arena) -> None:
    ids = [arena.db.write(lambda s: keys.create(s, "k", ["battle"], {}))[0].id for _ in range(2)]
    time, hub = [0.0], Silent()
    revoked = Revoked(hub, arena.db, lambda work: work(), lambda: time[0])  # type: ignore[arg-type]
    lines = {key: Line() for key in (*ids, ENVIRONMENT)}
    for key, line in lines.items():
        revoked.hold(key, line)
    arena.db.write(lambda s: s.execute(update(ApiKey).where(ApiKey.id == ids[0]).values(revoked_at=now())))
    time[0] = CHECK_S - 1
    revoked.tick()
    assert not any(line.ended for line in lines.values()), "it is not asked at every tick"
    time[0] = CHECK_S
    revoked.tick()
    assert [line.ended for line in lines.values()] == [True, False, False]
    assert hub.followed
    for key, line in lines.items():
        revoked.let_go(key, line)
    assert not hub.followed
