from __future__ import annotations

import itertools
import json
import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.web.ratings.test_coverage import CHANCE, EVEN, RESIDENT, arena
from web.ratings import honesty
from web.ratings.__main__ import main
from web.ratings.bradley_terry import estimate
from web.ratings.tally import Count, Tally, from_counts


def test_the_votes_found_really_take_the_first_place_away() -> None:
    for seed in range(5):
        tally = arena(seed, 2000, EVEN, CHANCE, "none")
        found = honesty.smallest_flip(tally)
        assert found is not None
        assert found.confirmed
        first = estimate(tally).strengths()[0]
        assert found.top == first.model
        assert 0 < found.votes < 400
        assert found.share == found.votes / 2000


def test_on_a_small_arena_it_is_near_the_true_minimum() -> None:
    """All subsets tried: three models, twelve votes."""
    counts = [Count("x", "y", 1.0, 2), Count("y", "x", 1.0, 1), Count("y", "z", 1.0, 3), Count("z", "y", 1.0, 1),
              Count("x", "z", 1.0, 4), Count("z", "x", 1.0, 1)]  # fmt: skip
    single = [Count(c.a, c.b, c.score) for c in counts for _ in range(c.games)]
    models = ("x", "y", "z")
    first = estimate(from_counts(single)).strengths()[0].model

    def subsets(size: int) -> Iterator[tuple[int, ...]]:
        return itertools.combinations(range(12), size)

    def topped(kept: list[Count]) -> bool:
        ratings = {s.model: s.rating for s in estimate(from_counts(kept)).strengths()}
        return any(ratings.get(m, 1000) > ratings.get(first, 1000) for m in models if m != first)

    fewest = next(
        n for n in range(1, 12)
        if any(topped([c for i, c in enumerate(single) if i not in out]) for out in subsets(n))
    )  # fmt: skip
    found = honesty.smallest_flip(from_counts(single))
    assert found is not None
    assert fewest <= found.votes <= fewest + 1


def test_a_clear_winner_takes_more_votes_to_topple_than_a_narrow_one() -> None:
    def votes(wins: int) -> int:
        found = honesty.smallest_flip(from_counts([Count("x", "y", 1.0, wins), Count("y", "x", 1.0, 1000)]))
        assert found is not None
        return found.votes

    assert votes(1001) <= 2
    assert votes(1100) == pytest.approx(100, abs=2)
    assert votes(1500) == pytest.approx(500, abs=2)


def test_one_model_or_none_cannot_be_toppled() -> None:
    assert honesty.smallest_flip(from_counts([])) is None


def test_weights_count_in_influence() -> None:
    tally = arena(3, 3000, RESIDENT / RESIDENT.sum(), CHANCE, "realised")
    found = honesty.smallest_flip(tally)
    assert found is not None
    assert found.confirmed


def test_coverage_says_who_never_met() -> None:
    tally = from_counts([Count("x", "y", 1.0, 5), Count("y", "x", 0.5, 2), Count("y", "z", 0.5, 3)])
    assert honesty.coverage(tally) == honesty.Coverage(met=2, possible=3, fewest=0, median=3.0)
    assert honesty.coverage(from_counts([])).possible == 0


def test_position_bias_is_seen_through_ties_and_strengths() -> None:
    fair = honesty.position_bias(arena(1, 20_000, EVEN, CHANCE, "none"))
    assert fair.low < 0.5 < fair.high
    biased = honesty.position_bias(
        from_counts([Count("x", "y", 1.0, 82), Count("y", "x", 0.0, 18), Count("x", "y", 0.5, 900)])
    )
    assert (biased.share, biased.votes) == (0.82, 100)
    assert 0.7 < biased.low < biased.share < biased.high < 0.9


def test_wilsons_interval_is_the_textbooks() -> None:
    """Newcombe 1998, table I: 15 of 148."""
    found = honesty.wilson(15, 148)
    assert (round(found.low, 4), round(found.high, 4)) == (0.0624, 0.1605)
    assert honesty.wilson(0, 0) == honesty.Share(0.5, 0.0, 1.0, 0)


def test_agreement_is_krippendorffs_alpha() -> None:
    import evalica

    rng = np.random.default_rng(1)
    table = rng.integers(0, 3, (6, 40)).astype(float)
    table[1:4] = np.where(rng.random((3, 40)) < 0.7, table[0], table[1:4])
    table[rng.random(table.shape) < 0.3] = np.nan
    voter, thing = np.nonzero(~np.isnan(table))
    found = honesty.agreement(thing, table[voter, thing], voter)
    import pandas as pd

    assert found.alpha == pytest.approx(evalica.alpha(pd.DataFrame(table), distance="nominal").alpha)


def test_a_voter_who_votes_twice_does_not_agree_with_himself() -> None:
    assert honesty.agreement([0, 0, 0], [1, 1, 2], [7, 7, 8]).pairwise == 0
    assert math.isnan(honesty.agreement([0, 0], [1, 1], [7, 7]).pairwise)


def test_everybody_of_one_mind_and_nobody() -> None:
    assert honesty.agreement([0, 0, 1, 1], [1, 1, 2, 2]) == honesty.Agreement(1.0, 1.0, 2)
    assert math.isnan(honesty.agreement([0, 0], [1, 1]).alpha)
    assert honesty.agreement([], []).things == 0


def test_reasons_are_counted_most_first() -> None:
    assert honesty.excluded([["flagged"], ["quarantined", "flagged"], []]) == {
        "flagged": 2,
        "quarantined": 1,
        "unknown": 1,
    }


def test_an_empty_tally_has_no_bias() -> None:
    empty: Tally = from_counts([])
    assert honesty.position_bias(empty).votes == 0


def test_the_figures_of_a_file_are_all_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [
        {"model_a": a, "model_b": b, "winner": w, "voter": v, "counted": not reasons, "reasons": reasons}
        for a, b, w, v, reasons in [
            ("x", "y", "model_a", "p", []), ("y", "x", "model_b", "q", []), ("x", "y", "tie", "r", []),
            ("y", "z", "model_a", "p", []), ("x", "y", "model_b", "s", ["flagged"]),
        ]
    ]  # fmt: skip
    file = tmp_path / "votes.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    assert main([str(file), "--honesty"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["votes"] == 4
    assert found["coverage"] == {"met": 2, "possible": 3, "fewest": 0, "median": 1.0}
    assert found["position"]["share"] == pytest.approx(2 / 3)
    assert found["agreement"]["pairwise"] == pytest.approx(1 / 3)
    assert found["excluded"] == {"flagged": 1}
    assert found["flip"]["top"] == "x"


def test_no_votes_have_no_figures_and_no_crash(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "votes.jsonl"
    file.write_text("")
    assert main([str(file), "--honesty"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["votes"], found["flip"], found["agreement"]["alpha"]) == (0, None, None)
