"""No engine outlives its worker: its own watcher ends it, and where that fails the next worker does."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.processes import ROOT, wait_for
from worker.engines import strays

pytestmark = pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="Linux only")

SLEEPS = "import signal; print('up', flush=True); signal.pause()"
RECORDED = """
import signal, sys
from worker.engines import strays
strays.record(strays.identity(int(sys.argv[1])))
print("up", flush=True)
signal.pause()
"""
WATCHED = """
import os, signal, sys
from worker.engines import orphans, strays
orphans.leave_with(strays.identity(int(sys.argv[1])))
child = os.fork()
print(child or "child", flush=True)
signal.pause()
"""
Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A run folder of this test alone, for its children too."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return strays.run_folder()


@pytest.fixture
def start(folder: Path) -> Iterator[Start]:
    """Start a script and wait until it says that it is up; whatever is left of it is killed afterwards."""
    started: list[subprocess.Popen[str]] = []

    def run(script: str, *args: object) -> subprocess.Popen[str]:
        command = [sys.executable, "-c", script, *map(str, args)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)
        started.append(process)
        assert process.stdout is not None
        process.first = process.stdout.readline().strip()  # type: ignore[attr-defined]
        assert process.first, "it ended before it was up"  # type: ignore[attr-defined]
        return process

    yield run
    for process in started:
        process.kill()
        process.communicate()


def end(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait(10)


def rewrite(folder: Path, who: str, **changed: Any) -> None:
    [file] = folder.glob("*.json")
    written = json.loads(file.read_text())
    written[who] |= changed
    file.write_text(json.dumps(written))


def test_an_engine_whose_worker_was_killed_is_killed_by_the_next_worker(folder: Path, start: Start) -> None:
    owner = start(SLEEPS)
    engine = start(RECORDED, owner.pid)
    end(owner)
    assert strays.reap() == [engine.pid]
    assert engine.wait(10) == -signal.SIGKILL
    assert list(folder.iterdir()) == []


def test_an_engine_too_stuck_to_leave_is_killed(folder: Path, start: Start) -> None:
    owner = start(SLEEPS)
    engine = start(WATCHED, owner.pid)
    engine.send_signal(signal.SIGSTOP)
    wait_for("it to stand still", lambda: psutil.Process(engine.pid).status() == psutil.STATUS_STOPPED)
    end(owner)
    assert engine.pid in strays.reap()
    assert engine.wait(10) == -signal.SIGKILL


def test_an_engine_whose_worker_lives_is_left_alone(folder: Path, start: Start) -> None:
    engine = start(RECORDED, start(SLEEPS).pid)
    assert strays.reap() == []
    assert engine.poll() is None
    assert [f.name for f in folder.iterdir()] == [f"{engine.pid}.json"]


def test_a_stranger_with_the_number_of_a_dead_engine_is_left_alone(folder: Path, start: Start) -> None:
    owner = start(SLEEPS)
    stranger = start(RECORDED, owner.pid)
    end(owner)
    found = strays.identity(stranger.pid)
    assert found is not None
    rewrite(folder, "engine", started=found.started - 1)
    assert strays.reap() == []
    assert stranger.poll() is None
    assert list(folder.iterdir()) == [], "the engine it speaks of is gone"


def test_a_stranger_with_the_number_of_a_dead_worker_does_not_protect_its_engine(folder: Path, start: Start) -> None:
    owner = start(SLEEPS)
    engine = start(RECORDED, owner.pid)
    found = strays.identity(owner.pid)
    assert found is not None
    rewrite(folder, "owner", started=found.started - 1)
    assert strays.reap() == [engine.pid]
    assert owner.poll() is None


def test_engines_of_another_container_are_not_judged_here(folder: Path, start: Start) -> None:
    owner = start(SLEEPS)
    engine = start(RECORDED, owner.pid)
    end(owner)
    rewrite(folder, "engine", space="pid:[1]")
    assert strays.reap() == []
    assert engine.poll() is None
    assert len(list(folder.iterdir())) == 1


def test_a_file_from_before_the_last_boot_is_removed_and_nobody_killed(folder: Path, start: Start) -> None:
    owner = start(SLEEPS)
    stranger = start(RECORDED, owner.pid)
    end(owner)
    rewrite(folder, "engine", boot="another")
    assert strays.reap() == []
    assert stranger.poll() is None
    assert list(folder.iterdir()) == []


def test_what_is_not_ours_in_the_folder_is_removed_unread(folder: Path) -> None:
    (folder / "1.json").write_text("{")
    (folder / "2.json").write_text('{"engine": {"pid": 1}}')
    assert strays.reap() == []
    assert list(folder.iterdir()) == []


def test_a_folder_that_others_may_write_to_is_not_believed(
    folder: Path, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    owner = start(SLEEPS)
    engine = start(RECORDED, owner.pid)
    end(owner)
    folder.chmod(0o777)
    assert strays.reap() == []
    assert engine.poll() is None
    assert "remove it" in caplog.text


def test_a_new_engine_clears_away_the_files_of_killed_ones(folder: Path, start: Start) -> None:
    owner = start(SLEEPS)
    end(start(RECORDED, owner.pid))
    engine = start(RECORDED, owner.pid)
    assert [f.name for f in folder.iterdir()] == [f"{engine.pid}.json"]


def test_a_watched_process_and_what_it_forked_leave_with_their_owner(folder: Path, start: Start) -> None:
    owner = start(SLEEPS)
    engine = start(WATCHED, owner.pid)
    child = psutil.Process(int(engine.first))  # type: ignore[attr-defined]
    wait_for("both to be written down", lambda: len(list(folder.glob("*.json"))) == 2)
    end(owner)
    assert engine.wait(10) == 1
    child.wait(10)
    assert list(folder.iterdir()) == []


def test_an_owner_that_had_gone_before_is_noticed(folder: Path, start: Start) -> None:
    owner = start(SLEEPS)
    found = strays.identity(owner.pid)
    script = f"from worker.engines import orphans, strays\norphans.leave_with(strays.{found!r})\n" + SLEEPS
    end(owner)
    gone = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, timeout=30, check=False)
    assert gone.returncode == 1
