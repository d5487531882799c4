"""What containers must be told and nobody else: ``python -m ops.containers.secrets [FOLDER] [--kubernetes]``.

Made once and kept: files that are there are read, not written again. ``ops/compose.yaml`` uses them as they are, with
the store's user list among them; ``--kubernetes`` prints them as Secrets for ``kubectl apply -f -``.
"""

from __future__ import annotations

import argparse
import json
import secrets
import sys
from pathlib import Path

from ops.setup import store

FOLDER = Path("data/secrets")
STORE, DATABASE = "arena-valkey:6379", "arena-postgres:5432"
"""The names by which containers find them, in compose and in a cluster alike."""


def make() -> dict[str, str]:
    """New ones: the text of each file, by its name."""
    words = store.passwords()
    urls = {user: f"redis://{user}:{word}@{STORE}/0" for user, word in words.items()}
    password = secrets.token_urlsafe(24)
    web = {
        "ARENA_REDIS_URL": urls["web"],
        "ARENA_DATABASE_URL": f"postgresql://arena:{password}@{DATABASE}/arena",
        "ARENA_SECRET_KEY": secrets.token_urlsafe(48),
        "ARENA_ADMIN_KEY": secrets.token_urlsafe(48),
    }
    return {
        "users.acl": store.acl(words),
        "web.env": _lines(web),
        "worker.env": _lines({"ARENA_REDIS_URL": urls["worker"]}),
        "admin.env": _lines({**web, "ARENA_REDIS_URL": urls["admin"]}),
        "scaler.env": _lines({"username": "web", "password": words["web"]}),
        "postgres.env": _lines({"POSTGRES_USER": "arena", "POSTGRES_DB": "arena", "POSTGRES_PASSWORD": password}),
    }


def _lines(values: dict[str, str]) -> str:
    return "".join(f"{name}={value}\n" for name, value in values.items())


def keep(folder: Path) -> dict[str, str]:
    """Those of a folder, made now if there are none. Raises SystemExit where some of them are missing."""
    names = list(made := make())
    there = [name for name in names if (folder / name).exists()]
    if there and there != names:
        missing = ", ".join(name for name in names if name not in there)
        raise SystemExit(f"{folder} lacks {missing}; bring it back, or remove the folder to make all of them anew")
    if there:
        return {name: (folder / name).read_text() for name in names}
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name, text in made.items():
        # The store's container reads the list as a user of its own; it holds digests only.
        (folder / name).touch(mode=0o644 if name == "users.acl" else 0o600)
        (folder / name).write_text(text)
    return made


def kubernetes(files: dict[str, str]) -> dict[str, object]:
    """A List of Secrets: ``arena-web`` and so on, each line a key, and the store's user list as one."""
    items = []
    for file, text in files.items():
        name, _, kind = file.rpartition(".")
        pairs = dict(line.split("=", 1) for line in text.splitlines()) if kind == "env" else {file: text}
        meta = {
            "name": f"arena-{'valkey' if kind == 'acl' else name}",
            "labels": {"app.kubernetes.io/part-of": "llm-arena"},
        }
        items.append({"apiVersion": "v1", "kind": "Secret", "type": "Opaque", "metadata": meta, "stringData": pairs})
    return {"apiVersion": "v1", "kind": "List", "items": items}


def main(argv: list[str]) -> int:
    """The command; returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m ops.containers.secrets", description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, nargs="?", default=FOLDER)
    parser.add_argument("--kubernetes", action="store_true", help="print Secrets instead of the files' names")
    asked = parser.parse_args(argv)
    files = keep(asked.folder)
    if asked.kubernetes:
        print(json.dumps(kubernetes(files), indent=2))
    else:
        print("\n".join(str(asked.folder / name) for name in files))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
