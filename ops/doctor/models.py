"""Whether the models that a host is to serve are there, whole and within their budget."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ops.doctor.checks import Patient, Said

GB = 10**9


def models(patient: Patient) -> Iterator[Said]:
    """Sizes alone, which takes no time; ``python -m worker.models verify`` reads every byte."""
    from worker.contract.catalog import CatalogError, load_catalog
    from worker.models import store
    from worker.models.verify import verdict_on

    place = patient.at("/opt/models")
    try:
        catalog = load_catalog(patient.catalog)
    except CatalogError as error:
        yield "fail", str(error), "correct it; what runs goes on with the last good one"
        return
    fetch = f"python -m worker.models fetch --catalog {patient.catalog} --models-dir {place}"
    missing = store.missing(place, catalog)
    for spec in missing:
        folder = store.model_dir(place, spec)
        verdict = verdict_on(folder, hashing=False) if folder.is_dir() else None
        if store.own_path(spec):
            yield "fail", f"{spec.id}: {folder} is no model's folder", f"correct its `path` in {patient.catalog}"
        elif verdict is None:
            yield "fail", f"{spec.id} is not fetched ({spec.weights_bytes / GB:.1f} GB)", fetch
        elif verdict.state == "damaged":
            yield "fail", f"{spec.id} is damaged: {verdict.wrong[0]}", f"rm -r {folder} && {fetch}"
        else:
            yield "fail", f"{spec.id} is of another revision, or made in another way, than the catalog says", fetch
    if not missing:
        needed = any(m.engine == "vllm" for m in catalog.needed)
        yield "ok", f"all models of {patient.catalog} are in {place}" if needed else "no model needs weights", ""
    yield from _budget(patient, place)


def _budget(patient: Patient, place: Path) -> Iterator[Said]:
    from worker.models.machine import parse_size
    from worker.models.room import taken_bytes

    limit = patient.environment("worker").get("ARENA_MODELS_BUDGET", "")
    if limit and (taken := taken_bytes(place)) > parse_size(limit, "ARENA_MODELS_BUDGET"):
        fix = f"python -m worker.models prune --dry-run --catalog {patient.catalog} --models-dir {place}"
        yield "warn", f"models take {taken / GB:.1f} GB and may take {limit} (ARENA_MODELS_BUDGET)", fix
