"""``python -m worker.models list|verify|prune``: what lies on the disk, whether it is whole, and what may go."""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from worker.contract.catalog import Catalog, ModelSpec, load_catalog
from worker.models import store
from worker.models.errors import ModelsError, size_text
from worker.models.machine import parse_size
from worker.models.progress import Progress
from worker.models.prune import freed_bytes, remove, superfluous
from worker.models.room import taken_bytes
from worker.models.verify import Verdict, folders, verdict_on

BUDGET = "--budget (or ARENA_MODELS_BUDGET)"


# ── list ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def show(args: argparse.Namespace) -> int:
    """The catalog's models, with what they take; then what all take together."""
    catalog = load_catalog(args.catalog)
    rows = [("id", "name", "here", "licence", "folder"), *(_row(spec, args.models_dir) for spec in catalog.entries)]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for row in rows:
        _say("  ".join([*(row[c].ljust(widths[c]) for c in range(4)), row[4]]).rstrip())
    for line in _together(catalog, args.models_dir, parse_size(args.budget, BUDGET) if args.budget else 0):
        _say(line)
    return 0


def _row(spec: ModelSpec, models_dir: Path) -> tuple[str, str, str, str, str]:
    folder = store.model_dir(models_dir, spec)
    if spec.engine != "vllm":
        here, where = "needs nothing", ""
    elif store.is_present(models_dir, spec):
        here, where = size_text(taken_bytes(folder)), str(folder)
    else:
        here, where = "stale" if folder.exists() else "missing", str(folder)
    return spec.id, spec.name, here if spec.enabled else f"{here} (disabled)", spec.licence, where


def _together(catalog: Catalog, models_dir: Path, budget: int) -> Iterator[str]:
    if not models_dir.is_dir():
        return
    named = {entry.id for entry in catalog.entries}
    others = [f"{f.name} {size_text(taken_bytes(f))}" for f in folders(models_dir) if f.name not in named]
    if others:
        yield f"of other catalogs, or of none: {', '.join(others)}"
    kept = models_dir / store.KEPT
    if begun := freed_bytes([kept] if kept.is_dir() else []):
        yield f"of downloads that were cut off: {size_text(begun)}"
    of = f" of {size_text(budget)}" if budget else ""
    free = size_text(shutil.disk_usage(models_dir).free)
    yield f"all in {models_dir}: {size_text(taken_bytes(models_dir))}{of}, {free} free"


# ── verify ───────────────────────────────────────────────────────────────────────────────────────────────────────


def verify(args: argparse.Namespace) -> int:
    """0: every fetched model is byte for byte what was recorded. 1: one is not, or there is none."""
    found = [f for f in folders(args.models_dir) if not args.models or f.name in args.models]
    if absent := set(args.models) - {f.name for f in found}:
        raise ModelsError(f"{args.models_dir} has no {', '.join(sorted(absent))}; python -m worker.models list")
    progress, verdicts = Progress(sys.stderr), []
    for folder in found:
        progress.step(f"reading {folder.name}")
        verdicts.append(verdict_on(folder, progress.tick))
        progress.done()
        _say(_line(verdicts[-1]))
    bad = [v for v in verdicts if v.state in ("damaged", "unrecorded")]
    for verdict in bad:
        again = f"rm -r {verdict.folder} && python -m worker.models fetch --models-dir {args.models_dir}"
        sys.stderr.write(f"models: {verdict.model} is {verdict.state}; fetch it again: {again}\n")
    if all(v.state == "foreign" for v in verdicts):
        raise ModelsError(f"no model was fetched into {args.models_dir}; is it the right --models-dir?")
    return 1 if bad else 0


def _line(verdict: Verdict) -> str:
    whole = f"{verdict.files} files, {size_text(verdict.size)}"
    why = "no digests were kept when it was fetched; its sizes hold" if verdict.state == "unrecorded" else whole
    return f"{verdict.state:<10}  {verdict.model}: {'; '.join(verdict.wrong) or why}"


# ── prune ────────────────────────────────────────────────────────────────────────────────────────────────────────


def prune(args: argparse.Namespace) -> int:
    """Every catalog is read before anything is removed: one that is broken would name no models."""
    catalogs = [load_catalog(file) for file in args.catalogs]
    if not args.models_dir.is_dir():
        raise ModelsError(f"there is no {args.models_dir}; is it the right --models-dir?")
    if args.dry_run:
        _tell(superfluous(args.models_dir, catalogs), args.models_dir, "would go")
        return 0
    progress = Progress(sys.stderr)
    with store.locked(args.models_dir, lambda: progress.say(f"a fetch is filling {args.models_dir}; waiting for it")):
        paths = superfluous(args.models_dir, catalogs)
        _tell(paths, args.models_dir, "goes")
        remove(args.models_dir, paths)
    return 0


def _tell(paths: Sequence[Path], models_dir: Path, word: str) -> None:
    for path in paths:
        _say(f"{word}: {path.relative_to(models_dir)}  {size_text(taken_bytes(path))}")
    freed = freed_bytes(paths)
    _say(
        f"{size_text(freed)} of {size_text(taken_bytes(models_dir))} in {models_dir}" if paths else "nothing to remove"
    )


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
