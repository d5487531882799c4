"""Engine processes that start from a server which has already imported vLLM.

A spawned engine process spends most of its start importing; a forkserver pays that once. Whether it can be used is
asked of the server itself: it must have imported vLLM and hold neither threads nor a CUDA context. Where it cannot,
engine processes are spawned, and the log says why.
"""

from __future__ import annotations

import logging
import multiprocessing
import multiprocessing.forkserver
import os
import sys
import threading
from collections.abc import Sequence
from multiprocessing import context
from multiprocessing.connection import Connection
from typing import Any

from worker.engines.orphans import OwnedProcess

log = logging.getLogger(__name__)

PRELOAD = "worker.engines.preload"
NAMES = "ARENA_ENGINE_PRELOAD"
"""For the server: ``cpu`` or ``gpu``, then the architectures of the worker's models, separated by commas."""
WORKER = "ARENA_ENGINE_WORKER"
"""For the server: the worker's process id."""
_EXEC_ONLY = ("LD_PRELOAD", "GLIBC_TUNABLES", "OMP_NUM_THREADS")
"""What a process reads of its environment only when it begins; a change asks for another server."""

GIVES_WAY = 5
"""Niceness of an engine that computes on the CPU: it takes every core for a whole answer, and who carries prompts to it
and tokens from it needs one for a moment."""


class _ForkedEngine(OwnedProcess, context.ForkServerProcess):
    """An engine process forked from the server."""


class _SpawnedEngine(OwnedProcess, context.SpawnProcess):
    """An engine process that imports everything itself."""


class _ForkContext(context.ForkServerContext):
    Process = _ForkedEngine


class _SpawnContext(context.SpawnContext):
    Process = _SpawnedEngine


_lock = threading.Lock()
_began: dict[str, str | None] | None = None
_context: context.BaseContext | None = None


def begin(kind: str, architectures: Sequence[str]) -> None:
    """Let the server start importing what engines on ``kind`` (``cpu``, ``gpu``) need; returns at once."""
    with _lock:
        for made in (_ForkedEngine, _SpawnedEngine):
            made.niceness = GIVES_WAY if kind == "cpu" else 0
        if _possible() and _began is None:
            os.environ[NAMES] = ",".join([kind, *architectures])
            os.environ[WORKER] = str(os.getpid())
            _begin()


def renew() -> None:
    """Start again if the environment has become one that only a new process would notice."""
    with _lock:
        if _began is not None and _began != _environment():
            log.info("the forkserver starts again: vLLM has changed the environment of its processes")
            _end()
            _begin()


def _environment() -> dict[str, str | None]:
    return {name: os.environ.get(name) for name in _EXEC_ONLY}


def _begin() -> None:
    global _began, _context
    server: Any = multiprocessing.get_context("forkserver")
    server.set_forkserver_preload([PRELOAD])
    multiprocessing.forkserver.ensure_running()
    _began, _context = _environment(), None


def use_for_vllm() -> None:
    """Make vLLM take its processes from the server, once that has imported; blocks until it has."""
    if not _possible():
        log.warning("engine processes are started vLLM's own way: no pidfd on this platform")
        return
    import vllm.v1.engine.utils as engine_utils

    if not hasattr(engine_utils, "get_mp_context"):
        log.warning("engine processes are started vLLM's own way: this vLLM takes its context elsewhere")
        return
    engine_utils.get_mp_context = engine_context


def engine_context() -> context.BaseContext:
    """Where engine processes come from, decided on first use."""
    global _context
    with _lock:
        if _context is None:
            problem = "no forkserver was started" if _began is None else _problem()
            if problem:
                log.warning("engine processes are spawned, which takes longer: %s", problem)
            _context = _SpawnContext() if problem else _ForkContext()
        return _context


def _end() -> None:
    global _began, _context
    if _began is not None:
        _began = _context = None
        server: Any = multiprocessing.forkserver
        server._forkserver._stop()


def _possible() -> bool:
    return sys.platform == "linux" and hasattr(os, "pidfd_open")


def _problem() -> str:
    """Why the server cannot be forked from; empty when it can."""
    try:
        report = _ask()
    except (OSError, EOFError) as error:
        return f"the forkserver ended while it imported vLLM ({type(error).__name__})"
    if report is None:
        return f"the forkserver cannot import {PRELOAD}: install the package, or start the worker in its checkout"
    if not report["needed"]:
        return f"the forkserver could not import vLLM: {report['missing']}"
    if report["cuda"]:
        return "importing vLLM has set up CUDA, which does not survive a fork"
    if report["threads"] > 1:
        return f"importing vLLM has left {report['threads'] - 1} threads, which do not survive a fork"
    log.info("engine processes start from a forkserver that has imported vLLM in %.1f s", report["seconds"])
    for name, why in report["missing"].items():
        log.info("not imported beforehand: %s (%s)", name, why)
    return ""


def _ask() -> dict[str, Any] | None:
    """The server's own report, brought by a process forked from it. Raises OSError, EOFError."""
    server = multiprocessing.get_context("forkserver")
    reader, writer = server.Pipe(duplex=False)
    messenger = server.Process(target=_send_report, args=(PRELOAD, writer), name="forkserver-report")
    try:
        messenger.start()
        writer.close()
        report: dict[str, Any] | None = reader.recv()
        return report
    finally:
        reader.close()
        if messenger.pid is not None:
            messenger.join()


def _send_report(name: str, writer: Connection) -> None:
    preload = sys.modules.get(name)  # not imported here: that would be this process's doing, not the server's
    writer.send(getattr(preload, "report", None))
