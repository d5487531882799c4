"""Whether the catalog fits the type's memory, by the worker's own planner, before a dollar is spent."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ops.aws.prices import Shape
from ops.setup.catalog_kind import CATALOGS
from ops.setup.console import SetupError
from ops.setup.layout import ROOT
from worker.contract.catalog import CatalogError, load_catalog
from worker.models.fitting import Fit, fits, pairs, plan_for

GIB = 2**30
NOWHERE = Path("/nonexistent/models")
"""Nothing is fetched yet: sizes come from the catalog, measurements of this machine do not count."""


def catalog_file(asked: str, shape: Shape) -> Path:
    """The catalog to install, below the checkout, for the host has only that. Raises SetupError."""
    if not asked:
        return CATALOGS / shape.catalog
    path = Path(asked) if Path(asked).is_absolute() else ROOT / asked
    if not path.resolve().is_relative_to(ROOT) or not path.is_file():
        ready = ", ".join(sorted(f"ops/catalogs/{p.name}" for p in CATALOGS.glob("*.toml")))
        raise SetupError(f"{asked} is no catalog of this checkout",
                         f"One of {ready}; your own afterwards: /etc/llm-arena/catalog.toml on the host")  # fmt: skip
    return path.resolve()


def checked_fit(path: Path, instance_type: str, shape: Shape) -> Iterator[str]:
    """Warnings, with figures. Raises SetupError where the worker would refuse to start."""
    try:
        catalog = load_catalog(path)
    except CatalogError as error:
        raise SetupError(str(error), "Correct the catalog") from None
    host = f"{int(float(shape.memory.removesuffix('GiB')) / shape.gpus)}GiB"
    fit = plan_for(catalog, NOWHERE, capacity=2, gpu_memory=shape.gpu_memory, host_memory=host)
    name = path.relative_to(ROOT)
    gpu = f"{'' if shape.gpus == 1 else f'each of {shape.gpus} '}{shape.gpu} ({shape.gpu_memory})"
    if fit.impossible:
        why = "\n".join(f"  {p}" for p in fit.impossible)
        shown = f"python -m worker.models plan --catalog {name} --gpu-memory {shape.gpu_memory} --host-memory {host}"
        raise SetupError(f"{name} does not fit a {instance_type}, {gpu}:\n{why}",
                         f"--catalog ops/catalogs/{shape.catalog} does\nThe sum: {shown}")  # fmt: skip
    if shape.note:
        yield f"a {instance_type} {shape.note}"
    yield f"{name} on {gpu}: {_pairs(fit)}"
    yield from (str(p) for p in fit.warnings)


def _pairs(fit: Fit) -> str:
    both = [(a, b) for a, b in pairs(fit.engines)]
    good = [(a, b) for a, b in both if fits((a, b), fit.scene)]
    heaviest = max((a.footprint.resident.device + b.footprint.resident.device for a, b in good), default=0)
    return f"{len(good)} of {len(both)} pairs fit in memory together, the heaviest {heaviest / GIB:.2f} GiB"
