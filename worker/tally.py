"""What operators watch of a worker's work: answers and tokens of the last minute, failures since it started.

The same reports as Prometheus gets, kept for those who have no Prometheus. Lives on the runtime's loop.
"""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Callable, Iterable
from typing import Any

from worker.metrics import Metrics

WINDOW_S = 60.0


class Tally(Metrics):
    """Metrics that can also say how much was done lately."""

    def __init__(self, models: Iterable[str], clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._answered: deque[tuple[float, str, int, float]] = deque()
        self._failed: dict[str, Counter[str]] = {}
        super().__init__(models)

    def answered(self, model: str, tokens: int, seconds: float, finish_reason: str) -> None:
        super().answered(model, tokens, seconds, finish_reason)
        self._forget()
        self._answered.append((self._clock(), model, max(tokens, 0), max(seconds, 0.0)))
        if finish_reason == "failed":
            self._failed.setdefault(model, Counter())["answer"] += 1

    def failed(self, model: str, what: str) -> None:
        super().failed(model, what)
        self._failed.setdefault(model, Counter())[what] += 1

    def facts(self) -> dict[str, Any]:
        """By model: ``answers``, ``tokens`` and mean ``tokens_per_s`` of an answer (None without one) in the last
        :data:`WINDOW_S`, ``failures`` by what failed (``load``, ``wake``, ``sleep``, ``unload``, ``died``, ``answer``).
        """
        self._forget()
        lately: dict[str, list[tuple[int, float]]] = {}
        for _, model, tokens, seconds in self._answered:
            lately.setdefault(model, []).append((tokens, seconds))
        return {
            model: {
                **_lately(lately.get(model, [])),
                "failures": dict(self._failed.get(model, ())),
            }
            for model in sorted({*lately, *self._failed})
        }

    def _forget(self) -> None:
        old = self._clock() - WINDOW_S
        while self._answered and self._answered[0][0] < old:
            self._answered.popleft()


def _lately(answers: list[tuple[int, float]]) -> dict[str, Any]:
    tokens = sum(t for t, _ in answers)
    seconds = sum(s for _, s in answers)
    rate = round(tokens / seconds, 1) if seconds > 0 else None
    return {"answers": len(answers), "tokens": tokens, "tokens_per_s": rate}
