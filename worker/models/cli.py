"""Fetch the catalog's models, show which are here, or plan their memory: what an operator, and ops/up, do with them."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from worker.contract.catalog import Catalog, CatalogError, ModelSpec, load_catalog
from worker.errors import WorkerError
from worker.models import plan_cli, store
from worker.models.command import tree_bytes
from worker.models.errors import size_text
from worker.models.fetch import fetch
from worker.models.progress import Progress
from worker.settings import WorkerSettings


def main(argv: Sequence[str] | None = None) -> int:
    """0: done. 1: something is missing or wrong, said in one line on stderr. 130: interrupted."""
    args = _parser().parse_args(argv)
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)  # scratch folders go on `kill` as on Ctrl-C
    try:
        args.models_dir = args.models_dir.expanduser()
        return int(args.run(args, load_catalog(args.catalog)))
    except (CatalogError, WorkerError) as error:
        return _fail(str(error))
    except KeyboardInterrupt:
        return _fail("interrupted; nothing half-made was left, run it again to go on", 130)
    finally:
        signal.signal(signal.SIGTERM, before)


def _fetch(args: argparse.Namespace, catalog: Catalog) -> int:
    failed = fetch(catalog, args.models_dir, Progress(sys.stderr))
    for error in failed:
        _fail(str(error))
    return 1 if failed else 0


def _list(args: argparse.Namespace, catalog: Catalog) -> int:
    rows = [("id", "name", "here", "licence", "folder"), *(_row(spec, args.models_dir) for spec in catalog.entries)]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for row in rows:
        sys.stdout.write("  ".join([*(row[c].ljust(widths[c]) for c in range(4)), row[4]]).rstrip() + "\n")
    return 0


def _row(spec: ModelSpec, models_dir: Path) -> tuple[str, str, str, str, str]:
    folder = store.model_dir(models_dir, spec)
    if spec.engine != "vllm":
        here, where = "needs nothing", ""
    elif store.is_present(models_dir, spec):
        here, where = size_text(tree_bytes(folder)), str(folder)
    else:
        here, where = "stale" if folder.exists() else "missing", str(folder)
    return spec.id, spec.name, here if spec.enabled else f"{here} (disabled)", spec.licence, where


def _parser() -> argparse.ArgumentParser:
    settings = WorkerSettings.from_env()
    parser = argparse.ArgumentParser(prog="python -m worker.models", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="fetch|list|plan")
    for name, run, what in (
        ("fetch", _fetch, "download, verify and convert the models that are not here yet"),
        ("list", _list, "show which of the catalog's models are here"),
        ("plan", None, plan_cli.WHAT),
    ):
        command = commands.add_parser(name, help=what, description=what)
        command.add_argument("--catalog", type=Path, default=settings.catalog, help="default: %(default)s")
        command.add_argument("--models-dir", type=Path, default=settings.models_dir, help="default: %(default)s")
        if run is None:
            plan_cli.add_arguments(command, settings)
        else:
            command.set_defaults(run=run)
    return parser


def _fail(message: str, status: int = 1) -> int:
    sys.stderr.write(f"models: {message}\n")
    return status
