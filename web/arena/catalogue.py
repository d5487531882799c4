"""Models beyond the catalog of today: who left it, whose weights were exchanged, and variants of one model.

Nobody may gain or lose a place on the board unseen: who retires stays on it under the name people knew, an entry whose
id begins to answer with other weights says since when, and two packings of one model name each other.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import select
from sqlalchemy.orm import Session

from web.models import KnownModel, now
from worker.contract.catalog import Catalog, ModelSpec
from worker.contract.catalog_rules import same_but_for_packing
from worker.contract.events import ModelFacts

FACTS = ("name", "maker", "family", "licence", "licence_url", "terms", "parameters", "precision", "variant_of")
_NOT_WEIGHTS = frozenset(FACTS) | {
    "id", "aliases", "enabled", "retired", "weight", "weights_bytes", "max_tokens", "kv_bytes", "sleep",
    "kv_bytes_per_token", "max_num_seqs", "tensor_parallel", "max_model_len",
}  # fmt: skip
"""Fields of an entry that change nothing about who answers."""


@dataclass(frozen=True, slots=True)
class Known:
    """What people are told of a model. ``retired``: it is not among those the catalog lets compete."""

    model: str
    name: str
    maker: str = ""
    family: str = ""
    licence: str = ""
    licence_url: str = ""
    terms: str = ""
    parameters: str = ""
    precision: str = ""
    variant_of: str = ""
    retired: bool = True
    changed_at: datetime | None = None


def remember(session: Session, catalog: Catalog) -> None:
    """Note what the catalog says; writes only what changed."""
    stored = {row.model: row for row in session.scalars(select(KnownModel))}
    for spec in catalog.entries:
        facts, weights = _facts(spec), weights_of(spec)
        row = stored.get(spec.id)
        if row is None:
            session.add(KnownModel(model=spec.id, facts=facts, weights=weights))
            continue
        if row.facts != facts:
            row.facts = facts
        if row.weights != weights:
            row.weights, row.changed_at = weights, now()


def known(session: Session, catalog: Catalog, models: Iterable[str]) -> dict[str, Known]:
    """Of each of ``models``, from the catalog, else as it was remembered; nobody knows more than the id of others."""
    wanted = list(models)
    stored = {row.model: row for row in session.scalars(select(KnownModel).where(KnownModel.model.in_(wanted)))}
    competing = set(catalog.ids)
    found = {}
    for model in wanted:
        spec, row = catalog.get(model), stored.get(model)
        facts: Mapping[str, Any] = _facts(spec) if spec else row.facts if row else {"name": model}
        told = {name: str(facts[name]) for name in FACTS if name in facts}
        found[model] = Known(model, **told, retired=model not in competing, changed_at=row.changed_at if row else None)
    return found


def names(session: Session, catalog: Catalog, models: Iterable[str]) -> dict[str, str]:
    """What people call each of ``models``; asks the database only for those that left the catalog."""
    wanted = set(models)
    named = {model: spec.name for model in wanted if (spec := catalog.get(model)) is not None}
    left = known(session, catalog, wanted - set(named)) if wanted - set(named) else {}
    return named | {model: it.name for model, it in left.items()}


def facts_of(session: Session, catalog: Catalog, model: str) -> ModelFacts:
    """What the reveal tells of a model, also of one that left the catalog since its battle began."""
    spec = catalog.get(model)
    if spec is not None:
        return spec.facts()
    it = known(session, catalog, [model])[model]
    return ModelFacts(model, it.name, it.maker, it.licence, it.licence_url, it.parameters, it.precision)


def variants(of: Mapping[str, Known]) -> dict[str, list[str]]:
    """For each model, the others of these that are the same but for their packing, in the order given."""
    return {
        model: [
            other
            for other, its in of.items()
            if other != model
            and same_but_for_packing(
                (model, known.family, known.parameters, known.precision, known.variant_of),
                (other, its.family, its.parameters, its.precision, its.variant_of),
            )
        ]
        for model, known in of.items()
    }


def weights_of(spec: ModelSpec) -> str:
    """A digest of everything that decides what a model answers: weights, prompt, sampling."""
    said = msgspec.to_builtins(spec, enc_hook=int)
    kept = {name: value for name, value in said.items() if name not in _NOT_WEIGHTS}
    kept["sources"] = sorted(
        {source.get("sha256") or msgspec.json.encode(source).decode() for source in said["sources"]}
    )
    return hashlib.sha256(msgspec.json.encode(kept, order="sorted")).hexdigest()


def _facts(spec: ModelSpec) -> dict[str, str]:
    return {name: getattr(spec, name) for name in FACTS}
