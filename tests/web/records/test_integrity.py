"""Votes judged by the records worker: what is noted, what is done, who is told (nobody), and how it is undone."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from itertools import count
from typing import Any

import numpy as np
import redis
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import func, select

from tests.web.helpers import side
from web.admin import votes as rulings
from web.context import Arena
from web.models import Answer, AuditLine, Battle, Quarantine, Turn, Vote, now
from web.ratings.bradley_terry import fit
from web.ratings.tally import Count
from web.records.integrity import DONE_KEY, Integrity
from web.records.service import Records

Begin = Callable[..., str]
MODELS = ("m1", "m2", "m3", "m4")
RIGGER, PERSON = "f" * 64, "a" * 64


def cast(client: FlaskClient, begin: Begin, finish: Any, prompt: str = "Why?", **sides: Any) -> tuple[Any, str]:
    """The reply to a vote, and its battle."""
    battle = begin(prompt, client)
    finish(battle, **sides)
    return client.post(f"/api/battles/{battle}/vote", json={"winner": "a"}), battle


def vote_on(arena: Arena, battle: str) -> Vote:
    return arena.db.read(lambda s: s.scalars(select(Vote).where(Vote.battle_id == battle)).one())


def own_name(arena: Arena, battle: str) -> str:
    model = arena.db.read(lambda s: s.get_one(Battle, battle)).model_a
    spec = arena.catalog.get(model)
    assert spec is not None
    return spec.name


def history(arena: Arena, votes: int = 600, rigged: int = 120) -> None:
    """Honest votes by many, and one session that always votes for m1; each a battle of its own."""
    dice, number = np.random.default_rng(5), count()

    def add(session: Any, owner: str, a: str, b: str, winner: str, minute: int) -> None:
        battle = Battle(id=f"battle{next(number):06}", owner=owner, model_a=a, model_b=b, probability=0.1,
                        policy_version="u", state="finished")  # fmt: skip
        session.add(battle)
        session.flush()
        at = now() - timedelta(minutes=minute)
        session.add(Vote(battle_id=battle.id, owner=owner, winner=winner, model_a=a, model_b=b, created_at=at))

    def store(session: Any) -> None:
        for n in range(votes):
            a, b = dice.choice(MODELS, 2, replace=False)
            add(session, f"{n // 6:064x}", str(a), str(b), str(dice.choice(["a", "b", "tie"])), votes + rigged - n)
        for n in range(rigged):
            other = str(dice.choice(MODELS[1:]))
            add(session, RIGGER, *(("m1", other, "a") if n % 2 else (other, "m1", "b")), rigged - n)

    arena.db.write(store)


def state(arena: Arena) -> dict[int, tuple[bool, tuple[str, ...]]]:
    return {v.id: (v.counted, tuple(sorted(v.reasons))) for v in arena.db.read(lambda s: s.scalars(select(Vote)).all())}


def board(arena: Arena) -> list[Any]:
    rows = arena.db.read(
        lambda s: s.execute(
            select(Vote.model_a, Vote.model_b, Vote.winner, func.count())
            .where(Vote.counted.is_(True))
            .group_by(Vote.model_a, Vote.model_b, Vote.winner)
        ).all()
    )
    return fit([Count(a, b, {"a": 1.0, "b": 0.0}.get(w, 0.5), n) for a, b, w, n in rows], 0.1)


def apart(arena: Arena) -> dict[str, Quarantine]:
    rows = arena.db.read(lambda s: s.scalars(select(Quarantine).where(Quarantine.released_at.is_(None))).all())
    return {row.owner: row for row in rows}


def test_a_leak_is_marked_at_the_next_refresh_and_the_voter_is_told_nothing(
    begin: Begin, finish: Any, client: FlaskClient, app: Flask, arena: Arena, records: Records
) -> None:
    battle = begin("Why is the sky blue?")
    told = side(f"As {own_name(arena, battle)} I can say it scatters.")
    finish(battle, a=told)
    leaked = client.post(f"/api/battles/{battle}/vote", json={"winner": "a"})
    plain, other = cast(app.test_client(), begin, finish, "Why is the sea blue?")
    records.refresh_ratings()
    assert vote_on(arena, battle).reasons == ["leak"]
    assert (vote_on(arena, other).counted, vote_on(arena, other).reasons) == (True, [])
    assert leaked.status_code == plain.status_code == 201
    assert leaked.get_json().keys() == plain.get_json().keys()
    assert dict(leaked.headers).keys() - {"Set-Cookie"} == dict(plain.headers).keys() - {"Set-Cookie"}
    shown = client.get(f"/api/battles/{battle}").text
    assert not [word for word in ("leak", "counted", "reasons", "judged") if word in shown.replace("_leaked", "")]


def test_a_name_that_the_person_said_first_is_noted_and_counts(
    begin: Begin, finish: Any, client: FlaskClient, arena: Arena, records: Records
) -> None:
    names = " and ".join(spec.name for spec in arena.catalog.models)
    battle = begin(f"Are you {names}?"[:100])
    finish(battle, a=side(f"I am {own_name(arena, battle)}."))
    client.post(f"/api/battles/{battle}/vote", json={"winner": "a"})
    records.refresh_ratings()
    vote = vote_on(arena, battle)
    answer = arena.db.read(lambda s: s.get_one(Answer, (battle, 1, "a")))
    turn = arena.db.read(lambda s: s.get_one(Turn, (battle, 1)))
    assert answer.leaks
    if set(answer.leaks) <= set(turn.features["names"] if turn.features else ()):
        assert (vote.counted, (vote.evidence or {})["named"]) == (True, True)


def test_haste_and_repetition_do_not_count_and_an_operators_word_is_the_last(
    begin: Begin, finish: Any, client: FlaskClient, arena: Arena, records: Records
) -> None:
    long = side("word " * 50)
    import msgspec

    slow = msgspec.structs.replace(long, completion_tokens=4000)
    _, battle = cast(client, begin, finish, a=slow, b=slow)
    records.refresh_ratings()
    assert vote_on(arena, battle).reasons == ["too_fast"]
    key = arena.db.read(lambda s: vote_on(arena, battle).id)
    arena.db.write(lambda s: rulings.unflag(s, _operator(), key, "read it before"))
    assert vote_on(arena, battle).counted
    records.integrity.judge_all()
    assert vote_on(arena, battle).counted, "the rules do not overrule an operator"


def _operator() -> Any:
    from web.access import Key

    return Key("k1", "an operator", frozenset({"admin"}))


def test_a_vote_keeps_a_hash_of_its_place_until_it_is_old(
    begin: Begin, finish: Any, client: FlaskClient, arena: Arena, redis_client: redis.Redis
) -> None:
    _, battle = cast(client, begin, finish)
    place = vote_on(arena, battle).place
    assert place is not None
    assert "127" not in place
    arena.db.write(lambda s: setattr(s.get_one(Vote, vote_on(arena, battle).id), "created_at", now() - timedelta(40)))
    redis_client.delete(DONE_KEY)
    integrity = Integrity(arena)
    assert integrity.nightly() is not None
    assert integrity.nightly() is None, "once a night"
    assert vote_on(arena, battle).place is None


def test_a_rigger_is_set_apart_with_a_reason_and_the_board_is_as_if_they_had_not_been(arena: Arena) -> None:
    history(arena, rigged=0)
    before = board(arena)
    arena.db.write(lambda s: s.query(Vote).delete())
    arena.db.write(lambda s: s.query(Battle).delete())
    history(arena)
    Integrity(arena).judge_all()
    (found,) = apart(arena).values()
    assert (found.owner, found.by) == (RIGGER, "automatic")
    assert "always for m1" in found.reason
    assert board(arena) == before
    audited = arena.db.read(lambda s: s.scalars(select(AuditLine)).all())
    assert ("automatic", "session.quarantine", RIGGER) in {(a.by, a.action, a.target) for a in audited}


def test_released_by_an_operator_the_board_is_as_before_and_stays_so(arena: Arena) -> None:
    history(arena)
    before, votes = board(arena), state(arena)
    integrity = Integrity(arena)
    integrity.judge_all()
    assert board(arena) != before
    key = arena.settings.signing_key()
    arena.db.write(lambda s: rulings.release(s, _operator(), RIGGER, "a person", key))
    assert board(arena) == before
    assert state(arena) == votes
    integrity.judge_all()
    assert board(arena) == before
    assert not apart(arena)


def test_an_operators_quarantine_is_not_lifted_by_the_pass_and_an_automatic_one_without_grounds_is(
    arena: Arena,
) -> None:
    history(arena, rigged=0)
    honest = arena.db.read(lambda s: s.scalars(select(Vote.owner).distinct().limit(2)).all())
    key = arena.settings.signing_key()
    arena.db.write(lambda s: rulings.quarantine(s, _operator(), honest[0], "a farm", key))
    arena.db.write(lambda s: rulings.quarantine(s, "automatic", honest[1], "a mistake", key))
    Integrity(arena).judge_all()
    assert set(apart(arena)) == {honest[0]}


def test_however_the_looks_went_the_pass_has_the_last_word(arena: Arena) -> None:
    """Looked at in one go, one by one, or never: after a pass the votes stand the same."""
    history(arena)
    integrity = Integrity(arena)
    outcomes = []
    for chunks in ((), (720,), (300, 300, 120)):
        arena.db.write(lambda s: s.query(Quarantine).delete())
        for vote in arena.db.read(lambda s: s.scalars(select(Vote)).all()):
            arena.db.write(lambda s, v=vote: _anew(s.get_one(Vote, v.id)))
        start = 0
        for size in chunks:
            arena.db.write(lambda s, low=start, high=start + size: _unjudged(s, low, high))
            integrity.look()
            start += size
        integrity.judge_all()
        outcomes.append((state(arena), set(apart(arena))))
    assert outcomes[0] == outcomes[1] == outcomes[2]
    assert outcomes[0][1] == {RIGGER}


def _anew(vote: Vote) -> None:
    vote.counted, vote.reasons = True, []


def _unjudged(session: Any, low: int, high: int) -> None:
    for vote in session.scalars(select(Vote).order_by(Vote.id).offset(low).limit(high - low)):
        vote.judged = False


def test_the_command_line_lists_judges_and_releases(app: Flask, arena: Arena) -> None:
    history(arena)
    run = app.test_cli_runner().invoke
    assert "1 sessions should be apart" in run(args=["integrity", "judge"]).output
    listed = run(args=["integrity", "list"]).output
    assert RIGGER in listed
    assert "automatic: always for m1" in listed
    assert run(args=["integrity", "release", RIGGER, "a person"]).output.startswith("120 votes count again")
    refused = run(args=["integrity", "release", RIGGER, "again"])
    assert refused.exit_code == 1
    assert "Traceback" not in refused.output
