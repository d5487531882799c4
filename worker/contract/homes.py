"""Which workers each pair of models belongs to, so that engines are loaded where they will be wanted again.

Every worker has one *anchor*, a model it is to keep, drawn in proportion to demand by weighted rendezvous hashing: a
worker that joins or leaves, or a model whose demand changes, moves nothing but its own share. A pair belongs to workers
whose anchor is the more wanted of the two, so that its battles need one load and not two, and meet others of the same
pair there; to how many of these goes by its share. A model that is nobody's anchor has the one worker that came
closest.

Weighted rendezvous hashing: C. Schindelhauer and G. Schomaker, "Weighted distributed hash tables", SPAA 2005. The
worker with the largest ``-weight / ln(u)``, for ``u`` uniform by worker and model, takes the model.
"""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

STEADY = 1.5
"""Demand that has not changed by more than this factor is what it was: noise moves no engines."""
_LEAST = 0.02
"""Of all demand, shared out evenly before anything else: a model nobody has asked for has a place too."""


def unit(worker: str, what: str) -> float:
    """Uniform in (0, 1), the same for the same two in every process."""
    digest = hashlib.blake2b(f"{worker}\0{what}".encode(), digest_size=8).digest()
    return (int.from_bytes(digest) + 0.5) / 2.0**64


def steady(now: Mapping[str, float], before: Mapping[str, float]) -> dict[str, float]:
    """``now``, where it has left ``before`` behind; else what it was."""
    kept = {}
    for name, value in now.items():
        was = before.get(name, 0.0)
        kept[name] = was if was / STEADY <= value <= was * STEADY else value
    return kept


@dataclass(frozen=True, slots=True)
class Homes:
    """Made by :func:`spread`.

    ``serves``: models by worker. ``heat``: each model's share of demand; ``weight``: that of the pairs it would anchor.
    ``keepers``: workers by the model that is their anchor.
    """

    serves: Mapping[str, frozenset[str]]
    heat: Mapping[str, float]
    weight: Mapping[str, float]
    keepers: Mapping[str, tuple[str, ...]]
    _within: Mapping[str, float]
    """Each pair's share of what its anchor is asked for."""
    _known: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def anchor(self, models: Iterable[str]) -> str:
        """The one of ``models`` that its workers are to keep."""
        return _anchor(self.heat, models)

    def of(self, key: str) -> tuple[str, ...]:
        """The workers a pair belongs to, by its key, or a model by its id; none if nobody can serve it."""
        if key not in self._known:
            self._known[key] = self._found(key)
        return self._known[key]

    def _found(self, key: str) -> tuple[str, ...]:
        models = frozenset(key.split("|"))
        able = [w for w in self.keepers.get(self.anchor(models), ()) if models <= self.serves[w]]
        if not able:
            able = [w for w, has in self.serves.items() if models <= has]
            return (max(able, key=lambda w: unit(w, key)),) if able else ()
        many = max(math.ceil(len(able) * self._within.get(key, 0.0)), 1)
        return tuple(sorted(able, key=lambda w: -unit(w, key))[:many])


def spread(serves: Mapping[str, frozenset[str]], demand: Mapping[str, float], before: Homes | None = None) -> Homes:
    """``serves``: what each worker could hold. ``demand``: battles (or chats) by pair key (or model), in any unit.

    ``before``: what was found the last time, so that small changes of demand change nothing.
    """
    models = sorted({m for has in serves.values() for m in has})
    total = math.fsum(demand.values())
    share = {key: rate / total for key, rate in demand.items()} if total > 0 else {}
    asked: dict[str, float] = defaultdict(float)
    for key, part in share.items():
        for model in key.split("|"):
            asked[model] += part
    least = (_LEAST if share else 1.0) / max(len(models), 1)
    heat = steady({m: asked[m] + least for m in models}, before.heat if before else {})
    by_anchor: dict[str, float] = defaultdict(float)
    for key, part in share.items():
        by_anchor[_anchor(heat, key.split("|"))] += part
    weight = steady({m: by_anchor[m] + least for m in models}, before.weight if before else {})
    if before is not None and (before.serves, before.weight) == (serves, weight):
        keepers = before.keepers
    else:
        keepers = _keepers(serves, weight)
    within = {k: part / by_anchor[_anchor(heat, k.split("|"))] for k, part in share.items()}
    return Homes(serves, heat, weight, keepers, within)


def _anchor(heat: Mapping[str, float], models: Iterable[str]) -> str:
    return max(models, key=lambda m: (heat.get(m, 0.0), m))


@lru_cache(maxsize=4096)
def _luck(worker: str, models: frozenset[str]) -> tuple[tuple[str, float], ...]:
    return tuple((model, -1.0 / math.log(unit(worker, model))) for model in sorted(models))


def _keepers(serves: Mapping[str, frozenset[str]], weight: Mapping[str, float]) -> dict[str, tuple[str, ...]]:
    keepers: dict[str, list[str]] = defaultdict(list)
    nearest: dict[str, tuple[float, str]] = {}
    for worker, models in serves.items():
        best, anchor = 0.0, ""
        for model, luck in _luck(worker, models):
            score = weight[model] * luck
            if score > best:
                best, anchor = score, model
            if score > nearest.get(model, (0.0, ""))[0]:
                nearest[model] = score, worker
        if anchor:
            keepers[anchor].append(worker)
    for model, (_, worker) in nearest.items():
        keepers.setdefault(model, [worker])
    return {model: tuple(workers) for model, workers in keepers.items()}
