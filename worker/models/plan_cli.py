"""``python -m worker.models plan``: what a catalog takes in memory, what fits together, and what to change."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from worker.contract.catalog import ByteSize, Catalog, load_catalog
from worker.memory import Bytes
from worker.models.fitting import Fit, asleep_beside, fits, needs, pairs, plan_for, sets
from worker.models.memory import Sized
from worker.models.units import gib, spoken
from worker.settings import WorkerSettings

WHAT = "show what the catalog's models take in memory, which fit together, and what to change"
_MOST_LINES = 30
"""Pairs or sets printed; beyond it only those that do not fit are."""


def add_arguments(command: argparse.ArgumentParser, settings: WorkerSettings) -> None:
    """The options of ``plan``; their defaults are the worker's own settings."""
    command.add_argument(
        "--gpu-memory",
        type=_size,
        metavar="SIZE",
        help="plan for a GPU with this much, such as 15GiB; 0: for a CPU; default: this machine's GPU",
    )
    command.add_argument(
        "--host-memory",
        type=_size,
        metavar="SIZE",
        help="default: what is available here now",
    )
    command.add_argument(
        "--capacity",
        type=_places,
        default=settings.max_resident,
        metavar="N",
        help="engines in memory at once; default: %(default)s",
    )
    command.add_argument("--json", action="store_true", help="for programs; sizes in bytes")
    command.set_defaults(run=lambda args: _plan(args, load_catalog(args.catalog), settings))


def _plan(args: argparse.Namespace, catalog: Catalog, settings: WorkerSettings) -> int:
    """0: every battle can be served, perhaps one side after the other. 1: the worker would refuse to start."""
    fit = plan_for(
        catalog,
        args.models_dir,
        capacity=args.capacity,
        gpu_memory=args.gpu_memory or settings.gpu_memory,
        host_memory=args.host_memory or settings.host_memory,
        sleep=settings.sleep,
        gpu=settings.gpu,
    )
    text = json.dumps(as_json(fit, catalog), indent=2) if args.json else "\n".join(report(fit, catalog))
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
    for problem in fit.impossible:
        sys.stderr.write(f"models: {args.catalog}: {problem}\n")
    return 1 if fit.impossible else 0


# ── for people ───────────────────────────────────────────────────────────────────────────────────────────────────


def report(fit: Fit, catalog: Catalog) -> Iterator[str]:
    """The lines of the plan: budgets, a row per engine, a row per pair, and what could be better."""
    scene = fit.scene
    gpu = f"{spoken(scene.budget.device)} of GPU memory, " if scene.on_gpu else ""
    yield catalog.title or "The catalog"
    places = "one engine" if scene.capacity == 1 else f"{scene.capacity} engines"
    yield f"within {gpu}{spoken(scene.budget.host)} of host memory, {places} at once"
    placed = [e for e in fit.engines if e.takes_memory]
    if placed:
        yield ""
        yield from _table([_columns(scene.on_gpu), *(_row(e, scene.on_gpu) for e in placed)])
    if free := [e.id for e in fit.engines if not e.takes_memory]:
        yield ""
        yield f"no memory here: {', '.join(free)}"
    yield from _groups(fit, placed)
    for problem in fit.warnings:
        yield f"warning: {problem}"


def _columns(on_gpu: bool) -> Sequence[str]:
    held = ("GPU + host", "asleep L1", "asleep L2") if on_gpu else ("in memory",)
    return ("model", "weights", "KV/token", "KV cache", "overhead", *held, "known from")


def _row(engine: Sized, on_gpu: bool) -> Sequence[str]:
    facts, holds = engine.facts, engine.footprint
    name = engine.id + (f" (with {', '.join(engine.adapters)})" if engine.adapters else "")
    tokens = f" = {engine.kv_bytes // facts.kv.per_token} tokens" if facts.kv else ""
    states = (holds.resident, holds.l1, holds.l2) if on_gpu else (holds.resident,)
    return (
        name,
        _unless_unknown(facts.weights),
        _unless_unknown(facts.kv.per_token if facts.kv else None),
        f"{spoken(engine.kv_bytes)}{tokens}",
        spoken(_overhead(engine, on_gpu)),
        *(_both(held, on_gpu) for held in states),
        _known_from(engine),
    )


def _groups(fit: Fit, placed: Sequence[Sized]) -> Iterator[str]:
    scene = fit.scene
    if len(placed) < 2:
        return
    yield ""
    if scene.capacity == 1:
        yield "One engine at a time: a battle's sides are answered in turn, and the cache has the memory that is free."
        return
    looked_at = [(pair, fits(pair, scene)) for pair in pairs(placed)]
    yield from _some(fit, "together", looked_at)
    good = sum(ok for _, ok in looked_at)
    yield ""
    if good == len(looked_at):
        yield "Every pair fits."
    elif fit.impossible:
        yield f"{good} of {len(looked_at)} pairs fit, and the worker refuses to start:"
    else:
        yield f"{good} of {len(looked_at)} pairs fit; the others are answered one side after the other."
    if larger := sets(fit.engines, scene):
        yield ""
        yield from _some(fit, f"{len(larger[0][0])} together", larger)


