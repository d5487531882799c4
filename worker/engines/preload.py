"""Imported by the forkserver alone, once: what every engine process would otherwise spend its first seconds on.

Unlike any other module, importing this one does something. Only imports happen here: a forkserver must hold no thread
and no CUDA context, since neither survives a fork; ``report`` says whether that was kept.
"""

from __future__ import annotations

import atexit
import gc
import importlib
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from worker.engines.forkserver import NAMES, WORKER

ENGINE = (
    "vllm.v1.engine.core",
    "vllm.v1.executor.uniproc_executor",
    "vllm.v1.core.sched.scheduler",
    "vllm.model_executor.model_loader.default_loader",
    "vllm.model_executor.layers.quantization.online.base",
    "vllm.distributed.elastic_ep.elastic_execute",
    "setproctitle",
)
CPU = (
    "vllm.v1.worker.cpu_worker",
    "vllm.v1.worker.cpu_model_runner",
    "vllm.v1.attention.backends.cpu_attn",
    "vllm.utils.cpu_triton_utils",
    "vllm.triton_utils.dispatcher",
)
GPU = ("vllm.v1.worker.gpu_worker", "vllm.v1.worker.gpu_model_runner")
NEEDED = ENGINE[0]
"""Without this one a forkserver saves nothing. What else is missing is imported by each engine instead."""


def _model_class(architecture: str) -> None:
    from vllm.model_executor.models import ModelRegistry

    ModelRegistry.models[architecture].load_model_cls()


def _all(kind: str, architectures: list[str]) -> dict[str, str]:
    """What could not be imported, and why."""
    missing: dict[str, str] = {}
    steps: list[tuple[str, Callable[[str], Any]]] = [
        *((name, importlib.import_module) for name in (*ENGINE, *(CPU if kind == "cpu" else GPU))),
        *((name, _model_class) for name in architectures if name),
    ]
    for name, step in steps:
        try:
            step(name)
        except Exception as error:  # noqa: BLE001  any package may raise anything while it is imported
            missing[name] = f"{type(error).__name__}: {error}"
    return missing


def _end_at_once(server: int) -> None:
    """Nothing here is to be written or closed, and freeing all of vLLM's modules one by one takes seconds."""
    if os.getpid() == server:
        os._exit(0)


def _run() -> dict[str, Any]:
    began = time.monotonic()
    kind, *architectures = os.environ.get(NAMES, "cpu").split(",")
    worker = int(os.environ.get(WORKER) or os.getppid())

    def still_wanted(*_: object) -> None:
        if os.getppid() != worker:
            os._exit(1)

    # The forkserver hears of its worker's end only once it serves; until then it asks, without a thread.
    still_wanted()
    before = signal.signal(signal.SIGALRM, still_wanted)
    signal.siginterrupt(signal.SIGALRM, False)
    signal.setitimer(signal.ITIMER_REAL, 1.0, 1.0)
    gc.disable()  # every collection would find that a million new objects are all still in use
    try:
        missing = _all(kind, architectures)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0.0)
        signal.signal(signal.SIGALRM, before)
    gc.collect()
    gc.freeze()  # engines never look through these again, so that they stay shared between all of them
    atexit.register(_end_at_once, os.getpid())
    gc.enable()
    torch = sys.modules.get("torch")
    return {
        "missing": missing,
        "needed": NEEDED not in missing,
        "cuda": bool(torch and torch.cuda.is_initialized()),
        "threads": len(list(Path("/proc/self/task").iterdir())),
        "seconds": time.monotonic() - began,
    }


report = _run()
