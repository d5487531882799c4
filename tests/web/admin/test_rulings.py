"""What operators rule about models, votes and sessions: at once, for good reasons, and in the audit log."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
import redis
from flask.testing import FlaskClient
from sqlalchemy import select, update

from tests.web.admin.conftest import Bearer
from tests.web.helpers import MODELS, queued, result, types
from web.context import Arena
from web.models import AuditLine, Battle, ModelState, Vote, now
from web.records.service import Records
from worker.contract import jobs

Begin = Callable[..., str]
Finish = Callable[..., Any]
WHY = {"reason": "a good reason"}


@pytest.fixture
def vote(client: FlaskClient, begin: Begin, finish: Finish) -> Callable[..., int]:
    """Judge a battle as ``who`` and return the vote's id."""

    def go(who: FlaskClient = client, winner: str = "a") -> int:
        battle = begin(who=who)
        finish(battle)
        assert who.post(f"/api/battles/{battle}/vote", json={"winner": winner}).status_code == 201
        found = who.application.extensions["arena"].db.read(
            lambda s: s.scalar(select(Vote.id).where(Vote.battle_id == battle))
        )
        return int(found)

    return go


def votes_of(admin: Bearer) -> dict[int, tuple[bool, list[str]]]:
    return {v["id"]: (v["counted"], v["reasons"]) for v in admin.get("/api/admin/votes").get_json()["votes"]}


def audited(arena: Arena) -> list[tuple[str, str, str, str]]:
    lines = arena.db.read(lambda s: list(s.scalars(select(AuditLine).order_by(AuditLine.id))))
    return [(a.by, a.action, a.target, a.reason) for a in lines if not a.action.startswith("key.")]


# ── models ───────────────────────────────────────────────────────────────────────────────────────────────────────


def drawn(arena: Arena, battles: list[str]) -> set[str]:
    rows = arena.db.read(lambda s: s.execute(select(Battle.model_a, Battle.model_b).where(Battle.id.in_(battles))))
    return {model for row in rows for model in row}


def test_a_disabled_model_is_not_drawn_until_it_is_enabled(arena: Arena, admin: Bearer, begin: Begin) -> None:
    for model in MODELS[:2]:
        ruled = admin.post(f"/api/admin/models/{model}/disable", json=WHY)
        assert (ruled.status_code, ruled.get_json()["takes_part"]) == (200, False)
    assert drawn(arena, [begin() for _ in range(8)]) == set(MODELS[2:])
    standings = {m["id"]: m for m in admin.get("/api/admin/models").get_json()["models"]}
    assert [standings[m]["takes_part"] for m in MODELS] == [False, False, True, True]
    assert standings[MODELS[0]]["reason"] == "a good reason"
    admin.post(f"/api/admin/models/{MODELS[0]}/enable", json=WHY)
    arena.db.write(lambda s: s.execute(update(Battle).values(state="finished")))
    admin.post(f"/api/admin/models/{MODELS[2]}/disable", json=WHY)
    assert drawn(arena, [begin() for _ in range(3)]) == {MODELS[0], MODELS[3]}
    assert [line[1:3] for line in audited(arena)] == [
        ("model.disable", MODELS[0]),
        ("model.disable", MODELS[1]),
        ("model.enable", MODELS[0]),
        ("model.disable", MODELS[2]),
    ]
    assert {line[0] for line in audited(arena)} == {admin.id}


def test_a_model_comes_back_when_its_time_is_over(arena: Arena, admin: Bearer, begin: Begin) -> None:
    for model in MODELS[:2]:
        ruled = admin.post(f"/api/admin/models/{model}/time_out", json={"seconds": 600, **WHY})
        assert ruled.get_json()["out_until"]
    assert drawn(arena, [begin() for _ in range(5)]) == set(MODELS[2:])
    arena.db.write(lambda s: s.execute(update(ModelState).values(out_until=now() - timedelta(seconds=1))))
    standings = admin.get("/api/admin/models").get_json()["models"]
    assert all(m["takes_part"] and m["out_until"] is None for m in standings)


def test_when_too_few_are_left_nobody_can_begin(admin: Bearer, client: FlaskClient, worker: None) -> None:
    for model in MODELS[:3]:
        admin.post(f"/api/admin/models/{model}/disable", json=WHY)
    refused = client.post("/api/battles", json={"prompt": "x"})
    assert (refused.status_code, refused.get_json()["code"]) == (503, "no_worker")
    assert not any(model in refused.text for model in MODELS)


