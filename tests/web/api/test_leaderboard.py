"""Boards, head-to-heads, history and single models: right, cheap to ask again, and closed to nonsense."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient
from sqlalchemy import event, update

from tests.web.helpers import MODELS
from web.arena import board, pairs
from web.arena.board import spread
from web.context import Arena
from web.models import ModelState, Rating, RatingSnapshot, Vote
from web.records.service import Records

SWIFT, SAGE, BARD, _ = MODELS


def test_pairs_add_up_both_orders_of_sides(client: FlaskClient, votes: Callable[..., None]) -> None:
    votes((SWIFT, SAGE, "a"), (SAGE, SWIFT, "a"), (SAGE, SWIFT, "b"), (SWIFT, SAGE, "tie"), (SAGE, SWIFT, "both_bad"))
    body = client.get("/api/leaderboard/pairs").get_json()
    assert body["votes"] == 5
    [pair] = body["pairs"]
    assert (pair["a"], pair["b"]) == (SAGE, SWIFT)
    assert (pair["wins_a"], pair["wins_b"], pair["ties"], pair["both_bad"]) == (1, 2, 1, 1)
    assert pair["rate_a"] == (1 + 2 / 2) / 5


def test_a_vote_that_no_longer_counts_leaves_the_pairs(
    client: FlaskClient, arena: Arena, votes: Callable[..., None], records: Records
) -> None:
    votes((SWIFT, SAGE, "a"), (SWIFT, BARD, "a"))
    arena.db.write(lambda s: s.execute(update(Vote).where(Vote.model_b == BARD).values(counted=False)))
    records.refresh_ratings()
    assert [(p["a"], p["b"]) for p in client.get("/api/leaderboard/pairs").get_json()["pairs"]] == [(SAGE, SWIFT)]


@pytest.mark.parametrize(
    "path", ["/api/leaderboard", "/api/leaderboard/pairs", "/api/leaderboard/history", f"/api/models/{SWIFT}"]
)
def test_an_answer_is_fetched_again_only_after_a_vote(
    client: FlaskClient, votes: Callable[..., None], path: str
) -> None:
    votes((SWIFT, SAGE, "a"))
    first = client.get(path)
    tag = first.headers["ETag"]
    assert not tag.startswith("W/")
    assert first.headers["Cache-Control"] == "public, no-cache"
    for known in (tag, f"W/{tag}", f'"other", {tag}'):
        again = client.get(path, headers={"If-None-Match": known})
        assert (again.status_code, again.data) == (304, b"")
        assert again.headers["ETag"] == tag
    votes((SWIFT, BARD, "b"))
    changed = client.get(path, headers={"If-None-Match": tag})
    assert changed.status_code == 200
    assert changed.headers["ETag"] != tag
    assert changed.data != first.data


def test_asking_again_reads_no_votes_and_no_rows(client: FlaskClient, arena: Arena, votes: Callable[..., None]) -> None:
    votes((SWIFT, SAGE, "a"), (SWIFT, BARD, "b"))
    paths = ["/api/leaderboard", "/api/leaderboard/pairs", "/api/leaderboard/history", f"/api/models/{SWIFT}"]
    for path in paths:
        client.get(path)
    said: list[str] = []
    event.listen(arena.db.engine, "before_cursor_execute", lambda *a: said.append(a[2]))
    for path in paths:
        assert client.get(path).status_code == 200
    assert said
    assert not [s for s in said if "FROM votes" in s or "FROM ratings" in s or "FROM pair_counts" in s]


def test_no_request_ever_reads_the_votes(client: FlaskClient, arena: Arena, votes: Callable[..., None]) -> None:
    votes((SWIFT, SAGE, "a"))
    said: list[str] = []
    event.listen(arena.db.engine, "before_cursor_execute", lambda *a: said.append(a[2]))
    for path in ("/api/leaderboard", "/api/leaderboard/pairs", "/api/leaderboard/history", f"/api/models/{SWIFT}"):
        assert client.get(path).status_code == 200
    assert not [s for s in said if "FROM votes" in s]


def test_a_limit_cuts_the_board_from_its_end(client: FlaskClient, votes: Callable[..., None]) -> None:
    votes((SWIFT, SAGE, "a"), (SAGE, BARD, "a"), (SWIFT, BARD, "a"))
    whole = client.get("/api/leaderboard").get_json()["models"]
    assert [row["model"] for row in whole] == [SWIFT, SAGE, BARD]
    assert client.get("/api/leaderboard?limit=2").get_json()["models"] == whole[:2]


@pytest.mark.parametrize("path", ["/api/leaderboard", "/api/leaderboard/history"])
@pytest.mark.parametrize("query", ["limit=0", "limit=many", "limit=100000", "colour=red", "category="])
def test_nonsense_in_the_address_is_refused_by_field(client: FlaskClient, path: str, query: str) -> None:
    reply = client.get(f"{path}?{query}")
    assert (reply.status_code, reply.get_json()["code"]) == (422, "invalid_query")
    assert reply.get_json()["field"] == query.partition("=")[0]


@pytest.mark.parametrize("path", ["/api/leaderboard", "/api/leaderboard/history"])
def test_an_unknown_category_is_not_there(client: FlaskClient, path: str) -> None:
    reply = client.get(f"{path}?category=astrology")
    assert (reply.status_code, reply.get_json()["code"]) == (404, "unknown_category")


def test_a_category_has_its_own_board(client: FlaskClient, arena: Arena, votes: Callable[..., None]) -> None:
    votes((SWIFT, SAGE, "a"))

    def add(session: Any) -> None:
        snapshot = RatingSnapshot(board="code", votes=1, newest_vote=1, method="t")
        session.add(snapshot)
        session.flush()
        figures = {"rank": 1, "rating": 1100.0, "lower": 1000.0, "upper": 1200.0, "votes": 1, "win_rate": 1.0}
        session.add(Rating(snapshot_id=snapshot.id, model=SAGE, **figures))

    arena.db.write(add)
    code = client.get("/api/leaderboard?category=code").get_json()
    assert ([row["model"] for row in code["models"]], code["category"]) == ([SAGE], "code")
    assert code["categories"] == ["overall", "code"]
    overall = client.get("/api/leaderboard").get_json()
    assert [row["model"] for row in overall["models"]] == [SWIFT, SAGE]
    page = client.get(f"/api/models/{SAGE}").get_json()
    assert {s["category"] for s in page["standings"]} == {"overall", "code"}


def test_history_goes_from_the_oldest_to_the_board_as_it_is(client: FlaskClient, votes: Callable[..., None]) -> None:
    for winner in ("a", "a", "b", "tie"):
        votes((SWIFT, SAGE, winner))
    snapshots = client.get("/api/leaderboard/history").get_json()["snapshots"]
    assert [s["votes"] for s in snapshots] == [1, 2, 3, 4]
    now = {row["model"]: row["rating"] for row in client.get("/api/leaderboard").get_json()["models"]}
    assert {p["model"]: p["rating"] for p in snapshots[-1]["models"]} == now
    two = client.get(f"/api/leaderboard/history?limit=2&model={SAGE}").get_json()["snapshots"]
    assert [s["votes"] for s in two] == [1, 4]
    assert {p["model"] for s in two for p in s["models"]} == {SAGE}


def test_a_spread_keeps_both_ends() -> None:
    assert spread(range(10), 4) == [0, 3, 6, 9]
    assert spread(range(10), 1) == [9]
    assert spread(range(3), 5) == [0, 1, 2]
    assert spread([], 5) == []


def test_a_model_tells_its_record_from_its_own_side(client: FlaskClient, votes: Callable[..., None]) -> None:
    votes((SWIFT, SAGE, "a"), (SAGE, SWIFT, "a"), (BARD, SWIFT, "b"), (SAGE, BARD, "tie"))
    page = client.get(f"/api/models/{SWIFT}").get_json()
    assert page["competing"] is True
    assert page["record"] == {"games": 3, "won": 2, "lost": 1, "ties": 0, "both_bad": 0}
    assert [(o["model"], o["games"], o["won"], o["rate"]) for o in page["opponents"]] == [
        (SAGE, 2, 1, 0.5),
        (BARD, 1, 1, 1.0),
    ]
    assert page["standings"][0]["votes"] == 3


def test_a_model_that_left_the_catalog_still_answers(client: FlaskClient, votes: Callable[..., None]) -> None:
    votes((SWIFT, "retired-one", "b"))
    page = client.get("/api/models/retired-one").get_json()
    assert (page["name"], page["competing"], page["record"]["won"]) == ("retired-one", False, 1)
    assert client.get("/api/models/never-was").get_json()["code"] == "unknown_model"


def test_a_model_that_was_taken_out_says_so_at_once(
    client: FlaskClient, arena: Arena, votes: Callable[..., None]
) -> None:
    votes((SWIFT, SAGE, "a"))
    tag = client.get(f"/api/models/{SWIFT}").headers["ETag"]
    arena.db.write(lambda s: s.add(ModelState(model=SWIFT, enabled=False)))
    changed = client.get(f"/api/models/{SWIFT}", headers={"If-None-Match": tag})
    assert (changed.status_code, changed.get_json()["competing"]) == (200, False)


def test_stored_pairs_follow_the_votes_and_nothing_else_is_written(arena: Arena, votes: Callable[..., None]) -> None:
    votes((SWIFT, SAGE, "a"), (SWIFT, BARD, "a"))
    said: list[str] = []
    event.listen(arena.db.engine, "before_cursor_execute", lambda *a: said.append(a[2]))
    arena.db.write(lambda s: pairs.store(s, pairs.tally(s)))
    assert not [s for s in said if s.startswith(("INSERT", "UPDATE", "DELETE"))]
    assert arena.db.read(pairs.tally) == arena.db.read(pairs.read)
    assert arena.db.read(board.newest) == 1


def test_the_board_says_how_far_it_can_be_trusted(
    client: FlaskClient, arena: Arena, votes: Callable[..., None], records: Records
) -> None:
    assert client.get("/api/leaderboard").get_json()["honesty"] is None
    votes((SWIFT, SAGE, "a"), (SAGE, SWIFT, "b"), (SWIFT, BARD, "a"), (BARD, SAGE, "a"), refresh=False)
    out = {"counted": False, "reasons": ["leaked", "flagged"]}
    arena.db.write(lambda s: s.execute(update(Vote).where(Vote.model_a == BARD).values(**out)))
    records.refresh_ratings()
    body = client.get("/api/leaderboard").get_json()
    said = body["honesty"]
    assert said["votes"] == body["votes"] == 3
    assert (said["flip"]["top"], said["flip"]["confirmed"]) == (SWIFT, False), "it won them all"
    assert "Broderick" in said["flip"]["method"]
    assert said["coverage"] == {"met": 2, "possible": 3, "fewest": 0, "median": 1.0}
    assert (said["position"]["votes"], said["position"]["share"]) == (3, round(2 / 3, 6))
    assert said["agreement"] == {"pairwise": None, "alpha": None, "things": 0}
    assert said["excluded"] == {"flagged": 1, "leaked": 1}
    arena.db.write(lambda s: s.execute(update(Vote).values(counted=True, reasons=[])))
    records.refresh_ratings()
    assert client.get("/api/leaderboard").get_json()["honesty"]["excluded"] == {}


def test_rows_say_which_ranks_are_possible(client: FlaskClient, votes: Callable[..., None]) -> None:
    votes(*[(SWIFT, SAGE, "a")] * 30, *[(SAGE, SWIFT, "a")] * 2, (SWIFT, BARD, "tie"))
    rows = {r["model"]: r for r in client.get("/api/leaderboard").get_json()["models"]}
    assert (rows[SWIFT]["best_rank"], rows[SAGE]["worst_rank"]) == (1, 3)
    assert rows[BARD]["worst_rank"] - rows[BARD]["best_rank"] >= 1
    for row in rows.values():
        assert row["best_rank"] <= row["rank"] <= row["worst_rank"]
