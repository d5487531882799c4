"""Workers with different catalogs: pairs are drawn only where one worker can answer both sides; one is enough."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
import redis
from flask.testing import FlaskClient

from tests.web.helpers import MODELS, report_worker
from web.arena.admission import apart
from web.arena.drawing import draw_pair
from web.arena.sampling import Draw, ResidencyAware, Situation, TooFewModels, Uniform, among
from web.context import Arena
from worker.contract import residency
from worker.contract.residency import Residency, pair_key

GPU, EDGE = MODELS[:3], MODELS[2:]


def report(worker: str, models: tuple[str, ...], **fields: Any) -> Residency:
    return Residency(worker, 1.0, True, 2, models, **fields)


def test_pairs_that_nobody_can_answer_for_are_told_apart() -> None:
    both = [report("gpu", GPU), report("edge", EDGE)]
    assert apart(both, MODELS) == {pair_key(MODELS[0], MODELS[3]), pair_key(MODELS[1], MODELS[3])}
    assert apart([*both, report("all", MODELS)], MODELS) == set()
    broken = report("gpu", GPU, failed={GPU[2]: "died"})
    assert pair_key(GPU[0], GPU[2]) in apart([broken, report("edge", EDGE)], MODELS)


@pytest.mark.parametrize("policy", [Uniform(), ResidencyAware(Uniform(), 0.1, 4.0)])
def test_what_is_apart_is_never_drawn_and_the_rest_keeps_its_proportions(policy: Any) -> None:
    reports = [report("gpu", GPU, ready=GPU[:2]), report("edge", EDGE)]
    now = Situation(tuple(sorted(MODELS)), reports, apart=apart(reports, MODELS))
    found = now.meeting(policy.distribution(now))
    assert sum(found.p) == pytest.approx(1.0)
    for key, p in zip(now.keys, found.p, strict=True):
        assert (p == 0) == (key in now.apart)
    assert now.meeting(Uniform().distribution(now)).p.count(pytest.approx(1 / 4)) == 4


def test_a_round_is_over_without_the_pairs_that_cannot_meet() -> None:
    reports = [report("gpu", GPU), report("edge", EDGE)]
    now = Situation(tuple(sorted(MODELS)), reports, apart=apart(reports, MODELS), rounds=9)
    policy = ResidencyAware(Uniform(), 0.1, 4.0)
    drawn = {k: 1000 for k in now.keys if k not in now.apart}
    full = Situation(now.models, reports, drawn=drawn, apart=now.apart, rounds=9)
    assert policy.is_over(full)
    assert not policy.is_over(now)


def test_models_each_on_a_worker_of_its_own_make_no_battle() -> None:
    alone = [report("one", MODELS[:1]), report("two", MODELS[1:2])]
    now = Situation(tuple(sorted(MODELS[:2])), alone, apart=apart(alone, MODELS[:2]))
    with pytest.raises(TooFewModels):
        now.meeting(Uniform().distribution(now))
    assert among(MODELS).apart == frozenset()


def test_every_draw_is_one_that_a_worker_can_answer(arena: Arena, redis_client: redis.Redis) -> None:
    report_worker(redis_client, "gpu", models=GPU, ready=GPU[:2])
    report_worker(redis_client, "edge", models=EDGE, ready=EDGE)
    reports, dice = residency.read(redis_client), Random(3)
    draws: list[Draw] = [draw_pair(arena, reports, MODELS, dice).draw for _ in range(60)]
    assert all({d.a, d.b} <= set(GPU) or {d.a, d.b} <= set(EDGE) for d in draws)


def test_a_battle_is_refused_only_when_no_worker_takes_it(client: FlaskClient, redis_client: redis.Redis) -> None:
    report_worker(redis_client, "full", waiting=100, ready=MODELS[:2])
    report_worker(redis_client, "free", ready=MODELS[2:])
    assert client.post("/api/battles", json={"prompt": "Why?"}).status_code == 202
    assert redis_client.llen("battles.free") == 1
    report_worker(redis_client, "free", waiting=100)
    assert client.post("/api/battles", json={"prompt": "Why?"}).status_code == 429
