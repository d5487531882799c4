"""What no single test of REST shows: database and log disagreeing about a battle."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import redis

from tests.web.helpers import report_worker, result, side, stream
from web.arena.views import current
from web.arena.voting import cast_vote
from web.context import Arena
from web.errors import UnknownBattle
from web.models import Battle
from worker.contract import channel
from worker.contract.events import BattleView, Failure, SideDelta, TurnStarted

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


# ── later turns ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def second(begin: Begin, finish: Callable[..., Any], client: Any) -> str:
    """Its second turn is in line."""
    battle = begin()
    finish(battle, a=side("First A."), b=side("First B."))
    assert client.post(f"/api/battles/{battle}/turns", json={"prompt": "And?"}).status_code == 202
    return battle


def texts(shown: BattleView) -> list[tuple[str, str, str]]:
    return [(t.prompt, t.a.text.strip(), t.b.text.strip()) for t in shown.turns]


FIRST = ("Why is the sky blue?", "First A.", "First B.")


def test_a_log_that_was_lost_leaves_the_whole_conversation(
    second: str, arena: Arena, redis_client: redis.Redis
) -> None:
    assert texts(view(arena, second)) == [FIRST, ("And?", "", "")]
    redis_client.flushall()
    shown = view(arena, second)
    assert (texts(shown), shown.state, shown.votable) == ([FIRST, ("And?", "", "")], "queued", False)


def test_a_log_told_anew_from_the_second_turn_is_laid_after_the_first(
    second: str, arena: Arena, redis_client: redis.Redis
) -> None:
    redis_client.flushall()
    channel.publish(redis_client, second, [TurnStarted(2, "And?"), SideDelta("a", "so f"), SideDelta("a", "ar")])
    shown = view(arena, second)
    assert (texts(shown), shown.state) == ([FIRST, ("And?", "so far", "")], "running")


def test_a_log_that_came_back_without_the_second_turn_does_not_hide_it(
    second: str, arena: Arena, redis_client: redis.Redis
) -> None:
    _, frames = channel.read_log(redis_client, second)
    redis_client.flushall()
    channel.publish(redis_client, second, [f.event for f in frames[:-1]])
    shown = view(arena, second)
    assert (texts(shown), shown.state, shown.votable) == ([FIRST, ("And?", "", "")], "queued", False)


def test_a_second_turn_that_ended_is_shown_before_it_is_announced(
    second: str, records: Any, arena: Arena, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    outcome = result(second, attempt=2, turn=2, a=side("Second A."), b=side("Second B."))
    stream(redis_client, outcome)
    monkeypatch.setattr(records, "_tell", lambda *_: None)
    records.finished(outcome)
    shown = view(arena, second)
    assert (shown.state, shown.votable, texts(shown)[1]) == ("finished", True, ("And?", "Second A.", "Second B."))


def test_the_log_alone_and_the_database_alone_tell_the_same(
    second: str, finish: Callable[..., Any], arena: Arena, redis_client: redis.Redis
) -> None:
    finish(second, attempt=2, turn=2, a=side("Half", "failed", error=Failure("engine_failed", "It broke.")))
    live = view(arena, second)
    redis_client.flushall()
    stored = view(arena, second)
    assert (texts(live), live.state, live.votable, live.error) == (
        texts(stored),
        stored.state,
        stored.votable,
        stored.error,
    )
    assert (stored.state, stored.votable) == ("failed", True)


def test_the_next_turn_after_a_days_pause_has_the_earlier_ones_before_it(
    begin: Begin, finish: Callable[..., Any], client: Any, arena: Arena, redis_client: redis.Redis
) -> None:
    battle = begin()
    finish(battle, a=side("First A."), b=side("First B."))
    redis_client.flushall()
    report_worker(redis_client)
    client.post(f"/api/battles/{battle}/turns", json={"prompt": "And?"})
    channel.publish(redis_client, battle, [SideDelta("b", "well")])
    now = current(arena.db, arena.redis, arena.catalog, battle)
    assert (texts(now.view), now.seq) == ([FIRST, ("And?", "", "well")], 2)
