"""How much memory this machine has for engines: asked of the driver and the kernel, without importing torch or vLLM."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from worker.contract.catalog import ByteSize
from worker.errors import SettingsError

_NO_LIMIT = 2**60  # cgroup v1 writes "no limit" as a number near 2**63


@dataclass(frozen=True, slots=True)
class Gpu:
    """``memory``: bytes a process may take of it, the driver's own share left out."""

    name: str
    memory: int


def find_gpu(which: str = "") -> Gpu | None:
    """The NVIDIA GPU with the least memory here, of ``which`` where some are named; None without one.

    Raises SettingsError when it does not tell.
    """
    found = _gpus(which)
    if found:
        return min(found, key=lambda gpu: gpu.memory)
    if any(Path("/dev").glob("nvidia[0-9]*")):
        raise SettingsError("ARENA_GPU_MEMORY: nvidia-smi does not tell the GPU's memory; set it, such as 15GiB")
    return None


def share_of(which: str) -> float:
    """What part of the host's GPUs these are; all of it where none are named, or there are none."""
    named = len(which.split(",")) if which else 0
    return min(named / max(len(_gpus()), 1), 1.0) if named else 1.0


def _gpus(which: str = "") -> list[Gpu]:
    query = ["nvidia-smi", "--query-gpu=name,memory.total,memory.reserved", "--format=csv,noheader,nounits"]
    query += [f"--id={which}"] if which else []
    try:
        asked = subprocess.run(query, capture_output=True, text=True, check=False, timeout=20)  # noqa: S603
        return [gpu for line in asked.stdout.splitlines() if (gpu := _parse(line)) is not None]
    except (OSError, subprocess.TimeoutExpired):
        return []


def host_available(proc: Path = Path("/proc"), cgroups: Path = Path("/sys/fs/cgroup")) -> int:
    """Bytes the host's processes could take now without swapping, within this process's cgroup."""
    lines = (proc / "meminfo").read_text().splitlines()
    fields = {name: int(rest.split()[0]) * 1024 for name, _, rest in (line.partition(":") for line in lines)}
    return max(0, min([fields["MemAvailable"], *_cgroup_room(proc, cgroups)]))


def parse_size(text: str, variable: str) -> int:
    """Raises SettingsError naming ``variable``."""
    try:
        return int(ByteSize.parse(text))
    except ValueError as error:
        raise SettingsError(f"{variable}: {error}") from None


def _parse(line: str) -> Gpu | None:
    name, *numbers = (part.strip() for part in line.split(","))
    if not numbers or not numbers[0].isdigit():
        return None
    reserved = int(numbers[1]) if len(numbers) > 1 and numbers[1].isdigit() else 0
    return Gpu(name, (int(numbers[0]) - reserved) * 2**20)


def _cgroup_room(proc: Path, cgroups: Path) -> Iterator[int]:
    """What each limit above this process leaves; files in the page cache give way and do not count as taken."""
    for folder, limit_name, used_name in _cgroup_folders(proc, cgroups):
        limit, used = _number(folder / limit_name), _number(folder / used_name)
        if limit is not None and limit < _NO_LIMIT and used is not None:
            yield limit - max(0, used - _cached(folder / "memory.stat"))


def _cgroup_folders(proc: Path, cgroups: Path) -> Iterator[tuple[Path, str, str]]:
    try:
        lines = (proc / "self" / "cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, kinds, path = line.split(":", 2)
        if kinds == "":  # v2
            root, names = cgroups, ("memory.max", "memory.current")
        elif "memory" in kinds.split(","):
            root, names = cgroups / "memory", ("memory.limit_in_bytes", "memory.usage_in_bytes")
        else:
            continue
        folder = root / path.strip("/")
        while folder.is_relative_to(root):  # in a container the path may be the host's: then only the root is there
            yield folder, *names
            folder = folder.parent


def _cached(stat: Path) -> int:
    try:
        fields = dict(line.split(" ", 1) for line in stat.read_text().splitlines())
    except (OSError, ValueError):
        return 0
    return sum(int(fields.get(name, 0)) for name in ("active_file", "inactive_file"))


def _number(file: Path) -> int | None:
    try:
        return int(file.read_text())
    except (OSError, ValueError):  # absent, or "max"
        return None
