"""The catalog's models fetched, mirrored, listed, verified, pruned and planned: for an operator, and for ops/up."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from worker.contract.catalog import CatalogError, load_catalog
from worker.errors import WorkerError
from worker.models import plan_cli, store_cli
from worker.models.errors import FetchError, ModelsError
from worker.models.fetch import fetch
from worker.models.machine import parse_size
from worker.models.mirror import Folder, mirror_at
from worker.models.progress import Progress
from worker.settings import WorkerSettings


def main(argv: Sequence[str] | None = None) -> int:
    """0: done. 1: something is missing or wrong, said in one line on stderr. 130: interrupted."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)  # scratch folders go on `kill` as on Ctrl-C
    try:
        args = parser().parse_args(argv)
        args.models_dir = args.models_dir.expanduser()
        return int(args.run(args))
    except (CatalogError, WorkerError) as error:
        return _fail(str(error))
    except OSError as error:  # a disk that is full, a file that belongs to somebody else
        where = f"{error.filename}: " if error.filename else ""
        return _fail(f"{where}{error.strerror or error}; look at that disk and its owner, then run it again")
    except KeyboardInterrupt:
        return _fail("interrupted; nothing half-made was left, run it again to go on", 130)
    finally:
        signal.signal(signal.SIGTERM, before)


def _fetch(args: argparse.Namespace) -> int:
    catalog = load_catalog(args.catalog)
    mirror = mirror_at(args.mirror) if args.mirror else None
    budget = parse_size(args.budget, store_cli.BUDGET) if args.budget else 0
    progress = Progress(sys.stderr)
    failed = fetch(catalog, args.models_dir, progress, mirror=mirror, sources_too=mirror is None, budget=budget)
    return _told(failed)


def _mirror(args: argparse.Namespace) -> int:
    """The store is a mirror itself: what it has is copied, the rest comes from the catalog's sources."""
    catalog, into = load_catalog(args.catalog), args.directory.expanduser().absolute()
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


def _fail(message: str, status: int = 1) -> int:
    sys.stderr.write(f"models: {message}\n")
    return status


# ── what can be typed ────────────────────────────────────────────────────────────────────────────────────────────


def parser() -> argparse.ArgumentParser:
    """Of the command line; defaults are the worker's settings. Raises SettingsError for one that is none."""
    settings = WorkerSettings.from_env()
    made = argparse.ArgumentParser(prog="python -m worker.models", description=__doc__)
    commands = made.add_subparsers(required=True, metavar="|".join(_COMMANDS))
    for name, (run, what, adds) in _COMMANDS.items():
        command = commands.add_parser(name, help=what, description=what)
        command.set_defaults(run=run)
        for add in (_add_models_dir, *adds):
            add(command, settings)
    return made


def _add_models_dir(command: argparse.ArgumentParser, settings: WorkerSettings) -> None:
    command.add_argument("--models-dir", type=Path, default=settings.models_dir, help="default: %(default)s")


def _add_catalog(command: argparse.ArgumentParser, settings: WorkerSettings) -> None:
    command.add_argument("--catalog", type=Path, default=settings.catalog, help="default: %(default)s")


def _add_mirror(command: argparse.ArgumentParser, settings: WorkerSettings) -> None:
    command.add_argument(
        "--mirror",
        metavar="DIR|URL",
        default=settings.models_mirror,
        help="take the models from here alone: a folder that `mirror` made, or its address behind a web server; "
        "default: ARENA_MODELS_MIRROR, else the catalog's sources",
    )


def _add_budget(command: argparse.ArgumentParser, settings: WorkerSettings) -> None:
    command.add_argument(
        "--budget",
        metavar="SIZE",
        default=settings.models_budget,
        help="what all models together may take of the disk, such as 60GB; "
        "default: ARENA_MODELS_BUDGET, else what is free",
    )


def _add_directory(command: argparse.ArgumentParser, _: WorkerSettings) -> None:
    command.add_argument("directory", type=Path, metavar="DIR", help="where the mirror is, or is to be")


def _add_models(command: argparse.ArgumentParser, _: WorkerSettings) -> None:
    command.add_argument("models", nargs="*", metavar="MODEL", help="ids; default: all that are there")


def _add_prune(command: argparse.ArgumentParser, _: WorkerSettings) -> None:
    command.add_argument(
        "--catalog",
        type=Path,
        dest="catalogs",
        action="append",
        required=True,
        help="whose models stay; once for each catalog that uses this directory",
    )
    command.add_argument("--dry-run", action="store_true", help="only say what would go")


_Add = Callable[[argparse.ArgumentParser, WorkerSettings], None]
_COMMANDS: dict[str, tuple[Callable[[argparse.Namespace], int] | None, str, tuple[_Add, ...]]] = {
    "fetch": (
        _fetch,
        "download, verify and convert the models that are not here yet",
        (_add_catalog, _add_mirror, _add_budget),
    ),
    "mirror": (
        _mirror,
        "put the catalog's models, ready to be fetched without the internet, into DIR",
        (_add_directory, _add_catalog),
    ),
    "list": (
        store_cli.show,
        "show which of the catalog's models are here and what they take",
        (_add_catalog, _add_budget),
    ),
    "verify": (
        store_cli.verify,
        "read every model that is here and compare it with its recorded digests",
        (_add_models,),
    ),
    "prune": (store_cli.prune, "remove the models that no catalog given names", (_add_prune,)),
    "plan": (None, plan_cli.WHAT, (_add_catalog, plan_cli.add_arguments)),
}
