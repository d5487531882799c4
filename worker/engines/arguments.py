"""What vLLM is told of an engine before it exists.

Facts this rests on (vLLM 0.26 to 0.32): ``kv_cache_memory_bytes`` skips memory profiling, which two engines would
otherwise spoil for each other; with statistics on, each engine unregisters the Prometheus collectors of those before
it; on the CPU ``VLLM_ENABLE_V1_MULTIPROCESSING=0`` leaves one process per engine, and one unbound OpenMP thread keeps
two engines on two cores from fighting (the default binding puts both on the same core).
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from worker.engines import EngineOrder
from worker.engines.adapters import Adapter, lora_arguments
from worker.engines.launch import on_cpu
from worker.models.memory import GPU_OVERHEAD


def engine_arguments(order: EngineOrder, folder: Path, adapters: Mapping[str, Adapter]) -> dict[str, Any]:
    """Fields of ``AsyncEngineArgs``. Raises LoadError for an adapter that vLLM cannot take."""
    spec, cpu = order.spec, on_cpu()
    return {
        "model": str(folder),
        "served_model_name": spec.id,
        "max_model_len": spec.max_model_len,
        "max_num_seqs": spec.max_num_seqs,
        "dtype": spec.dtype,
        "quantization": spec.quantization,
        "kv_cache_memory_bytes": order.kv_bytes,
        "tensor_parallel_size": spec.tensor_parallel,
        "enforce_eager": cpu,
        **({} if cpu else {"gpu_memory_utilization": gpu_share(order, folder, adapters)}),
        **({"enable_sleep_mode": True} if order.may_sleep and not cpu else {}),  # vLLM refuses it on a CPU
        **lora_arguments(adapters, cpu=cpu),
        "seed": secrets.randbelow(2**31),  # vLLM's default of 0 would give the same answers after every load
        "disable_log_stats": True,
        "enable_log_requests": False,
    }


def gpu_share(order: EngineOrder, folder: Path, adapters: Mapping[str, Adapter]) -> float:
    """The part of the device this engine will take; vLLM refuses to start when less than that is free.

    With vLLM's default of 0.92 no second engine would ever start. The size of the cache is fixed by ``kv_bytes``
    whatever this says.
    """
    from vllm.platforms import current_platform

    spec = order.spec
    weights = int(spec.weights_bytes) or sum(f.stat().st_size for f in folder.glob("*.safetensors"))
    weights += sum(a.file_bytes for a in adapters.values())
    planned = weights / spec.tensor_parallel + order.kv_bytes + GPU_OVERHEAD
    return float(min(planned / current_platform.get_device_total_memory(), 0.98))
