"""Whatever is killed, cut or locked: no battle is lost or stuck, no word missing or said twice, no vote gone."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from ops.bench.chaos.faults import FAULTS
from ops.bench.chaos.rounds import Outcome, play
from ops.bench.chaos.stack import Stack
from ops.bench.chaos.visitor import facts

AT_ONCE = 6
Round = Callable[[str, int, int], Outcome]


def rounds(arena: Stack) -> Round:
    """Play a round of one fault, with visitors nobody has seen before."""
    numbers = itertools.count(0, 1000)

    def go(fault: str, battles: int, faults: int) -> Outcome:
        return play(arena, fault, battles, AT_ONCE, first=next(numbers), faults=faults)

    return go


@pytest.fixture(scope="module")
def round_of(chaos_arena: Stack) -> Round:
    return rounds(chaos_arena)


def check(outcome: Outcome) -> None:
    seen = [facts(visit) for visit in outcome.visits]
    assert outcome.faults > 0
    assert (outcome.lost, outcome.stuck) == (0, 0), seen
    assert (outcome.tokens_lost, outcome.tokens_repeated, outcome.breaches) == (0, 0, []), seen
    assert outcome.votes_lost == 0, seen
    assert sum(visit.voted for visit in outcome.visits) == len(outcome.visits)


@pytest.mark.parametrize("fault", [f for f in FAULTS if f != "engine"])
def test_nothing_is_lost_repeated_or_stuck(round_of: Round, fault: str) -> None:
    check(round_of(fault, AT_ONCE, 1))


@pytest.mark.long
def test_engines_that_die_take_nothing_with_them(round_of: Round) -> None:
    check(round_of("engine", 5 * AT_ONCE, 0))


@pytest.mark.long
@pytest.mark.parametrize("fault", FAULTS)
def test_again_and_again(round_of: Round, fault: str) -> None:
    check(round_of(fault, 6 * AT_ONCE, 0))


@pytest.mark.long
@pytest.mark.postgres
@pytest.mark.parametrize("fault", ["database", "records", "deploy"])
def test_nor_on_a_database_server_that_dies(postgres_arena: Stack, fault: str) -> None:
    check(rounds(postgres_arena)(fault, 4 * AT_ONCE, 0))
