from __future__ import annotations

import pytest

from web.context import Arena
from web.models import Battle, Rating, RatingSnapshot, Vote
from web.ratings import board
from web.ratings.style import style
from web.ratings.tally import Count


def add_votes(arena: Arena, *votes: tuple[str, str, str, bool]) -> None:
    def work(session) -> None:  # type: ignore[no-untyped-def]
        for i, (a, b, winner, counted) in enumerate(votes):
            key = f"battle-{i:04}"
            session.add(
                Battle(id=key, owner="o", state="finished", model_a=a, model_b=b, probability=1.0, policy_version="t")
            )
            session.flush()
            session.add(Vote(battle_id=key, owner="o", winner=winner, model_a=a, model_b=b, counted=counted))

    arena.db.write(work)


def test_votes_are_added_up_by_pair_and_outcome(arena: Arena) -> None:
    add_votes(
        arena, ("x", "y", "a", True), ("x", "y", "a", True), ("x", "y", "b", True), ("y", "x", "both_bad", True),
        ("x", "y", "tie", True), ("x", "y", "a", False),
    )  # fmt: skip
    assert arena.db.read(board.read_counts) == [
        Count("x", "y", 1.0, 2), Count("x", "y", 0.0, 1), Count("x", "y", 0.5, 1), Count("y", "x", 0.5, 1),
    ]  # fmt: skip
    assert arena.db.read(board.extent)[0] == 5


def test_win_rates_count_ties_half() -> None:
    rows = board.standings([Count("x", "y", 1.0, 3), Count("y", "x", 1.0, 1), Count("x", "y", 0.5, 4)], 0.1)
    assert [(r.model, r.rank, r.votes, r.win_rate) for r in rows] == [("x", 1, 8, 0.625), ("y", 2, 8, 0.375)]


def test_equal_ratings_share_a_rank() -> None:
    rows = board.standings([Count("x", "y", 0.5, 3), Count("x", "z", 1.0, 2), Count("y", "z", 1.0, 2)], 0.1)
    assert [(r.model, r.rank) for r in rows] == [("x", 1), ("y", 1), ("z", 3)]


def test_old_snapshots_are_forgotten(arena: Arena, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(board, "KEPT_SNAPSHOTS", 2)
    rows = board.standings([Count("x", "y", 1.0)], 0.1)
    for n in range(4):
        arena.db.write(lambda s, n=n: board.store(s, rows, (n, n), 0.1))
    kept = arena.db.read(lambda s: [x.votes for x in s.query(RatingSnapshot).order_by(RatingSnapshot.id)])
    assert kept == [2, 3]
    assert arena.db.read(lambda s: s.query(Rating).count()) == 4


def test_style_counts_form_and_not_content() -> None:
    text = "# One\n\n- a\n- **b**\n1. c\n\n```py\nx\n```\n~~~\nopen"
    assert style(text) == {
        "characters": len(text), "words": 13, "headers": 1, "list_items": 3, "bold": 1, "code_blocks": 2,
    }  # fmt: skip
    assert set(style("").values()) == {0}
