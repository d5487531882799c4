"""No engine process outlives its worker, however that went and however the process came to be.

A worker killed with SIGKILL tells nobody. PR_SET_PDEATHSIG would bind an engine to the forkserver it comes from, which
lives for as long as any engine does. So every engine process starts a thread that waits on a pidfd of its worker, and
writes itself down for the next worker, in case that thread fails.
"""

from __future__ import annotations

import os
import select
import threading
from multiprocessing.process import BaseProcess
from typing import Any

from worker.engines import strays
from worker.engines.strays import Identity

_served: Identity | None = None


def leave_with(owner: Identity | None) -> None:
    """From now on this process, and every process forked from it, ends when ``owner`` has ended.

    None: nobody could say who owns it (no ``/proc``); then nothing is watched.
    """
    global _served
    if owner is None or not hasattr(os, "pidfd_open"):
        return
    if _served is None:
        os.register_at_fork(after_in_child=_watch)
    _served = owner
    _watch()


def _watch() -> None:
    """In this process, and again in each forked from it: threads do not survive a fork."""
    assert _served is not None
    strays.record(_served)
    threading.Thread(target=_wait, args=(_served,), name="owner-watch", daemon=True).start()


def _wait(owner: Identity) -> None:
    try:
        fd = os.pidfd_open(owner.pid)
    except ProcessLookupError:
        _leave()
    if owner.alive:  # looked at only now: from here on the descriptor cannot mean a stranger with the same number
        select.select([fd], [], [])
    _leave()


def _leave() -> None:
    strays.forget()
    os._exit(1)


class OwnedProcess(BaseProcess):
    """A process of ``multiprocessing`` that ends with the process that made it, and has its environment.

    The environment matters under a forkserver, whose own is older than what vLLM has set since. ``niceness``: how far
    it gives way to other processes; set on a subclass, before it is made.
    """

    niceness = 0

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._owner = strays.identity(os.getpid())
        self._environment = dict(os.environ)
        self._niceness = type(self).niceness

    def run(self) -> None:
        os.environ.update(self._environment)
        os.nice(self._niceness)
        leave_with(self._owner)
        try:
            super().run()
        finally:
            strays.forget()
