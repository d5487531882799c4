"""What can be known to fail is said before the work begins, each time with what to do about it."""

from __future__ import annotations

import errno
import platform
import re
import shutil
import socket
from collections.abc import Mapping
from pathlib import Path

from ops.setup.console import SetupError

GB = 10**9
OLDEST_DRIVER = 580
ECHO = "To try the arena without real models: --catalog ops/catalogs/echo.toml"


def free_port(host: str, port: int) -> None:
    """Raises SetupError when nothing can listen there, naming a port that is free."""
    try:
        _bind(host, port)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            fix = f"Use another one, for instance: --port {_next_free(host, port)}"
            raise SetupError(f"Port {port} is taken by another program", fix) from None
        if error.errno == errno.EACCES:
            raise SetupError(f"Port {port} needs root", "Use a port from 1024 on: --port 5000") from None
        raise SetupError(f"Nothing can listen on {host}:{port}: {error.strerror}", "Check --host and --port") from None
    except OverflowError:
        raise SetupError(f"{port} is no port", "Use one from 1024 to 65535: --port 5000") from None


def free_private_port(environment: Mapping[str, str]) -> None:
    """The same of the private listener, where one is asked for; web itself judges what is no number."""
    port, host = environment.get("ARENA_PRIVATE_PORT", ""), environment.get("ARENA_PRIVATE_HOST") or "127.0.0.1"
    if not port.isdigit() or not 0 < int(port) < 65536:
        return
    try:
        _bind(host, int(port))
    except OSError as error:
        why = f"The private listener cannot have {host}:{port}: {error.strerror}"
        raise SetupError(why, "Choose another: ARENA_PRIVATE_PORT, ARENA_PRIVATE_HOST") from None


def _bind(host: str, port: int) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))


def _next_free(host: str, port: int) -> int:
    for candidate in range(port + 1, min(port + 100, 65536)):
        try:
            _bind(host, candidate)
        except OSError:
            continue
        return candidate
    return 0


def vllm_runs_here(
    gpu: bool, cpuinfo: Path = Path("/proc/cpuinfo"), driver: Path = Path("/proc/driver/nvidia/version")
) -> None:
    """Raises SetupError where no vLLM build runs: other systems than Linux, musl, a CPU without AVX2, an old driver."""
    system, machine = platform.system(), platform.machine()
    if system != "Linux":
        raise SetupError(f"vLLM runs on Linux only, and this is {system}", f"Use a Linux machine.\n{ECHO}")
    if platform.libc_ver()[0] != "glibc":
        raise SetupError("vLLM needs a Linux with glibc, such as Debian, Ubuntu or Fedora", ECHO)
    if gpu:
        _driver_suits(driver)
        return
    if machine not in ("x86_64", "aarch64"):
        raise SetupError(f"vLLM has no build for the processor {machine}", f"Use x86-64 or 64-bit ARM.\n{ECHO}")
    if machine == "x86_64" and "avx2" not in _flags(cpuinfo):
        raise SetupError("vLLM needs a processor with AVX2, and this one has none", f"Use a newer machine.\n{ECHO}")


def _driver_suits(version: Path) -> None:
    """CUDA 13, which the pinned torch is built for, needs a driver of its time. An unreadable version passes."""
    try:
        found = re.search(r"\b(\d{3,})\.\d+", version.read_text())
    except OSError:
        return
    if found and int(found[1]) < OLDEST_DRIVER:
        what = f"The NVIDIA driver {found[1]} is too old for CUDA 13: {OLDEST_DRIVER} or newer is needed"
        raise SetupError(what, f"Update the driver.\n{ECHO}")


def _flags(cpuinfo: Path) -> set[str]:
    for line in cpuinfo.read_text().splitlines():
        if line.startswith("flags"):
            return set(line.partition(":")[2].split())
    return set()


def enough_disk(needs: dict[Path, int], what: dict[Path, str]) -> None:
    """``needs``: bytes per folder. Folders on one disk add up. Raises SetupError stating need and room."""
    for disk, folders in _by_disk(needs).items():
        need = sum(needs[f] for f in folders)
        free = shutil.disk_usage(disk).free
        if need > free:
            parts = ", ".join(f"{what[f]} {_gb(needs[f])}" for f in folders if needs[f])
            where = " and ".join(str(f) for f in folders)
            fix = f"Free {_gb(need - free)} there, or put the checkout, ARENA_MODELS_DIR or --data on a larger disk"
            raise SetupError(f"The disk of {where} is too small: needed {_gb(need)} ({parts}), free {_gb(free)}", fix)


def _by_disk(needs: dict[Path, int]) -> dict[Path, list[Path]]:
    disks: dict[int, tuple[Path, list[Path]]] = {}
    for folder in needs:
        there = folder
        while not there.exists():
            there = there.parent
        disks.setdefault(there.stat().st_dev, (there, []))[1].append(folder)
    return dict(disks.values())


def _gb(size: int) -> str:
    return f"{size / GB:.1f} GB"
