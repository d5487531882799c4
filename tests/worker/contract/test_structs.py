"""Threads that meet a wire type at the same moment must find it known."""

from __future__ import annotations

import subprocess
import sys

from tests.processes import ROOT

SCRIPT = """
import sys, threading
from pathlib import Path
from worker.contract import catalog, structs
sys.setswitchinterval(1e-6)
structs.know_all()
gate = threading.Barrier(8)

def load():
    gate.wait()
    catalog.load_catalog(Path("ops/catalogs/echo.toml"))

threads = [threading.Thread(target=load) for _ in range(8)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print("fine")
"""


def test_a_type_that_all_threads_meet_at_once_is_known_before() -> None:
    for _ in range(3):
        done = subprocess.run([sys.executable, "-c", SCRIPT], cwd=ROOT, capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stdout) == (0, "fine\n"), done.stderr[-2000:]
