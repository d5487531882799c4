"""The three commands. They read the arena's own settings: ``set -a; . /etc/llm-arena/admin.env; set +a`` on a host."""

from __future__ import annotations

import argparse
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from ops.backup import archive, database, store
from ops.backup.archive import BackupError, Manifest
from web.production import Misconfigured, load
from web.settings import WebSettings

SECRETS = "secrets"


def main(argv: list[str] | None = None) -> int:
    """0: done. 1: why not, in one line on stderr."""
    args = _parser().parse_args(argv)
    try:
        args.run(args)
    except (BackupError, Misconfigured) as error:
        return _fail(str(error))
    except SQLAlchemyError as error:
        return _fail(f"the database: {str(getattr(error, 'orig', error)).splitlines()[0]}; check ARENA_DATABASE_URL")
    except OSError as error:
        return _fail(f"{error.filename}: {error.strerror}")
    return 0


def create(args: argparse.Namespace) -> None:
    """Make one, and remove those beyond ``--keep``."""
    settings = load()
    args.into.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".making-", dir=args.into) as folder:
        work = Path(folder)
        keys = 0 if args.no_redis else store.dump(settings.redis_url, work)
        file = database.dump(settings.database, work)
        _, revision, counts = _facts_of(file, settings)
        parts = {p.name: p for p in work.iterdir()}
        parts |= {f"{SECRETS}/{p.name}": p for p in _secrets(args.secrets, settings)}
        now = datetime.now(UTC)
        manifest = Manifest(
            now.isoformat(timespec="seconds"), database.kind_of(settings.database), revision, args.label, counts
        )
        label = f"-{args.label}" if args.label else ""
        target = args.into / f"arena-{now:%Y%m%dT%H%M%S.%f}Z{label}.tar.gz"
        archive.write(target, manifest, parts)
    _forget(args.into, args.keep)
    held = ", ".join(f"{n} {name}" for name, n in counts.items())
    print(f"{target}: {held}, {keys} keys, {_size(target)}, revision {revision}")


def restore(args: argparse.Namespace) -> None:
    """Bring one back: everything is verified before anything is changed."""
    settings = load()
    if not args.while_running and not args.no_redis and store.anybody_works(settings.redis_url):
        raise BackupError("the arena is running; stop it first: systemctl stop arena.target, then start arena-redis")
    with tempfile.TemporaryDirectory(prefix="arena-restore-") as folder:
        work = Path(folder)
        manifest = archive.extract(args.file, work)
        names = [n for n in manifest.files if n in database.NAMES.values()]
        database.restore(settings.database, work / names[0], args.replace)
        keys = 0
        if not args.no_redis and (work / store.NAME).exists():
            keys = store.restore(settings.redis_url, work / store.NAME, args.replace)
        told = _put_secrets(work / SECRETS, args.secrets, settings)
    revision, counts = database.facts(settings.database)
    held = ", ".join(f"{n} {name}" for name, n in counts.items())
    print(f"restored {args.file.name} of {manifest.made_at}: {held}, {keys} keys, revision {revision}{told}")


def show(args: argparse.Namespace) -> None:
    """Those that are there, newest first; a damaged one says so."""
    found = sorted(args.into.glob(archive.PATTERN), reverse=True)
    if not found:
        raise BackupError(f"there is no backup in {args.into}; make one: python -m ops.backup create")
    damaged = 0
    for file in found:
        try:
            with tempfile.TemporaryDirectory(prefix="arena-list-") as folder:
                one = archive.extract(file, Path(folder)) if args.verify else archive.read_manifest(file)
            held = ", ".join(f"{n} {name}" for name, n in one.counts.items())
            print(f"{file.name}  {_size(file):>9}  {one.database}  revision {one.revision}  {held}")
        except BackupError as error:
            damaged += 1
            print(f"{file.name}  {str(error).partition(': ')[2]}")
    if damaged:
        raise BackupError(
            f"{damaged} of {len(found)} are damaged; remove them and make one: python -m ops.backup create"
        )


def _facts_of(file: Path, settings: WebSettings) -> tuple[str, str, dict[str, int]]:
    """Of the copy where that can be asked, so that figures and file are of one moment."""
    url = f"sqlite:///{file}" if file.name == database.NAMES["sqlite"] else settings.database
    return (url, *database.facts(url))


def _secrets(folder: Path | None, settings: WebSettings) -> list[Path]:
    """The installation's, or the signing key that an arena on a laptop keeps beside its database."""
    if folder is not None:
        return [p for p in sorted(folder.iterdir()) if p.is_file()]
    kept = settings.secret_key_file or settings.data_dir / "secret_key"
    return [kept] if settings.secret_key is None and kept.exists() else []


def _put_secrets(source: Path, folder: Path | None, settings: WebSettings) -> str:
    """Without them everybody's session is a new one, and their battles are nobody's."""
    if not source.is_dir():
        return ""
    target = folder or settings.data_dir
    target.mkdir(mode=0o700, parents=True, exist_ok=True)
    for file in source.iterdir():
        place = target / file.name
        draft = place.with_name(f".{place.name}.restored")
        draft.touch(mode=0o600)
        draft.write_bytes(file.read_bytes())
        draft.replace(place)
    return f", secrets in {target}" + ("; now run ./ops/up --production, which hands them out" if folder else "")


def _forget(folder: Path, keep: int) -> None:
    for old in sorted(folder.glob(archive.PATTERN), reverse=True)[keep:] if keep else []:
        old.unlink()


def _size(file: Path) -> str:
    return f"{file.stat().st_size / 1e6:.1f} MB"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m ops.backup", description="Keep and bring back what an arena knows."
    )
    commands = parser.add_subparsers(required=True, metavar="create|restore|list")
    made = commands.add_parser("create", help="make a backup while the arena runs")
    made.set_defaults(run=create)
    made.add_argument("--label", default="", help="a word in its name")
    made.add_argument("--keep", type=int, default=0, metavar="N", help="remove all but the newest N; default: keep all")
    back = commands.add_parser("restore", help="bring one back into an empty arena")
    back.set_defaults(run=restore)
    back.add_argument("file", type=Path)
    back.add_argument("--replace", action="store_true", help="what is there is overwritten")
    back.add_argument("--while-running", action="store_true", help="do not look whether the arena runs")
    for one in (made, back):
        one.add_argument("--no-redis", action="store_true", help="the database alone; records sends lost jobs again")
        one.add_argument("--secrets", type=Path, metavar="DIR", help="the installation's: /etc/llm-arena/secrets")
    listed = commands.add_parser("list", help="which there are")
    listed.set_defaults(run=show)
    listed.add_argument("--verify", action="store_true", help="check every digest")
    for one in (made, listed):
        one.add_argument("--into", type=Path, default=Path("data/backups"), metavar="DIR", help="default: %(default)s")
    return parser


def _fail(message: str) -> int:
    print(f"backup: {message}", file=sys.stderr)
    return 1
