"""What a web process and a records worker load, seen from a fresh interpreter."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import json, sys
{code}
print(json.dumps(sorted(sys.modules)))
"""
APP = "from web import create_app; create_app()"
RECORDS = "import web.records.tasks"


def loaded(code: str, folder: Path, root: Path) -> set[str]:
    env = {"ARENA_DATA_DIR": str(folder), "ARENA_CATALOG": str(root / "ops/catalogs/echo.toml"), "PATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(code=code)], cwd=root, env=env, capture_output=True, text=True, check=True
    )
    return set(json.loads(done.stdout))


@pytest.mark.parametrize("code", [APP, RECORDS])
def test_the_web_side_knows_of_the_worker_its_contract_only(code: str, tmp_path: Path, repo_root: Path) -> None:
    modules = loaded(code, tmp_path, repo_root)
    foreign = {m for m in modules if m.startswith("worker.") and not m.startswith("worker.contract")}
    assert foreign == set()
    assert not {"vllm", "torch", "transformers"} & modules


def test_the_web_process_carries_no_arithmetic(tmp_path: Path, repo_root: Path) -> None:
    assert not {"numpy", "scipy", "pandas", "evalica", "web.ratings.bradley_terry"} & loaded(APP, tmp_path, repo_root)


def test_the_records_worker_carries_no_web_server(tmp_path: Path, repo_root: Path) -> None:
    modules = loaded(RECORDS, tmp_path, repo_root)
    assert "numpy" in modules
    assert not {"gunicorn", "gevent", "flask_sock", "web.api.battles"} & modules


def test_making_the_app_connects_to_nothing(tmp_path: Path, repo_root: Path) -> None:
    loaded(APP, tmp_path, repo_root)
    assert [f.name for f in tmp_path.iterdir()] == ["secret_key"]
