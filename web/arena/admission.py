"""May a battle start now, and which models may take part? Decided from the workers' own reports.

Two questions, and the order matters. Before the draw: which models can run at all. After it: is the pair that was drawn
refused. A refused pair is not drawn again: pairs that are easy to serve would then be drawn more often than the policy
says, and the probability stored with each battle, by which the ranking corrects for the draw, would be wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from web.errors import Busy, NoWorker
from worker.contract.residency import Residency, pair_key

_RETRY_S = 10.0
_LONGEST_RETRY_S = 120.0


def admit(reports: Sequence[Residency], catalog_ids: Sequence[str]) -> list[str]:
    """Ids of the models a battle may draw from, in the catalog's order.

    Raises NoWorker when nobody accepts battles or fewer than two models can run, Busy when every line is full.
    """
    accepting = [r for r in reports if r.accepting]
    if not accepting:
        raise NoWorker("The models are not ready yet. Please try again in a moment.", retry_after_s=_RETRY_S)
    open_lines = [r for r in accepting if _has_room(r)]
    if not open_lines:
        wait = min((r.eta_s for r in accepting if r.eta_s is not None), default=_RETRY_S)
        raise _busy(min(wait, _LONGEST_RETRY_S))
    eligible = [m for m in catalog_ids if any(_can_run(r, m) for r in open_lines)]
    if len(eligible) < 2:
        raise NoWorker("Fewer than two models can answer right now.", retry_after_s=_RETRY_S)
    return eligible


def apart(reports: Sequence[Residency], models: Sequence[str]) -> frozenset[str]:
    """Keys of those pairs of ``models`` that no worker can answer both sides of: each is some worker's own."""
    sets = {frozenset(m for m in models if _can_run(r, m)) for r in reports if r.accepting}
    if any(len(have) == len(models) for have in sets):
        return frozenset()
    return frozenset(
        pair_key(one, other) for one, other in combinations(models, 2) if not any({one, other} <= have for have in sets)
    )


def admit_pair(reports: Sequence[Residency], one: str, other: str) -> None:
    """Whether somebody would take a battle of these two now.

    Raises Busy when every worker that has both refuses it, with the shortest time after which to ask again; NoWorker
    when none has both.
    """
    able = [r for r in reports if r.accepting and _can_run(r, one) and _can_run(r, other)]
    if not able:
        raise NoWorker("These models cannot answer together right now.", retry_after_s=_RETRY_S)
    key = pair_key(one, other)
    retries = [r.refuses.get(key, 0.0 if _has_room(r) else _RETRY_S) for r in able]
    if min(retries) > 0:
        raise _busy(min(retries))


def admit_alone(reports: Sequence[Residency], model: str) -> None:
    """Whether somebody would take a job for this one model now. Raises Busy or NoWorker, as for a pair."""
    able = [r for r in reports if r.accepting and _can_run(r, model)]
    if not able:
        raise NoWorker("This model cannot answer right now.", retry_after_s=_RETRY_S)
    retries = [r.refuses_alone.get(model, 0.0 if _has_room(r) else _RETRY_S) for r in able]
    if min(retries) > 0:
        raise Busy("Too many requests are waiting. Try again later.", retry_after_s=min(retries))


def _busy(retry_after_s: float) -> Busy:
    return Busy("Too many battles are waiting. Please try again in a moment.", retry_after_s=retry_after_s)


def _has_room(report: Residency) -> bool:
    return report.queue_bound <= 0 or report.waiting < report.queue_bound


def _can_run(report: Residency, model: str) -> bool:
    return (not report.models or model in report.models) and model not in report.failed
