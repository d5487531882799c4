"""What a battle of each pair would meet if it came now: how long it would wait, or that it would be refused.

Web draws pairs and answers 429 from this, so a battle that cannot be served in time is refused before it exists.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import combinations

from worker.memory import Bytes
from worker.pool import line
from worker.pool.refusals import overloaded
from worker.pool.room import together
from worker.pool.states import PoolState, Rules, Waiter


@dataclass(frozen=True, slots=True)
class Outlook:
    """By pair of contenders. ``eta``: seconds until it would start; ``refuses``: seconds after which to try again."""

    eta: dict[tuple[str, str], float] = field(default_factory=dict)
    refuses: dict[tuple[str, str], float] = field(default_factory=dict)


def outlook(
    state: PoolState,
    waiting: Sequence[Waiter],
    ledgers: Bytes,
    now: float,
    rules: Rules,
    contenders: Iterable[str],
    engine_of: Callable[[str], str],
) -> Outlook:
    """One line per unordered pair of ``contenders``; pairs on the same engines are reckoned once."""
    groups = line.groups(waiting)
    known: dict[frozenset[str], tuple[float, float | None]] = {}
    found = Outlook()
    for pair in combinations(sorted(contenders), 2):
        models = frozenset(engine_of(m) for m in pair)
        if models not in known:
            turns = [models] if together(state, ledgers, _local(state, models)) else [frozenset((m,)) for m in models]
            eta = sum(line.eta_s(state, groups, turn, now) for turn in turns)
            no = [s for turn in turns if (s := overloaded(state, waiting, turn, now, rules)) is not None]
            known[models] = eta, max(no, default=None)
        eta, retry = known[models]
        found.eta[pair] = eta
        if retry is not None:
            found.refuses[pair] = retry
    return found


def outlook_alone(
    state: PoolState,
    waiting: Sequence[Waiter],
    now: float,
    rules: Rules,
    contenders: Iterable[str],
    engine_of: Callable[[str], str],
) -> dict[str, float]:
    """Contenders of which one by itself would be refused now; seconds after which to try again."""
    found = {m: overloaded(state, waiting, frozenset((engine_of(m),)), now, rules) for m in contenders}
    return {model: retry for model, retry in found.items() if retry is not None}


def _local(state: PoolState, models: Iterable[str]) -> set[str]:
    return {m for m in models if not state.engines[m].elsewhere}
