from __future__ import annotations

import csv
import math
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.web.ratings import llmfao as llmfao_files
from web.ratings.bradley_terry import CENTRE, SCALE, fit
from web.ratings.tally import Count

NEARLY_NOTHING = 1e-9


def relative(strengths: dict[str, float]) -> dict[str, float]:
    total = sum(strengths.values())
    return {m: s / total for m, s in strengths.items()}


def strengths(counts: list[Count], prior: float = NEARLY_NOTHING) -> dict[str, float]:
    return relative({s.model: math.exp((s.rating - CENTRE) / SCALE) for s in fit(counts, prior)})


def test_the_textbook_example() -> None:
    """Wikipedia's four players: A-B 2:3, A-D 1:4, B-C 5:3, C-D 1:3, and C, D over A, C none."""
    wins = {("a", "b"): 2, ("b", "a"): 3, ("a", "d"): 1, ("d", "a"): 4, ("b", "c"): 5, ("c", "b"): 3,
            ("c", "d"): 1, ("d", "c"): 3}  # fmt: skip
    found = strengths([Count(w, loser, 1.0, n) for (w, loser), n in wins.items()])
    scale = math.prod(found.values()) ** 0.25
    assert [round(found[m] / scale, 3) for m in "abcd"] == [0.640, 1.043, 0.660, 2.270]


def test_nobody_is_certain_of_anything_without_games() -> None:
    assert fit([], 0.1) == []
    assert fit([Count("a", "b", 1.0, 0)], 0.1) == []


def test_the_undefeated_and_the_unconnected_stay_finite() -> None:
    rows = fit([Count("a", "b", 1.0, 1000), Count("c", "d", 0.5, 1)], 0.1)
    assert all(math.isfinite(x) for s in rows for x in (s.rating, s.lower, s.upper))
    assert rows[0].model == "a"
    assert {s.model: round(s.rating) for s in rows}["c"] == 1000


def test_more_votes_narrow_the_interval() -> None:
    def width(n: int) -> float:
        first = fit([Count("a", "b", 1.0, 6 * n), Count("a", "b", 0.0, 4 * n)], 0.1)[0]
        return first.upper - first.lower

    assert width(1) > width(10) > width(100)
    assert width(10) / width(1000) == pytest.approx(10, rel=0.1)


COUNTS = st.lists(
    st.builds(
        Count,
        a=st.sampled_from("abc"),
        b=st.sampled_from("def"),
        score=st.sampled_from([0.0, 0.5, 1.0]),
        games=st.integers(1, 50),
    ),
    min_size=1,
    max_size=30,
)


@settings(deadline=None)
@given(COUNTS)
def test_sides_do_not_matter_and_the_mean_is_1000(counts: list[Count]) -> None:
    turned = [Count(c.b, c.a, 1 - c.score, c.games) for c in counts]
    one, other = fit(counts, 0.1), fit(turned, 0.1)
    ratings = {s.model: s.rating for s in other}
    assert all(s.rating == pytest.approx(ratings[s.model], abs=1e-6) for s in one)
    assert sum(s.rating for s in one) / len(one) == pytest.approx(CENTRE, abs=1e-6)
    assert all(s.lower < s.rating < s.upper for s in one)


@settings(deadline=None)
@given(COUNTS)
def test_adding_up_equal_games_changes_nothing(counts: list[Count]) -> None:
    single = [Count(c.a, c.b, c.score) for c in counts for _ in range(c.games)]
    one, other = fit(counts, 0.1), {s.model: s for s in fit(single, 0.1)}
    for s in one:
        assert s.rating == pytest.approx(other[s.model].rating, abs=1e-6)
        assert s.upper == pytest.approx(other[s.model].upper, abs=1e-6)


@pytest.mark.parametrize("prior", [-1.0, float("nan"), float("inf")])
def test_a_prior_is_a_number(prior: float) -> None:
    with pytest.raises(ValueError, match="prior"):
        fit([Count("a", "b", 1.0)], prior)


def test_a_model_cannot_meet_itself() -> None:
    with pytest.raises(ValueError, match="itself"):
        fit([Count("a", "a", 1.0)], 0.1)


def test_evalica_agrees() -> None:
    import evalica

    counts = [Count("a", "b", 1.0, 7), Count("a", "b", 0.0, 4), Count("b", "c", 0.5, 6), Count("c", "a", 1.0, 5),
              Count("c", "d", 1.0, 3), Count("d", "b", 1.0, 2), Count("a", "d", 0.0, 2)]  # fmt: skip
    winner = {1.0: evalica.Winner.X, 0.0: evalica.Winner.Y, 0.5: evalica.Winner.Draw}
    games = [(c.a, c.b, winner[c.score]) for c in counts for _ in range(c.games)]
    oracle = evalica.bradley_terry(
        [g[0] for g in games],
        [g[1] for g in games],
        [g[2] for g in games],
        tie_weight=0.5,
        tolerance=1e-12,
        limit=10_000,
    )
    expected = relative({str(m): float(s) for m, s in oracle.scores.items()})
    found = strengths(counts)
    assert {m: found[m] for m in expected} == pytest.approx(expected, rel=1e-6)


@pytest.fixture(scope="module")
def llmfao() -> tuple[list[Count], dict[str, float]]:
    votes = llmfao_files.votes()
    score = {"left": 1.0, "right": 0.0, "tie": 0.5}
    with votes.open(newline="") as file:
        seen = Counter((r["left"], r["right"], score[r["winner"]]) for r in csv.DictReader(file))
    return [Count(a, b, s, n) for (a, b, s), n in seen.items()], llmfao_files.golden()


def test_thousands_of_real_votes_give_the_published_scores(llmfao: tuple[list[Count], dict[str, float]]) -> None:
    counts, golden = llmfao
    found = strengths(counts, 1e-10)
    assert {m: found[m] for m in golden} == pytest.approx(golden, rel=1e-6)


def test_the_default_prior_hardly_moves_a_board_of_real_votes(
    llmfao: tuple[list[Count], dict[str, float]],
) -> None:
    counts, _ = llmfao
    bare = {s.model: s.rating for s in fit(counts, 1e-10)}
    assert max(abs(s.rating - bare[s.model]) for s in fit(counts, 0.1)) < 1.5
