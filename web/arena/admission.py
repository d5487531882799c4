"""May a battle start now, and which models may take part? Decided from the workers' own reports."""

from __future__ import annotations

from collections.abc import Sequence

from web.errors import Busy, NoWorker
from worker.contract.residency import Residency

_RETRY_S = 10.0
_LONGEST_RETRY_S = 120.0


def admit(reports: Sequence[Residency], catalog_ids: Sequence[str]) -> list[str]:
    """Ids of the models a battle may draw from, in the catalog's order.

    Raises NoWorker when nobody accepts battles or fewer than two models can run, Busy when every line is full.
    """
    accepting = [r for r in reports if r.accepting]
    if not accepting:
        raise NoWorker("The models are not ready yet. Please try again in a moment.", retry_after_s=_RETRY_S)
    open_lines = [r for r in accepting if r.queue_bound <= 0 or r.waiting < r.queue_bound]
    if not open_lines:
        wait = min((r.eta_s for r in accepting if r.eta_s is not None), default=_RETRY_S)
        raise Busy(
            "Too many battles are waiting. Please try again in a moment.",
            retry_after_s=min(max(wait, 1.0), _LONGEST_RETRY_S),
        )
    eligible = [m for m in catalog_ids if any(_can_run(r, m) for r in open_lines)]
    if len(eligible) < 2:
        raise NoWorker("Fewer than two models can answer right now.", retry_after_s=_RETRY_S)
    return eligible


def _can_run(report: Residency, model: str) -> bool:
    return (not report.models or model in report.models) and model not in report.failed
