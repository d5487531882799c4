"""A killed test run leaves no process behind; a living one keeps those it started, from whichever thread."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.processes import ROOT

pytestmark = pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="Linux only")

RUN = """
import sys, threading
from pathlib import Path
from ops.bench.processes import Process, wait_for
from tests.redis_server import private_redis

folder = Path(sys.argv[1])
script = "sleep 600 & echo $! > {0}/child.new; mv {0}/child.new {0}/child; wait".format(folder)
process = Process("sh", ["/bin/sh", "-c", script], {}, folder)
thread = threading.Thread(target=process.start)
thread.start()
thread.join()
with private_redis(folder) as url:
    import redis
    server = redis.Redis.from_url(url).info("server")["process_id"]
    wait_for("the shell's child", (folder / "child").exists)
    print(process.pid, int((folder / "child").read_text()), server, flush=True)
    sys.stdin.readline()
    process.stop()
print("over", flush=True)
sys.stdin.readline()
"""


@contextmanager
def a_run(folder: Path) -> Iterator[tuple[subprocess.Popen[str], list[int]]]:
    """A run that has begun processes, and descriptors that become readable when each of these is gone."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", RUN, str(folder)], cwd=ROOT, text=True, **pipes) as run:  # type: ignore[call-overload]
        try:
            begun = [int(pid) for pid in run.stdout.readline().split()]
            watchers = [c.pid for c in psutil.Process(run.pid).children() if c.pid not in begun]
            lives = [os.pidfd_open(pid) for pid in begun + watchers]
            yield run, lives
        finally:
            run.kill()
    for life in lives:
        os.close(life)


def all_gone(lives: list[int]) -> bool:
    return all(select.select([life], [], [], 30)[0] for life in lives)


def test_what_a_killed_run_started_ends_with_it(tmp_path: Path) -> None:
    with a_run(tmp_path) as (run, lives):
        assert len(lives) == 4, "a shell, its child, a store and the watcher"
        assert not select.select(lives, [], [], 0)[0], "the thread that began one of them is over: that harms nobody"
        run.send_signal(signal.SIGKILL)
        run.wait(30)
        assert all_gone(lives)


def test_where_nothing_is_left_to_watch_the_watcher_has_gone_too(tmp_path: Path) -> None:
    with a_run(tmp_path) as (run, lives):
        print("stop", file=run.stdin, flush=True)
        assert run.stdout.readline() == "over\n"
        assert all_gone(lives)
        assert psutil.Process(run.pid).children() == []
