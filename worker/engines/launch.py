"""From nothing to an AsyncLLM, quickly: the environment, the forkserver, and what can be done side by side."""

from __future__ import annotations

import atexit
import copy
import gc
import importlib.util
import inspect
import json
import logging
import os
import subprocess
import threading
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from worker.engines import forkserver

log = logging.getLogger(__name__)

_lock = threading.Lock()
_prepared = False


def on_cpu() -> bool:
    """Whether the installed vLLM runs on the CPU."""
    from vllm.platforms import current_platform

    return bool(current_platform.is_cpu())


def prepare_environment() -> None:
    """Set what vLLM reads at import, once, before its first import. What the operator has set stands."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")
    os.environ.setdefault("VLLM_CONFIGURE_LOGGING", "1")
    os.environ.setdefault("VLLM_LOGGING_LEVEL", "WARNING")
    if not _has_gpu():
        os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")
        os.environ.setdefault("VLLM_CPU_OMP_THREADS_BIND", "nobind")
        os.environ.setdefault("OMP_NUM_THREADS", "1")
        os.environ.pop("VLLM_CPU_KVCACHE_SPACE", None)  # would override each model's own kv_bytes


def prepare(model: Path) -> None:
    """Everything that need not wait for an engine: environment, vLLM imported here and in the forkserver.

    Blocks for the seconds of that import the first time; the forkserver's runs beside it. ``model`` is a model's
    folder: its class and those of the models beside it are imported too.
    """
    global _prepared
    with _lock:
        if not _prepared:
            prepare_environment()
            if not _has_gpu():
                _preload_libraries()
            forkserver.begin("gpu" if _has_gpu() else "cpu", sorted(architectures(model.parent)))
            import vllm.v1.engine.async_llm
            import vllm.v1.engine.core_client  # noqa: F401

            gc.collect()
            gc.freeze()  # a collection over all of vLLM's modules would hold up every stream for a third of a second
            atexit.register(gc.unfreeze)  # or what extension modules find unfreed at the end fills the log
            forkserver.use_for_vllm()
            forkserver.engine_context()
            _prepared = True


def architectures(folder: Path) -> set[str]:
    """The model classes that the configurations in ``folder``'s folders ask for."""
    found: set[str] = set()
    for file in folder.glob("*/config.json"):
        try:
            asked = json.loads(file.read_text()).get("architectures") or ()
        except (OSError, ValueError, AttributeError):
            continue  # whoever loads that model will say it better
        found |= {name for name in asked if isinstance(name, str) and "," not in name}
    return found


def start_llm(config: Any) -> Any:
    """``AsyncLLM.from_vllm_config(config)``, with its tokenizer read while the engine process loads the weights.

    Left alone, vLLM reads the tokenizer before that process exists, copies it twice for threads we do not use, and
    reads it again in the engine for structured outputs, which no battle asks for. Blocks; call it in a thread.
    """
    from vllm.v1.engine.async_llm import AsyncLLM

    forkserver.renew()
    if (problem := _must_come_first(config.model_config)) is not None:
        log.info("the tokenizer is read before the engine starts: %s", problem)
        return AsyncLLM.from_vllm_config(config, disable_log_stats=True)
    ours = copy.copy(config.model_config)
    config.model_config.skip_tokenizer_init = True
    with ThreadPoolExecutor(1, thread_name_prefix="tokenizer") as beside:
        reading = beside.submit(_tokenizer, ours)
        llm = AsyncLLM.from_vllm_config(config, disable_log_stats=True)
        try:
            _give(llm, reading.result())
        except BaseException:
            llm.shutdown()
            raise
    return llm


def _must_come_first(model_config: Any) -> str | None:
    """Why the tokenizer cannot be given to AsyncLLM later; None when it can."""
    if model_config.skip_tokenizer_init:
        return "it is not read at all"
    if model_config.is_multimodal_model:
        return "a multimodal model's processor needs it"
    try:
        from vllm.renderers import BaseRenderer
        from vllm.tokenizers.registry import cached_tokenizer_from_config  # noqa: F401
        from vllm.v1.engine.output_processor import OutputProcessor
    except ImportError as error:
        return str(error)
    for holder in (BaseRenderer, OutputProcessor):
        if "tokenizer" not in inspect.signature(holder).parameters:
            return f"this vLLM's {holder.__name__} takes it from elsewhere"
    return None


def _tokenizer(model_config: Any) -> Any:
    from vllm.tokenizers.registry import cached_tokenizer_from_config

    return cached_tokenizer_from_config(model_config)


def _give(llm: Any, tokenizer: Any) -> None:
    """Raises RuntimeError when this vLLM keeps its tokenizer elsewhere."""
    for holder in (llm.renderer, llm.output_processor):
        if not hasattr(holder, "tokenizer"):
            raise RuntimeError(f"{type(holder).__name__} has no tokenizer")
        holder.tokenizer = tokenizer
    llm.model_config.skip_tokenizer_init = False


def _preload_libraries() -> None:
    """Name the libraries that vLLM preloads into its processes, before the forkserver becomes such a process.

    The same as ``CpuPlatform`` will: malloc from vLLM's wheel, OpenMP from torch's. Should it name others, the
    forkserver starts again.
    """
    named = os.environ.get("LD_PRELOAD", "")
    if not any(name in named for name in ("libomp", "libgomp", "libiomp")):
        named = ":".join(filter(None, [named, _first(_beside("torch", "../torch.libs", "lib"), "libgomp*.so*")]))
    if "libtcmalloc" not in named:
        ours = _first(_beside("vllm", "libs"), "libtcmalloc_minimal*.so*", "libtcmalloc.so*")
        named = ":".join(filter(None, [ours, named]))
    if named:
        os.environ["LD_PRELOAD"] = named


def _beside(package: str, *folders: str) -> list[Path]:
    spec = importlib.util.find_spec(package)
    return [Path(spec.origin).parent / folder for folder in folders] if spec and spec.origin else []


def _first(folders: Iterable[Path], *patterns: str) -> str:
    found = (str(file) for pattern in patterns for folder in folders for file in folder.glob(pattern))
    return next(found, "")


def _has_gpu() -> bool:
    if any(Path("/dev").glob("nvidia[0-9]*")):
        return True
    try:
        listed = subprocess.run(["nvidia-smi", "-L"], capture_output=True, check=False, timeout=20)  # noqa: S607
    except (OSError, subprocess.TimeoutExpired):
        return False
    return listed.returncode == 0 and bool(listed.stdout.strip())
