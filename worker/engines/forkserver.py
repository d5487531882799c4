"""Engine processes that start from a server which has already imported vLLM.

A spawned engine process spends most of its start importing; a forkserver pays that once. The server is started after
vLLM's configuration has set the environment, and before any engine: its children inherit that environment. It must
never hold threads or a CUDA context, so only modules free of both are preloaded.

PR_SET_PDEATHSIG would bind children to the forkserver, not to us; so every process forked here starts a thread that
waits on a pidfd of the worker and leaves when the worker is gone, however it went.
"""

from __future__ import annotations

import logging
import multiprocessing
import multiprocessing.forkserver
import os
import sys
import threading
from multiprocessing.context import BaseContext
from typing import Any

log = logging.getLogger(__name__)

OWNER = "ARENA_ENGINE_OWNER"
_PRELOAD_CPU = (
    "vllm.v1.engine.core",
    "vllm.v1.executor.uniproc_executor",
    "vllm.v1.worker.cpu_worker",
    "vllm.v1.worker.cpu_model_runner",
    "vllm.model_executor.models.llama",
    "vllm.model_executor.models.qwen2",
    "vllm.model_executor.model_loader.default_loader",
)
_context: BaseContext | None = None


def engine_context() -> BaseContext:
    """A forkserver context that has imported vLLM; started on first use."""
    global _context
    if _context is None:
        os.environ[OWNER] = str(os.getpid())
        context: Any = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["worker.engines.orphans", *_PRELOAD_CPU])
        multiprocessing.forkserver.ensure_running()
        _context = context
        log.info("engine processes start from a forkserver that imports vLLM once")
    return _context


def use_for_vllm() -> None:
    """Make vLLM take its processes from the forkserver. CPU only; where it cannot, says why and changes nothing."""
    if sys.platform != "linux" or not hasattr(os, "pidfd_open"):
        log.warning("engine processes are spawned: no pidfd on this platform")
        return
    import vllm.v1.engine.utils as engine_utils

    if not hasattr(engine_utils, "get_mp_context"):
        log.warning("engine processes are spawned: this vLLM takes its context elsewhere")
        return
    engine_utils.get_mp_context = engine_context


def stop() -> None:
    """End the forkserver, so that nothing of it outlives the worker."""
    global _context
    if _context is not None:
        _context = None
        server: Any = multiprocessing.forkserver
        server._forkserver._stop()


def leave_with(owner: int) -> None:
    """Start a thread that ends this process when process ``owner`` has ended."""

    def wait() -> None:
        import select

        try:
            fd = os.pidfd_open(owner)
        except ProcessLookupError:
            os._exit(1)
        select.select([fd], [], [])
        os._exit(1)

    threading.Thread(target=wait, name="owner-watch", daemon=True).start()
