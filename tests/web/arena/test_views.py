"""What no single test of REST shows: database and log disagreeing about a battle."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import redis

from tests.web.helpers import result, stream
from web.arena.views import current
from web.arena.voting import cast_vote
from web.context import Arena
from web.errors import UnknownBattle
from web.models import Battle
from worker.contract import channel
from worker.contract.events import BattleView, SideDelta, TurnStarted

Begin = Callable[..., str]


def view(arena: Arena, battle: str) -> BattleView:
    return current(arena.db, arena.redis, arena.catalog, battle).view


def owner(arena: Arena, battle: str) -> str:
    found = arena.db.read(lambda s: s.get(Battle, battle))
    assert found is not None
    return found.owner


def test_a_committed_end_is_shown_before_it_is_announced(
    begin: Begin, records: Any, arena: Arena, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    battle = begin()
    stream(redis_client, result(battle))
    monkeypatch.setattr(records, "_tell", lambda *_: None)
    records.finished(result(battle))
    assert (view(arena, battle).state, view(arena, battle).votable) == ("finished", True)


def test_a_committed_vote_is_shown_before_it_is_announced(
    begin: Begin, finish: Callable[..., Any], arena: Arena, monkeypatch: pytest.MonkeyPatch
) -> None:
    battle = begin()
    finish(battle)
    monkeypatch.setattr("web.arena.voting.announce", lambda *_: None)
    cast_vote(arena, owner(arena, battle), battle, "a")
    shown = view(arena, battle)
    assert (shown.winner, shown.votable) == ("a", False)
    assert shown.models is not None
    assert shown.turns[0].a.text


def test_a_vote_after_the_log_expired_leaves_the_texts_in_view(
    begin: Begin, finish: Callable[..., Any], arena: Arena, redis_client: redis.Redis
) -> None:
    battle = begin()
    finish(battle)
    redis_client.flushall()
    cast_vote(arena, owner(arena, battle), battle, "b")
    shown = current(arena.db, arena.redis, arena.catalog, battle)
    assert (shown.view.winner, shown.view.turns[0].b.text, shown.seq) == ("b", "Answer B.", 2)
    assert shown.epoch


def test_a_log_that_began_anew_continues_the_stored_battle(
    begin: Begin, arena: Arena, redis_client: redis.Redis
) -> None:
    battle = begin()
    redis_client.flushall()
    channel.publish(redis_client, battle, [SideDelta("a", "later words")])
    shown = view(arena, battle)
    assert (shown.turns[0].prompt, shown.turns[0].a.text, shown.state) == (
        "Why is the sky blue?",
        "later words",
        "running",
    )


def test_without_a_log_there_is_no_epoch(begin: Begin, arena: Arena, redis_client: redis.Redis) -> None:
    battle = begin()
    redis_client.flushall()
    shown = current(arena.db, arena.redis, arena.catalog, battle)
    assert (shown.epoch, shown.seq, shown.view.state) == ("", 0, "queued")


def test_a_log_without_a_battle_is_nothing(arena: Arena, redis_client: redis.Redis) -> None:
    channel.publish(redis_client, "A" * 22, [TurnStarted(1, "x")])
    with pytest.raises(UnknownBattle):
        view(arena, "A" * 22)
