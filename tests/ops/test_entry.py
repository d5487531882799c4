"""The shell commands: they find a Python that suits, from any folder, and say how to get one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


def run(
    *command: str | Path, path: Path | None = None, cwd: Path | None = None, **env: str
) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, **env}
    if path is not None:
        environment["PATH"] = f"{path}:/usr/bin:/bin" if path.name == "first" else str(path)
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd, env=environment, timeout=60)


def bin_with(folder: Path, **scripts: str) -> Path:
    """A PATH with the few tools the stub uses, and the given scripts as commands."""
    folder.mkdir()
    for tool in ("sh", "dirname", "pwd", "echo"):
        found = next((p for p in (Path("/usr/bin") / tool, Path("/bin") / tool) if p.exists()), None)
        if found:
            (folder / tool).symlink_to(found)
    for name, text in scripts.items():
        script = folder / name.replace("_", ".")
        script.write_text(f"#!/bin/sh\n{text}\n")
        script.chmod(0o755)
    return folder


@pytest.mark.parametrize("command", ["up", "down", "test"])
def test_help_works_from_any_folder(command: str, repo_root: Path, tmp_path: Path) -> None:
    done = run(repo_root / "ops" / command, "--help", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"./ops/{command}" in done.stdout


def test_an_old_python_is_refused_with_advice(repo_root: Path, tmp_path: Path) -> None:
    old = bin_with(tmp_path / "bin", python3='[ "$1" = --version ] && echo Python 3.9.2; [ "$1" = --version ]')
    done = run("/bin/sh", repo_root / "ops" / "up", "--help", path=old)
    assert done.returncode == 1
    assert "needs Python 3.11 to 3.14; found: Python 3.9.2" in done.stderr
    assert "apt-get install python3 python3-venv" in done.stderr


def test_no_python_at_all_is_refused_with_advice(repo_root: Path, tmp_path: Path) -> None:
    done = run("/bin/sh", repo_root / "ops" / "up", "--help", path=bin_with(tmp_path / "bin"))
    assert done.returncode == 1
    assert "found: none" in done.stderr


def test_a_newer_python_beside_an_old_one_is_found(repo_root: Path, tmp_path: Path) -> None:
    both = bin_with(tmp_path / "bin", python3="exit 1", python3_12=f'exec "{sys.executable}" "$@"')
    done = run("/bin/sh", repo_root / "ops" / "up", "--help", path=both)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_person_can_name_a_python(repo_root: Path, tmp_path: Path) -> None:
    done = run(
        "/bin/sh", repo_root / "ops" / "up", "--help", path=bin_with(tmp_path / "bin"), ARENA_PYTHON=sys.executable
    )
    assert done.returncode == 0


def test_up_refuses_a_missing_catalog_before_doing_anything(repo_root: Path, tmp_path: Path) -> None:
    data = tmp_path / "data"
    done = run(repo_root / "ops" / "up", "--catalog", "nowhere.toml", "--data", data, cwd=tmp_path)
    assert done.returncode == 1
    assert f"{tmp_path / 'nowhere.toml'} cannot be read" in done.stderr
    assert "  -> Ready ones: " in done.stderr


def test_down_without_anything_running_says_so(repo_root: Path, tmp_path: Path) -> None:
    done = run(repo_root / "ops" / "down", "--data", tmp_path / "data")
    assert (done.returncode, done.stdout) == (0, f"Nothing is running on {tmp_path / 'data'}.\n")
    assert not (tmp_path / "data").exists()
