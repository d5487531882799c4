from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from web.context import Arena
from web.models import Battle, Rating, RatingSnapshot, Vote
from web.ratings import board
from web.ratings.board import Boards
from web.ratings.book import Extent, VoteBook
from web.ratings.method import Method
from web.ratings.standings import standings
from web.ratings.style import style
from web.ratings.tally import Count

Given = tuple[str, str, str, bool]


def add_votes(arena: Arena, *votes: Given, features: dict[str, Any] | None = None, first: int | None = None) -> None:
    def work(session) -> None:  # type: ignore[no-untyped-def]
        before = len(session.scalars(select(Battle.id)).all())
        for i, (a, b, winner, counted) in enumerate(votes, before):
            key = f"battle-{i:04}"
            session.add(
                Battle(id=key, owner="o", state="finished", model_a=a, model_b=b, probability=1.0, policy_version="t")
            )
            session.flush()
            vote = Vote(
                battle_id=key, owner="o", winner=winner, model_a=a, model_b=b, counted=counted, features=features
            )
            if first is not None:
                vote.id = first + i - before
            session.add(vote)

    arena.db.write(work)


def refresh(arena: Arena, boards: Boards) -> set[str]:
    """As the records worker does; the boards that were stored."""
    seen = arena.db.read(boards.changed)
    rows = boards.fit(seen)
    arena.db.write(lambda s: boards.store(s, rows, seen))
    boards.stored(seen)
    return set(seen)


def caught_up(arena: Arena, book: VoteBook) -> list[tuple[str, str, str, int]]:
    arena.db.read(book.catch_up)
    return book.counts()


X_Y = ("x", "y", "a", True)


def test_votes_are_added_up_by_sides_and_outcome(arena: Arena) -> None:
    add_votes(
        arena, X_Y, X_Y, ("x", "y", "b", True), ("y", "x", "both_bad", True), ("x", "y", "tie", True),
        ("x", "y", "a", False), ("x", "x", "a", True),
    )  # fmt: skip
    assert set(caught_up(arena, VoteBook())) == {
        ("x", "y", "a", 2), ("x", "y", "b", 1), ("x", "y", "tie", 1), ("y", "x", "both_bad", 1),
    }  # fmt: skip


def test_the_book_reads_only_what_is_new_and_forgets_what_no_longer_counts(arena: Arena) -> None:
    book = VoteBook()
    add_votes(arena, X_Y, ("x", "z", "tie", True))
    caught_up(arena, book)
    add_votes(arena, ("z", "y", "b", True))
    arena.db.write(lambda s: s.execute(update(Vote).where(Vote.id == 1).values(counted=False)))
    assert set(caught_up(arena, book)) == {("x", "z", "tie", 1), ("z", "y", "b", 1)}
    arena.db.write(lambda s: s.execute(update(Vote).values(counted=True)))
    assert set(caught_up(arena, book)) == {("x", "y", "a", 1), ("x", "z", "tie", 1), ("z", "y", "b", 1)}


def test_a_vote_that_comes_late_with_a_lower_number_is_not_missed(arena: Arena) -> None:
    book = VoteBook()
    add_votes(arena, X_Y, first=100)
    caught_up(arena, book)
    add_votes(arena, ("x", "y", "b", True), first=60)
    assert set(caught_up(arena, book)) == {("x", "y", "a", 1), ("x", "y", "b", 1)}
    assert caught_up(arena, book) == book.counts()