# ── votes ────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_flagged_vote_does_not_count_and_the_board_is_made_anew(
    arena: Arena, admin: Bearer, vote: Callable[..., int], redis_client: redis.Redis, records: Records
) -> None:
    first, second = vote(), vote()
    assert records.refresh_ratings()
    before = len(queued(redis_client, jobs.QUEUE_RECORDS))
    flagged = admin.post(f"/api/admin/votes/{first}/flag", json=WHY).get_json()
    assert (flagged["counted"], flagged["reasons"]) == (False, ["flagged"])
    assert len(queued(redis_client, jobs.QUEUE_RECORDS)) == before + 1
    assert records.refresh_ratings()
    assert votes_of(admin) == {first: (False, ["flagged"]), second: (True, [])}
    again = admin.post(f"/api/admin/votes/{first}/flag", json=WHY)
    assert (again.status_code, again.get_json()["code"]) == (409, "unchanged")
    admin.post(f"/api/admin/votes/{first}/unflag", json={"reason": "it was fine"})
    assert votes_of(admin)[first] == (True, [])
    assert audited(arena) == [
        (admin.id, "vote.flag", str(first), "a good reason"),
        (admin.id, "vote.unflag", str(first), "it was fine"),
    ]


def test_two_rulings_between_two_fits_are_not_lost(admin: Bearer, vote: Callable[..., int], records: Records) -> None:
    """As many votes count as before, and others."""
    first, second, _ = vote(winner="a"), vote(winner="b"), vote(winner="tie")
    admin.post(f"/api/admin/votes/{first}/flag", json=WHY)
    assert records.refresh_ratings()
    admin.post(f"/api/admin/votes/{first}/unflag", json=WHY)
    admin.post(f"/api/admin/votes/{second}/flag", json=WHY)
    assert records.refresh_ratings()


def test_a_session_set_apart_counts_neither_now_nor_later_until_released(
    arena: Arena, admin: Bearer, app: Any, client: FlaskClient, vote: Callable[..., int]
) -> None:
    bystander = vote(who=app.test_client())
    mine = [vote(), vote()]
    owner = arena.db.read(lambda s: s.get_one(Vote, mine[0]).owner)
    path = f"/api/admin/sessions/{owner}"
    assert admin.post(f"{path}/quarantine", json=WHY).get_json() == {"owner": owner, "votes": 2}
    mine.append(vote())
    admin.post(f"/api/admin/votes/{mine[0]}/flag", json=WHY)
    told = votes_of(admin)
    assert told[bystander] == (True, [])
    assert told[mine[0]] == (False, ["quarantined", "flagged"])
    assert told[mine[2]] == (False, ["quarantined"])
    (apart,) = admin.get("/api/admin/sessions?quarantined=true").get_json()["sessions"]
    assert (apart["owner"], apart["votes"], apart["counted"], apart["reason"]) == (owner, 3, 0, "a good reason")
    assert admin.post(f"{path}/quarantine", json=WHY).status_code == 409

    assert admin.post(f"{path}/release", json=WHY).get_json()["votes"] == 2
    told = votes_of(admin)
    assert told[mine[0]] == (False, ["flagged"])
    assert [told[v] for v in mine[1:]] == [(True, []), (True, [])]
    later = vote()
    assert votes_of(admin)[later] == (True, [])
    assert [line[1] for line in audited(arena)] == ["session.quarantine", "vote.flag", "session.release"]


def test_votes_of_battles_that_a_session_deleted_go_with_it_and_come_back(
    arena: Arena, admin: Bearer, client: FlaskClient, vote: Callable[..., int]
) -> None:
    first, second = vote(), vote()
    cast = arena.db.read(lambda s: s.get_one(Vote, first))
    assert client.delete(f"/api/battles/{cast.battle_id}").status_code == 204
    path = f"/api/admin/sessions/{cast.owner}"
    assert admin.post(f"{path}/quarantine", json=WHY).get_json() == {"owner": cast.owner, "votes": 2}
    assert {counted for counted, _ in votes_of(admin).values()} == {False}
    assert admin.post(f"{path}/release", json=WHY).get_json()["votes"] == 2
    rest = arena.db.read(lambda s: s.get_one(Vote, second)).battle_id
    assert client.delete(f"/api/battles/{rest}").status_code == 204
    assert admin.post(f"{path}/quarantine", json=WHY).get_json()["votes"] == 2, "nothing is left under its own name"


