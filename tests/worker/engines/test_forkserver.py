"""Engine processes are forked from a server that says it may be, and spawned otherwise, with a reason."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import ROOT

pytestmark = pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="Linux only")

GOOD = {"missing": {}, "needed": True, "cuda": False, "threads": 1, "seconds": 0.1}
SCRIPT = """
import logging, os, sys
from worker.engines import forkserver

def child():
    gives_way = os.nice(0) == min(19, int(os.environ["NICENESS"]) + forkserver.GIVES_WAY)
    print("child", os.environ["SET_LATER"], os.getppid() == int(sys.argv[1]), gives_way, flush=True)

if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, stream=sys.stdout)
    forkserver.PRELOAD = "reports"
    forkserver.begin("cpu", ["Some"])
    {after}
    context = forkserver.engine_context()
    assert context is forkserver.engine_context()
    os.environ["SET_LATER"] = "later"
    os.environ["NICENESS"] = str(os.nice(0))
    sys.argv.append(str(os.getpid()))
    process = context.Process(target=child)
    process.start()
    process.join()
    print("exit", process.exitcode)
"""


def said(tmp_path: Path, report: str | None, after: str = "") -> str:
    """What the script says when the module that the server imports is ``report``; None: it is missing."""
    if report is not None:
        (tmp_path / "reports.py").write_text(report)
    script = tmp_path / "main.py"
    script.write_text(SCRIPT.format(after=after))
    env = {**os.environ, "PYTHONPATH": f"{ROOT}:{tmp_path}", "TMPDIR": str(tmp_path)}
    ran = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, env=env, timeout=60, check=False
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "exit 0" in ran.stdout, ran.stdout + ran.stderr
    return ran.stdout


def test_a_good_report_means_forks_with_the_workers_environment_of_now(tmp_path: Path) -> None:
    out = said(tmp_path, f"report = {GOOD}")
    assert "child later False True" in out, "its parent is the server"
    assert "forkserver that has imported vLLM" in out


@pytest.mark.parametrize(
    ("report", "reason"),
    [
        (None, "cannot import"),
        ("raise ImportError", "cannot import"),
        ("import os; os._exit(3)", "ended while it imported"),
        (f"report = {GOOD | {'needed': False, 'missing': {'vllm.v1.engine.core': 'ImportError: gone'}}}", "gone"),
        (f"report = {GOOD | {'cuda': True}}", "set up CUDA"),
        (f"report = {GOOD | {'threads': 3}}", "left 2 threads"),
    ],
)
def test_otherwise_engines_are_spawned_and_the_log_says_why(tmp_path: Path, report: str | None, reason: str) -> None:
    out = said(tmp_path, report)
    assert "engine processes are spawned, which takes longer: " in out
    assert reason in out
    assert "child later True True" in out, "its parent is the worker"


def test_what_could_not_be_imported_beforehand_is_only_told(tmp_path: Path) -> None:
    out = said(tmp_path, f"report = {GOOD | {'missing': {'Odd': 'KeyError'}}}")
    assert "child later False" in out
    assert "not imported beforehand: Odd" in out


def test_the_server_starts_again_when_processes_must_begin_otherwise(tmp_path: Path) -> None:
    counted = "from pathlib import Path\nwith (Path(__file__).parent / 'starts').open('a') as f: f.write('.')\n"
    unchanged = "forkserver.renew(); forkserver.begin('cpu', [])"
    said(tmp_path, f"{counted}report = {GOOD}", unchanged)
    assert (tmp_path / "starts").read_text() == "."
    changed = "forkserver.engine_context(); os.environ['GLIBC_TUNABLES'] = ''; forkserver.renew()"
    said(tmp_path, f"{counted}report = {GOOD}", changed)
    assert (tmp_path / "starts").read_text() == "..."
