"""Fetch the catalog's models, mirror them, show which are here, plan their memory: for an operator, and for ops/up."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from worker.contract.catalog import Catalog, CatalogError, ModelSpec, load_catalog
from worker.errors import WorkerError
from worker.models import plan_cli, store
from worker.models.command import tree_bytes
from worker.models.errors import FetchError, ModelsError, size_text
from worker.models.fetch import fetch
from worker.models.machine import parse_size
from worker.models.mirror import Folder, mirror_at
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
    mirror = mirror_at(args.mirror) if args.mirror else None
    budget = parse_size(args.budget, "--budget (or ARENA_MODELS_BUDGET)") if args.budget else 0
    progress = Progress(sys.stderr)
    failed = fetch(catalog, args.models_dir, progress, mirror=mirror, sources_too=mirror is None, budget=budget)
    return _told(failed)


def _mirror(args: argparse.Namespace, catalog: Catalog) -> int:
    """The store is a mirror itself: what it has is copied, the rest comes from the catalog's sources."""
    into = args.directory.expanduser().absolute()
    if into.resolve() == args.models_dir.resolve():
        raise ModelsError(f"{into} is the models directory, which can be fetched from as it is; name another folder")
    progress = Progress(sys.stderr)
    failed = fetch(catalog, into, progress, mirror=Folder(args.models_dir) if args.models_dir.is_dir() else None)
    if not failed:
        progress.say(f"fetch from it with --mirror {into}, or from any web server that serves the folder")
    return _told(failed)


def _told(failed: Sequence[FetchError]) -> int:
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
    commands = parser.add_subparsers(required=True, metavar="|".join(_COMMANDS))
    for name, (run, what, add_more) in _COMMANDS.items():
        command = commands.add_parser(name, help=what, description=what)
        command.add_argument("--catalog", type=Path, default=settings.catalog, help="default: %(default)s")
        command.add_argument("--models-dir", type=Path, default=settings.models_dir, help="default: %(default)s")
        if run is not None:
            command.set_defaults(run=run)
        add_more(command, settings)
    return parser


def _add_fetch(command: argparse.ArgumentParser, settings: WorkerSettings) -> None:
    command.add_argument(
        "--mirror",
        metavar="DIR|URL",
        default=settings.models_mirror,
        help="take the models from here alone: a folder that `mirror` made, or its address behind a web server; "
        "default: ARENA_MODELS_MIRROR, else the catalog's sources",
    )
    command.add_argument(
        "--budget",
        metavar="SIZE",
        default=settings.models_budget,
        help="what all models together may take of the disk, such as 60GB; "
        "default: ARENA_MODELS_BUDGET, else what is free",
    )


def _add_mirror(command: argparse.ArgumentParser, _: WorkerSettings) -> None:
    command.add_argument("directory", type=Path, metavar="DIR", help="where the mirror is, or is to be")


def _add_nothing(_: argparse.ArgumentParser, __: WorkerSettings) -> None:
    """The command has no options of its own."""


_Add = Callable[[argparse.ArgumentParser, WorkerSettings], None]
_COMMANDS: dict[str, tuple[Callable[[argparse.Namespace, Catalog], int] | None, str, _Add]] = {
    "fetch": (_fetch, "download, verify and convert the models that are not here yet", _add_fetch),
    "mirror": (_mirror, "put the catalog's models, ready to be fetched without the internet, into DIR", _add_mirror),
    "list": (_list, "show which of the catalog's models are here", _add_nothing),
    "plan": (None, plan_cli.WHAT, plan_cli.add_arguments),
}


def _fail(message: str, status: int = 1) -> int:
    sys.stderr.write(f"models: {message}\n")
    return status