def test_many_votes_are_read_in_pages(arena: Arena, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("web.ratings.book._CHUNK", 3)
    monkeypatch.setattr("web.ratings.book._LATE", 2)
    book = VoteBook()
    for round_ in range(1, 4):
        add_votes(arena, *[X_Y] * 7)
        assert caught_up(arena, book) == [("x", "y", "a", 7 * round_)]


def test_one_vote_out_and_another_in_is_a_change(arena: Arena) -> None:
    boards = Boards(Method(), 1)
    add_votes(arena, X_Y, ("x", "y", "b", False), X_Y)
    assert refresh(arena, boards) == {"overall"}
    assert refresh(arena, boards) == set()
    arena.db.write(lambda s: s.execute(update(Vote).where(Vote.id < 3).values(counted=~Vote.counted)))
    assert refresh(arena, boards) == {"overall"}
    assert arena.db.read(lambda s: s.scalars(select(Rating.rating).where(Rating.snapshot_id == 2)).all()) == [
        1000,
        1000,
    ]


def test_after_a_restart_an_old_board_is_taken_as_it_is_unless_in_doubt(arena: Arena) -> None:
    add_votes(arena, X_Y)
    refresh(arena, Boards(Method(), 1))
    assert arena.db.read(Boards(Method(), 1).changed) == {}
    assert set(arena.db.read(lambda s: Boards(Method(), 1).changed(s, doubtful=True))) == {"overall"}


def test_boards_appear_when_they_have_votes_and_change_only_with_them(arena: Arena) -> None:
    boards = Boards(Method(), 2)
    add_votes(arena, X_Y, features={"probability": 1.0, "boards": ["code", "math"]})
    assert refresh(arena, boards) == {"overall"}
    add_votes(arena, X_Y, features={"probability": 1.0, "boards": ["code"]})
    assert refresh(arena, boards) == {"overall", "code"}
    add_votes(arena, X_Y)
    assert refresh(arena, boards) == {"overall"}
    snapshots = arena.db.read(lambda s: s.execute(select(RatingSnapshot.board, RatingSnapshot.votes)).all())
    assert [tuple(row) for row in snapshots if row[0] == "code"] == [("code", 2)]


def test_the_style_controlled_board_takes_the_effect_of_length_out(arena: Arena) -> None:
    """x wins whenever it is longer and loses when it is shorter; apart from that they are equal."""

    def style_of(a: int, b: int) -> dict[str, Any]:
        none = {"headers": 0, "list_items": 0, "bold": 0}
        return {"probability": 1.0, "boards": [], "style": {"a": {"tokens": a, **none}, "b": {"tokens": b, **none}}}

    boards = Boards(Method(), 1)
    for a, b, winner, times in ((300, 100, "a", 27), (300, 100, "b", 3), (100, 300, "b", 9), (100, 300, "a", 1)):
        add_votes(arena, *[("x", "y", winner, True)] * times, features=style_of(a, b))
    assert refresh(arena, boards) == {"overall", "style_control"}

    def gap(name: str) -> float:
        rows = {s.model: s.rating for s in boards.fit([name])[name]}
        return rows["x"] - rows["y"]

    assert gap("overall") > 100
    assert abs(gap("style_control")) < gap("overall") / 2


def test_unevenly_drawn_pairs_have_the_same_say(arena: Arena) -> None:
    """Ten times as many votes on one pair move its models no more than they would with one pair's share."""
    for pair, times, probability in ((("x", "y"), 100, 0.8), (("y", "z"), 10, 0.1), (("z", "x"), 10, 0.1)):
        votes = [(*pair, "a", True)] * (times * 8 // 10) + [(*pair, "b", True)] * (times * 2 // 10)
        add_votes(arena, *votes, features={"probability": probability, "boards": []})
    boards = Boards(Method(prior=1e-6), 1)
    arena.db.read(boards.changed)
    assert [round(s.rating, 3) for s in boards.fit(["overall"])["overall"]] == [1000, 1000, 1000]


def test_win_rates_count_ties_half() -> None:
    rows = standings([Count("x", "y", 1.0, 3), Count("y", "x", 1.0, 1), Count("x", "y", 0.5, 4)], 0.1)
    assert [(r.model, r.rank, r.votes, r.win_rate) for r in rows] == [("x", 1, 8, 0.625), ("y", 2, 8, 0.375)]


def test_equal_ratings_share_a_rank() -> None:
    rows = standings([Count("x", "y", 0.5, 3), Count("x", "z", 1.0, 2), Count("y", "z", 1.0, 2)], 0.1)
    assert [(r.model, r.rank) for r in rows] == [("x", 1), ("y", 1), ("z", 3)]


def test_rank_spread_is_what_intervals_leave_open() -> None:
    surely = standings([Count("x", "y", 1.0, 300), Count("x", "y", 0.0, 100)], 0.1)
    assert [(r.best_rank, r.worst_rank) for r in surely] == [(1, 1), (2, 2)]
    perhaps = standings([Count("x", "y", 1.0, 3), Count("x", "y", 0.0, 2)], 0.1)
    assert [(r.best_rank, r.worst_rank) for r in perhaps] == [(1, 2), (1, 2)]


def test_old_snapshots_are_forgotten_but_each_days_last(arena: Arena, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(board, "KEPT_SNAPSHOTS", 2)
    rows = standings([Count("x", "y", 1.0)], 0.1)
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    for n in range(12):
        at = begin + timedelta(hours=8 * n)  # three a day

        def work(session, n=n, at=at) -> None:  # type: ignore[no-untyped-def]
            board.store(session, "overall", rows, Extent(n, n), "m")
            session.get_one(RatingSnapshot, n + 1).created_at = at

        arena.db.write(work)
    kept = arena.db.read(lambda s: [x.votes for x in s.query(RatingSnapshot).order_by(RatingSnapshot.id)])
    assert kept == [2, 5, 8, 10, 11]
    assert arena.db.read(lambda s: s.query(Rating).count()) == 2 * len(kept)


def test_boards_are_forgotten_apart(arena: Arena, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(board, "KEPT_SNAPSHOTS", 1)
    rows = standings([Count("x", "y", 1.0)], 0.1)
    for name in ("overall", "code", "overall", "overall"):
        arena.db.write(lambda s, name=name: board.store(s, name, rows, Extent(1, 1), "m"))
    assert arena.db.read(lambda s: s.scalars(select(RatingSnapshot.board)).all()) == ["code", "overall"]


def test_style_counts_form_and_not_content() -> None:
    text = "# One\n\n- a\n- **b**\n1. c\n\n```py\nx\n```\n~~~\nopen"
    assert style(text) == {
        "characters": len(text), "words": 13, "headers": 1, "list_items": 3, "bold": 1, "code_blocks": 2,
    }  # fmt: skip
    assert set(style("").values()) == {0}