def test_a_vote_outside_the_ranking_never_counts(arena: Arena, admin: Bearer, vote: Callable[..., int]) -> None:
    cast = vote()
    owner = arena.db.read(lambda s: s.get_one(Vote, cast).owner)
    arena.db.write(lambda s: s.execute(update(Battle).values(ranked=False)))
    for what in ("quarantine", "release"):
        admin.post(f"/api/admin/sessions/{owner}/{what}", json=WHY)
    assert votes_of(admin)[cast][0] is False


def test_lists_go_on_where_they_stopped_and_show_everybody_once(
    arena: Arena, admin: Bearer, app: Any, vote: Callable[..., int]
) -> None:
    people = [app.test_client() for _ in range(3)]
    cast = [vote(who=people[i % 3]) for i in range(7)]
    seen: list[int] = []
    cursor = ""
    while True:
        page = admin.get(f"/api/admin/votes?limit=3{cursor}").get_json()
        seen += [v["id"] for v in page["votes"]]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert seen == sorted(cast, reverse=True)
    owners: list[str] = []
    cursor = ""
    while True:
        page = admin.get(f"/api/admin/sessions?limit=1{cursor}").get_json()
        owners += [s["owner"] for s in page["sessions"]]
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    assert sorted(owners) == sorted(set(arena.db.read(lambda s: list(s.scalars(select(Vote.owner))))))
    one = admin.get(f"/api/admin/votes?owner={owners[0]}").get_json()["votes"]
    assert {v["owner"] for v in one} == {owners[0]}
    assert admin.get("/api/admin/votes?counted=false").get_json()["votes"] == []


# ── battles, audit, nonsense ─────────────────────────────────────────────────────────────────────────────────────


def test_a_battle_nobody_began_is_cancelled_here_and_now(
    arena: Arena, admin: Bearer, client: FlaskClient, begin: Begin, redis_client: redis.Redis, records: Records
) -> None:
    battle = begin()
    reply = admin.post(f"/api/admin/battles/{battle}/cancel", json=WHY)
    assert (reply.status_code, reply.get_json()["state"]) == (202, "cancelled")
    assert client.get(f"/api/battles/{battle}").get_json()["cancelled_by"] == "operator"
    assert types(redis_client, battle)[-1] == "battle.cancelled"
    records.finished(result(battle))
    assert client.get(f"/api/battles/{battle}").get_json()["state"] == "cancelled"
    refused = admin.post(f"/api/admin/battles/{battle}/cancel", json=WHY)
    assert (refused.status_code, refused.get_json()["code"]) == (409, "battle_over")
    assert audited(arena) == [(admin.id, "battle.cancel", battle, "a good reason")]


def test_what_is_rolled_back_is_not_in_the_log(arena: Arena, admin: Bearer) -> None:
    for path in ("models/fox/disable", "votes/7/flag", f"sessions/{'a' * 64}/quarantine", "battles/abcdefgh/cancel"):
        assert admin.post(f"/api/admin/{path}", json=WHY).status_code == 404, path
    assert audited(arena) == []


@pytest.mark.parametrize(
    ("path", "code"),
    [
        (f"votes/{2**31}/flag", "unknown_vote"),
        (f"votes/{10**40}/flag", "unknown_vote"),
        ("sessions/nobody/release", "unknown_session"),
        ("battles/%00/cancel", "not_found"),
        ("models/%00/enable", "not_found"),
    ],
)
def test_odd_names_are_unknown(admin: Bearer, path: str, code: str) -> None:
    refused = admin.post(f"/api/admin/{path}", json=WHY)
    assert (refused.status_code, refused.get_json()["code"]) == (404, code)


@pytest.mark.parametrize(
    "body", [{}, {"reason": ""}, {"reason": "x" * 201}, {"reason": "a\nb"}, {"reason": "\ud800"}, {"reason": 1}, []]
)
def test_a_ruling_needs_a_reason_in_one_line(admin: Bearer, body: Any) -> None:
    refused = admin.post(f"/api/admin/models/{MODELS[0]}/disable", json=body)
    assert (refused.status_code, refused.get_json()["code"]) == (422, "invalid_body")


@pytest.mark.parametrize(
    "query",
    ["votes?limit=0", "votes?limit=1000", "votes?cursor=x", "votes?owner=me", "audit?cursor=x", "sessions?cursor=-1"],
)
def test_a_query_of_the_wrong_form_is_refused(admin: Bearer, query: str) -> None:
    refused = admin.get(f"/api/admin/{query}")
    assert (refused.status_code, refused.get_json()["code"]) == (422, "invalid_query")