def _some(fit: Fit, title: str, groups: Sequence[tuple[Sequence[Sized], bool]]) -> Iterator[str]:
    shown = [g for g in groups if not g[1]][:_MOST_LINES] if len(groups) > _MOST_LINES else groups
    ledgers = ("GPU", "host") if fit.scene.on_gpu else ("host",)
    rows = [(title, *ledgers, ""), *((*_sums(some, fit), _verdict(some, ok, fit)) for some, ok in shown)]
    yield from _table(rows)
    if len(shown) < len(groups):
        yield f"({sum(ok for _, ok in groups)} of {len(groups)} fit; those shown do not)"


def _sums(some: Sequence[Sized], fit: Fit) -> Sequence[str]:
    total = needs(some)
    names = " + ".join(e.id for e in some)
    return (names, gib(total.device), gib(total.host)) if fit.scene.on_gpu else (names, gib(total.host))


def _verdict(some: Sequence[Sized], ok: bool, fit: Fit) -> str:
    if not ok:
        return "does not fit"
    asleep = [f"{e.id} ({tier.upper()})" for e, tier in asleep_beside(some, fit.engines, fit.scene)]
    return f"fits; beside it may sleep {', '.join(asleep)}" if asleep else "fits"


def _known_from(engine: Sized) -> str:
    if engine.measurement is not None and engine.measurement.resident is not None:
        took = engine.measurement.load_s
        return "measured" + (f", loads in {took:.1f} s" if took is not None else "")
    if engine.facts.weights is None:
        return "nothing yet"
    return engine.facts.weights_from


def _unless_unknown(amount: int | None) -> str:
    return "unknown until fetched" if amount is None else spoken(amount)


def _both(amount: Bytes | None, on_gpu: bool) -> str:
    if amount is None:
        return "off"
    return f"{amount.device / 2**30:.1f} + {amount.host / 2**30:.1f} GiB" if on_gpu else spoken(amount.host)


def _overhead(engine: Sized, on_gpu: bool) -> int:
    """What is resident besides one copy of the weights and the cache."""
    held = engine.footprint.resident
    weights = engine.facts.weights or 0
    mine = held.device - weights // engine.spec.tensor_parallel if on_gpu else held.host - weights
    return max(0, mine - engine.kv_bytes)


def _table(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    widths = [max(len(row[c]) for row in rows) for c in range(len(rows[0]))]
    for row in rows:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


# ── for programs ─────────────────────────────────────────────────────────────────────────────────────────────────


def as_json(fit: Fit, catalog: Catalog) -> dict[str, Any]:
    """Sizes in bytes; null where a size is unknown, or a tier is not to be slept in."""
    scene = fit.scene
    return {
        "title": catalog.title,
        "ok": not fit.impossible,
        "budget": {"device": scene.budget.device if scene.on_gpu else None, "host": scene.budget.host},
        "capacity": scene.capacity,
        "models": [_model_json(e) for e in fit.engines],
        "together": [
            {"models": [e.id for e in some], "fits": ok, **_bytes_json(needs(some))}
            for some, ok in (
                *((pair, fits(pair, scene)) for pair in pairs(fit.engines)),
                *sets(fit.engines, scene),
            )
        ],
        "problems": [{"level": p.level, "models": list(p.models), "message": p.message} for p in fit.problems],
    }


def _model_json(engine: Sized) -> dict[str, Any]:
    facts, holds = engine.facts, engine.footprint
    return {
        "id": engine.id,
        "adapters": list(engine.adapters),
        "weights": facts.weights,
        "weights_from": facts.weights_from,
        "kv_bytes": engine.kv_bytes,
        "kv_bytes_per_token": facts.kv.per_token if facts.kv else None,
        "kv_tokens": engine.kv_bytes // facts.kv.per_token if facts.kv else None,
        "measured": engine.measurement is not None and engine.measurement.resident is not None,
        "resident": _bytes_json(holds.resident),
        "l1": _bytes_json(holds.l1) if holds.l1 else None,
        "l2": _bytes_json(holds.l2) if holds.l2 else None,
    }


def _bytes_json(amount: Bytes) -> dict[str, int]:
    return {"device": amount.device, "host": amount.host}


# ── arguments ────────────────────────────────────────────────────────────────────────────────────────────────────


def _size(text: str) -> str:
    try:
        ByteSize.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text


def _places(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of engines; one or more")
    return int(text)
