"""How much memory an engine's processes really hold: measured, so that the planner's estimates can be corrected.

Host memory is PSS: engine processes forked from one server share most of its pages, and each counts its part of them.
Device memory comes from NVML, which needs no CUDA context in this process; it names the memory of a process unless a
container hides the processes, and then the change of the whole device across a move stands for it. That is right as
long as one engine moves at a time, which is the pool's promise. Nothing here raises: what cannot be told is None.
"""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from worker.engines.launch import on_cpu
from worker.memory import Bytes

_PROC = Path("/proc")


class Memory:
    """What one engine holds. ``devices``: how many it is spread over; device bytes are those of the fullest."""

    def __init__(self, devices: int, kv_bytes: int) -> None:
        self._devices = devices
        self._kv_bytes = kv_bytes
        self._device: int | None = 0
        self._host = 0
        """Held by the processes right after loading."""
        self._beside = 0
        """Held on the host besides, whether or not its pages count as the processes' yet."""

    @contextmanager
    def moving(self, offload: bool = False) -> Iterator[None]:
        """Around each step that takes or gives back memory. ``offload``: what leaves the device stays on the host."""
        before = device_used(self._devices)
        yield
        after = device_used(self._devices)
        if before is None or after is None or self._device is None:
            self._device = None
            return
        self._device += after - before
        self._beside = max(before - after - self._kv_bytes, 0) if offload else 0

    def loaded(self, llm: Any) -> None:
        """What the host holds now; on a CPU that is all of the cache too, since vLLM writes every page of it once."""
        self._host = host_bytes(processes_of(llm)) or 0
        self._beside = 0

    def now(self, llm: Any) -> Bytes | None:
        """None when the processes, or the device they are on, cannot be asked."""
        pids = processes_of(llm)
        host = host_bytes(pids)
        if host is None:
            return None
        host = max(host, self._host + self._beside if self._beside else 0)
        if on_cpu():
            return Bytes(host=host)
        device = device_bytes(self._devices, pids)
        device = self._device if device is None else device
        return None if device is None else Bytes(device=device, host=host)


def processes_of(llm: Any) -> tuple[int, ...]:
    """Pids of the engine's processes: the engine core, and the workers it may have started."""
    try:
        manager = llm.engine_core.resources.engine_manager
        roots = [p.pid for p in manager.processes if p.pid is not None]
    except AttributeError:
        return ()
    return tuple(pid for root in roots for pid in family(root))


def family(pid: int) -> tuple[int, ...]:
    """The process and its descendants, oldest first; without those that have ended."""
    found = [pid] if (_PROC / str(pid)).exists() else []
    for children in _PROC.glob(f"{pid}/task/*/children"):
        with contextlib.suppress(OSError):
            for child in children.read_text().split():
                found += family(int(child))
    return tuple(found)


def host_bytes(pids: Collection[int]) -> int | None:
    """Proportional set size of all of them together; None when none can be read."""
    sizes = [size for size in map(_pss, pids) if size is not None]
    return sum(sizes) if sizes else None


def _pss(pid: int) -> int | None:
    try:
        for line in (_PROC / str(pid) / "smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return None


def device_used(devices: int) -> int | None:
    """Bytes taken by anybody on the fullest of the first ``devices`` devices; None without NVML."""
    return _ask_nvml(devices, lambda nvml, handle: int(nvml.nvmlDeviceGetMemoryInfo(handle).used))


def device_bytes(devices: int, pids: Collection[int]) -> int | None:
    """Bytes that these processes take on the fullest of their devices; None when NVML does not know the processes."""

    def of(nvml: Any, handle: Any) -> int | None:
        ours = [p.usedGpuMemory for p in nvml.nvmlDeviceGetComputeRunningProcesses(handle) if p.pid in pids]
        return sum(ours) if ours and None not in ours else None

    return _ask_nvml(devices, of)


def _ask_nvml(devices: int, ask: Any) -> int | None:
    try:
        from vllm.platforms import current_platform
        from vllm.third_party import pynvml as nvml

        if current_platform.is_cpu():
            return None
        nvml.nvmlInit()
        try:
            physical = [current_platform.device_id_to_physical_device_id(n) for n in range(devices)]
            answers = [ask(nvml, nvml.nvmlDeviceGetHandleByIndex(n)) for n in physical]
        finally:
            nvml.nvmlShutdown()
    except Exception:  # noqa: BLE001  no driver, no NVML, another vendor: all the same, it cannot be told
        return None
    return None if None in answers else max(answers)
