"""The import rule, proved in fresh interpreters: who may know whom, and that importing does nothing."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Set
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

from tests.processes import ROOT

HEAVY = ("vllm", "torch", "transformers", "numpy", "scipy", "pandas", "evalica")


@dataclass(frozen=True)
class After:
    """A fresh interpreter after a statement. ``left``: what lies in the data folder, which was empty."""

    modules: frozenset[str]
    left: tuple[str, ...]


@cache
def after(statement: str) -> After:
    """Run ``statement``, once for all who ask what it does."""
    script = f"import json, sys\n{statement}\nprint(json.dumps(sorted(sys.modules)))"
    with tempfile.TemporaryDirectory() as folder:
        env = {**os.environ, "ARENA_DATA_DIR": folder, "ARENA_CATALOG": "ops/catalogs/echo.toml"}
        command = [sys.executable, "-c", script]
        ran = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, env=env, check=False)
        assert ran.returncode == 0, ran.stderr
        left = tuple(f.name for f in Path(folder).iterdir())
    return After(frozenset(json.loads(ran.stdout.splitlines()[-1])), left)


def loaded_by(statement: str) -> frozenset[str]:
    """Every module in ``sys.modules`` after ``statement`` in a fresh interpreter."""
    return after(statement).modules


def under(modules: Set[str], *packages: str) -> set[str]:
    return {m for m in modules if any(m == p or m.startswith(p + ".") for p in packages)}


WEB = (
    "import web; from web.settings import WebSettings; web.create_app(WebSettings())"
    "; import web.pages, web.api, web.live, web.arena.battles"
)
RECORDS = "import web.records.celery, web.records.tasks"


@pytest.mark.parametrize("statement", [WEB, RECORDS])
def test_the_web_side_knows_of_the_worker_its_contract_only(statement: str) -> None:
    modules = loaded_by(statement)
    ours = under(modules, "worker")
    assert ours <= {"worker"} | under(modules, "worker.contract"), sorted(ours)
    assert under(modules, "vllm", "torch", "transformers", "scipy", "pandas", "evalica") == set()


def test_the_web_process_carries_no_arithmetic() -> None:
    assert under(loaded_by(WEB), *HEAVY, "web.ratings.bradley_terry") == set()


def test_the_records_worker_carries_no_web_server() -> None:
    modules = loaded_by(RECORDS)
    assert "numpy" in modules
    assert under(modules, "gunicorn", "gevent", "flask_sock", "web.api.battles") == set()


def test_making_the_app_connects_to_nothing_and_leaves_only_its_secret() -> None:
    assert after(WEB).left == ("secret_key",)


def test_the_worker_knows_nothing_of_web_and_loads_vllm_only_with_an_engine() -> None:
    modules = loaded_by("import worker.celery, worker.tasks, worker.control, worker.runtime, worker.engines.vllm")
    assert under(modules, "web", "flask", "sqlalchemy", "alembic", *HEAVY) == set()


def test_the_contract_needs_no_framework() -> None:
    names = [f"worker.contract.{p.stem}" for p in (ROOT / "worker" / "contract").glob("*.py") if p.stem != "__init__"]
    modules = loaded_by(f"import {', '.join(names)}")
    assert under(modules, "celery", "kombu", "flask", "sqlalchemy", "redis", *HEAVY) == set()


def _imports(file: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


@pytest.mark.parametrize("package", ["web", "worker"])
def test_even_late_imports_keep_the_rule(package: str) -> None:
    for file in (ROOT / package).rglob("*.py"):
        if "node_modules" in file.parts:
            continue
        for name in _imports(file):
            if package == "web" and name.split(".")[0] == "worker":
                assert name.startswith("worker.contract"), f"{file}: {name}"
            if package == "worker":
                assert name.split(".")[0] != "web", f"{file}: {name}"
            if name.split(".")[0] == "vllm":
                assert file.is_relative_to(ROOT / "worker" / "engines"), f"{file}: {name}"
            assert name.split(".")[0] != "ops", f"{file}: {name}"


def test_importing_every_module_changes_nothing_on_disk(tmp_path: Path) -> None:
    """Modules are imported in an empty folder, which must stay empty."""
    modules = [
        ".".join(f.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        for package in ("web", "worker")
        for f in (ROOT / package).rglob("*.py")
        if "node_modules" not in f.parts and f.stem not in ("__main__", "preload")
    ]
    script = (
        f"import sys, importlib\nsys.path.insert(0, {str(ROOT)!r})\nfor m in {modules!r}: importlib.import_module(m)"
    )
    command = [sys.executable, "-B", "-c", script]
    ran = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert ran.returncode == 0, ran.stderr
    assert list(tmp_path.iterdir()) == []
