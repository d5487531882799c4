"""From settings and what is stored to a draw."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Any

import pytest
import redis
from flask.testing import FlaskClient
from sqlalchemy import select, update

from tests.web.helpers import MODELS, report_worker, unreachable_redis
from web.arena import drawing
from web.arena.drawing import draw_pair, policy_of
from web.arena.sampling import Active, ResidencyAware, Uniform, Weighted, ledger
from web.context import Arena
from web.models import Battle, PairCount, now
from web.settings import WebSettings
from worker.contract import residency
from worker.contract.residency import pair_key

Draws = Callable[..., drawing.Drawn]


def with_settings(arena: Arena, **changes: Any) -> Arena:
    settings = arena.settings.model_copy(update=changes)
    return Arena(settings=settings, catalogs=arena.catalogs, db=arena.db, redis=arena.redis, queue=arena.queue)


@pytest.fixture
def draw(arena: Arena, worker: None) -> Draws:
    def _draw(owner: str | None = None, models: tuple[str, ...] = MODELS, **changes: Any) -> drawing.Drawn:
        reports, told = residency.read(arena.redis), with_settings(arena, **changes)
        seen = arena.db.read(lambda s: drawing.seen_by(s, told.settings, owner)) if owner else frozenset()
        return draw_pair(told, reports, models, random.Random(1), seen)

    return _draw


def probability(drawn: drawing.Drawn, *pair: str) -> float:
    assert drawn.policy is not None
    assert drawn.situation is not None
    return drawn.policy.distribution(drawn.situation).probability(*pair)


@pytest.mark.parametrize(
    ("changes", "kind"),
    [
        ({"sampling": "uniform"}, Uniform),
        ({"sampling": "weighted"}, Uniform),
        ({"sampling": "weighted", "sampling_boosts": {"echo-bard": 3.0}}, Weighted),
        ({"sampling": "weighted", "sampling_newcomer": 5.0, "sampling_ramp": 10}, Weighted),
        ({"sampling": "active"}, Active),
        ({}, ResidencyAware),
    ],
)
def test_settings_choose_the_policy(arena: Arena, changes: dict[str, Any], kind: type) -> None:
    assert isinstance(policy_of(with_settings(arena, **changes).settings, arena.catalog), kind)


def test_the_environment_names_boosts_and_outages(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARENA_SAMPLING_BOOSTS", "m.1=3, m2=0.5")
    monkeypatch.setenv("ARENA_SAMPLING_OUTAGES", "m3 ,m4")
    monkeypatch.setenv("ARENA_SAMPLING", "active")
    found = WebSettings.from_env()
    assert (found.sampling, found.sampling_boosts) == ("active", {"m.1": 3.0, "m2": 0.5})
    assert found.sampling_outages == ("m3", "m4")


@pytest.mark.parametrize("boosts", ["m1=0", "m1=-2", "m1", "=3", "m1=many"])
def test_a_boost_that_makes_no_sense_is_refused(boosts: str) -> None:
    with pytest.raises(ValueError, match="sampling_boosts"):
        WebSettings(sampling_boosts=boosts)  # type: ignore[arg-type]


def test_the_pair_in_memory_is_preferred_and_its_probability_stored(
    client: FlaskClient, arena: Arena, redis_client: redis.Redis
) -> None:
    report_worker(redis_client, ready=MODELS[2:])
    battle = client.post("/api/battles", json={"prompt": "Hi"}).get_json()["id"]
    row = arena.db.read(lambda s: s.get_one(Battle, battle))
    drawn = draw_pair(arena, residency.read(arena.redis), MODELS, random.Random(1))
    favoured = probability(drawn, *MODELS[2:])
    assert favoured == pytest.approx(0.99 + 0.01 / 6)
    assert row.probability in (favoured, pytest.approx(0.01 / 6))
    assert drawn.policy is not None
    assert row.policy_version == drawn.policy.version
    assert ledger.read(arena.redis, drawn=True).drawn == {pair_key(row.model_a, row.model_b): 1}


def test_a_battle_that_is_refused_is_not_counted_in_its_round(client: FlaskClient, redis_client: redis.Redis) -> None:
    refuses = {pair_key(a, b): 9.0 for a in MODELS for b in MODELS if a < b}
    report_worker(redis_client, refuses=refuses)
    assert client.post("/api/battles", json={"prompt": "Hi"}).status_code == 429
    assert ledger.read(redis_client, drawn=True).drawn == {}


def test_the_last_pair_of_a_round_begins_the_next(draw: Draws, arena: Arena) -> None:
    one = with_settings(arena, sampling_stay=1.0)
    for _ in range(6):
        drawing.count(one, draw_pair(one, residency.read(arena.redis), MODELS, random.Random(1)))
    after = ledger.read(arena.redis, drawn=True)
    assert (after.rounds, after.drawn) == (1, {})


def test_operators_outages_and_models_that_keep_failing_take_no_part(draw: Draws, arena: Arena) -> None:
    drawn = draw(sampling_outages=(MODELS[0],))
    assert drawn.situation is not None
    assert set(drawn.situation.models) == set(MODELS[1:])
    for _ in range(3):
        ledger.note_failure(arena.redis, [MODELS[1]], time.time())
    assert MODELS[1] not in (draw().situation or drawn.situation).models


def test_whoever_has_just_voted_on_a_pair_is_drawn_another(
    draw: Draws, arena: Arena, begin: Callable[..., str], client: FlaskClient
) -> None:
    battle = begin()
    row = arena.db.read(lambda s: s.get_one(Battle, battle))
    pair = (row.model_a, row.model_b)
    assert draw(row.owner).situation == draw("somebody").situation, "no names have been read yet"
    arena.db.write(lambda s: s.execute(update(Battle).values(voted_at=now())) and None)
    mine, others = draw(row.owner), draw("somebody")
    assert mine.situation is not None
    assert mine.situation.seen == {pair_key(*pair)}
    assert probability(mine, *pair) == pytest.approx(0.01 / 6)
    assert probability(others, *pair) > 0.5
    assert draw(row.owner, sampling_memory=0).situation == others.situation


def test_active_looks_at_the_votes_of_the_newest_board(draw: Draws, arena: Arena) -> None:
    a, b = sorted(MODELS)[:2]
    met = PairCount(model_a=a, model_b=b, wins_a=60, wins_b=30, ties=8, both_bad=2)
    arena.db.write(lambda s: s.add(met))
    drawn = draw(sampling="active")
    assert drawn.situation is not None
    assert drawn.situation.votes[pair_key(a, b)].games == 100
    assert probability(drawn, a, b) == min(probability(drawn, x, y) for x in MODELS for y in MODELS if x != y)
    assert draw(sampling="uniform").situation == draw(sampling="weighted").situation


def test_without_redis_pairs_are_drawn_all_the_same(draw: Draws, arena: Arena) -> None:
    reports = residency.read(arena.redis)
    lost = unreachable_redis()
    away = Arena(settings=arena.settings, catalogs=arena.catalogs, db=arena.db, redis=lost, queue=arena.queue)
    drawn = draw_pair(away, reports, MODELS, random.Random(1))
    drawing.count(away, drawn)
    assert drawn.draw.probability > 0
    lost.close()


def test_sides_and_pairs_that_askers_name_are_not_counted_in_rounds(
    client: FlaskClient, worker: None, arena: Arena
) -> None:
    drawing.count(arena, drawing.Drawn(drawing.Draw("x", "y", 1.0, "named")))
    assert ledger.read(arena.redis, drawn=True).drawn == {}
    assert arena.db.read(lambda s: s.scalars(select(Battle)).all()) == []
