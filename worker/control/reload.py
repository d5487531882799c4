"""``control reload_catalog``: the file read and judged in Celery's main loop, taken up on the runtime's."""

from __future__ import annotations

from dataclasses import replace

from worker.contract.catalog import Catalog, CatalogError, load_catalog
from worker.errors import AdminError
from worker.models.fitting import Fit, Problem, check
from worker.models.memory import sized_engines
from worker.pool.desk import Desk
from worker.pool.operations import Operation
from worker.runtime import Runtime

_SHOWN = 3


def read_anew(runtime: Runtime) -> Operation:
    """Raises AdminError, with nothing changed, for a file that is broken or that this worker could not serve."""
    try:
        catalog, fit = _judged(runtime)
    except AdminError:
        runtime.pool.meter.catalog_refused(True)
        raise
    return runtime.on_loop(lambda: _take_up(runtime, catalog, fit))


def _judged(runtime: Runtime) -> tuple[Catalog, Fit]:
    try:
        catalog = load_catalog(runtime.settings.catalog)
    except CatalogError as error:
        raise AdminError(f"{error}; nothing has changed") from None
    capacity, pins = runtime.on_loop(lambda: (runtime.pool.capacity, _pins(runtime)))
    fit = _fitted(runtime, catalog, capacity, pins)
    if fit.impossible:
        raise AdminError(f"{_shown(fit.impossible)}; nothing has changed")
    return catalog, fit


def _fitted(runtime: Runtime, catalog: Catalog, capacity: int, pins: tuple[str, ...]) -> Fit:
    """Against the budgets the worker started with: what is free now is less by the engines in memory."""
    scene = replace(runtime.fit.scene, capacity=capacity)
    engines = sized_engines(catalog, runtime.settings.models_dir, scene, runtime.fit.measured)
    return replace(runtime.fit, engines=engines, scene=scene, problems=tuple(check(engines, scene, pins)))


def _take_up(runtime: Runtime, catalog: Catalog, fit: Fit) -> Operation:
    known = {str(p) for p in runtime.fit.warnings}
    new = [p for p in fit.warnings if str(p) not in known]
    runtime.fit = fit
    runtime.pool.meter.catalog_refused(False)
    note = f"; beware: {_shown(new)}" if new else ""
    return Desk(runtime.pool).reload_catalog(catalog, note)


def _pins(runtime: Runtime) -> tuple[str, ...]:
    return tuple(m for m, slot in runtime.pool.slots.items() if slot.view.pinned)


def _shown(problems: tuple[Problem, ...] | list[Problem]) -> str:
    more = len(problems) - _SHOWN
    said = "; ".join(str(p) for p in problems[:_SHOWN])
    return f"{said}; and {more} more: python -m worker.models plan" if more > 0 else said
