"""How much memory a machine says it has: the driver, the kernel, and the cgroups in between."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from worker.errors import SettingsError
from worker.models.machine import Gpu, find_gpu, host_available, parse_size, share_of
from worker.models.memory import scene_of

GIB = 2**30


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    write(tmp_path, {"proc/meminfo": "MemTotal: 33554432 kB\nMemAvailable:   16777216 kB\n"})
    return tmp_path


def available(machine: Path) -> int:
    return host_available(machine / "proc", machine / "cg")


def test_without_cgroups_it_is_what_the_kernel_calls_available(machine: Path) -> None:
    assert available(machine) == 16 * GIB


def test_a_cgroup_limit_below_that_counts_less_what_is_taken_in_it(machine: Path) -> None:
    files = {"proc/self/cgroup": "0::/\n", "cg/memory.max": f"{8 * GIB}\n", "cg/memory.current": f"{3 * GIB}\n"}
    write(machine, files)
    assert available(machine) == 5 * GIB


def test_the_page_cache_gives_way(machine: Path) -> None:
    files = {"proc/self/cgroup": "0::/\n", "cg/memory.max": str(8 * GIB), "cg/memory.current": str(7 * GIB)}
    write(machine, files | {"cg/memory.stat": f"anon {GIB}\ninactive_file {4 * GIB}\nactive_file {2 * GIB}\n"})
    assert available(machine) == 7 * GIB


def test_the_tightest_of_nested_limits_counts_and_no_limit_is_none(machine: Path) -> None:
    write(machine, {"proc/self/cgroup": "0::/arena/worker\n", "cg/memory.max": "max", "cg/memory.current": "9"})
    write(machine, {"cg/arena/memory.max": str(4 * GIB), "cg/arena/memory.current": "0"})
    write(machine, {"cg/arena/worker/memory.max": "max", "cg/arena/worker/memory.current": "0"})
    assert available(machine) == 4 * GIB


def test_version_one_cgroups_count_too(machine: Path) -> None:
    write(machine, {"proc/self/cgroup": "5:devices:/\n4:memory:/box\n0::/\n"})
    write(machine, {"cg/memory/box/memory.limit_in_bytes": str(2 * GIB), "cg/memory/box/memory.usage_in_bytes": "0"})
    write(machine, {"cg/memory/memory.limit_in_bytes": "9223372036854771712", "cg/memory/memory.usage_in_bytes": "0"})
    assert available(machine) == 2 * GIB


def test_a_cgroup_that_is_overdrawn_leaves_nothing(machine: Path) -> None:
    write(machine, {"proc/self/cgroup": "0::/\n", "cg/memory.max": "5", "cg/memory.current": "9"})
    assert available(machine) == 0


@pytest.fixture
def nvidia_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An ``nvidia-smi`` that prints what is in the returned file."""
    says = tmp_path / "says"
    program = tmp_path / "bin" / "nvidia-smi"
    program.parent.mkdir()
    program.write_text(f"#!{sys.executable}\nprint(open({str(says)!r}).read(), end='')\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent))
    return says


def test_the_drivers_own_share_of_a_gpu_is_nobody_elses(nvidia_smi: Path) -> None:
    nvidia_smi.write_text("Tesla T4, 15360, 450\n")
    assert find_gpu() == Gpu("Tesla T4", 14910 * 2**20)


def test_an_old_driver_that_does_not_tell_its_share_still_tells_the_total(nvidia_smi: Path) -> None:
    nvidia_smi.write_text("Tesla T4, 15360, [N/A]\n")
    assert find_gpu() == Gpu("Tesla T4", 15 * GIB)


def test_of_several_gpus_the_smallest_is_planned_for(nvidia_smi: Path) -> None:
    nvidia_smi.write_text("NVIDIA A10G, 23028, 512\nTesla T4, 15360, 450\n")
    gpu = find_gpu()
    assert gpu is not None
    assert gpu.name == "Tesla T4"


def test_stated_sizes_are_taken_at_their_word(nvidia_smi: Path) -> None:
    nvidia_smi.write_text("Tesla T4, 15360, 450\n")
    where = scene_of(capacity=2, gpu_memory="12GiB", host_memory="8GiB")
    assert (where.budget.device, where.budget.host, where.on_gpu, where.device) == (12 * GIB, 8 * GIB, True, "Tesla T4")
    assert scene_of(capacity=2).budget.device == 14910 * 2**20


def test_zero_plans_for_a_cpu_on_any_machine(nvidia_smi: Path) -> None:
    nvidia_smi.write_text("Tesla T4, 15360, 450\n")
    where = scene_of(capacity=2, gpu_memory="0")
    assert (where.on_gpu, where.device, where.budget.device) == (False, "cpu", 0)


@pytest.mark.parametrize(
    ("sleep", "gpu", "may"), [("auto", "1GiB", True), ("auto", "0", False), ("off", "1GiB", False), ("on", "0", True)]
)
def test_engines_sleep_on_a_gpu_unless_told_otherwise(sleep: str, gpu: str, may: bool) -> None:
    assert scene_of(capacity=2, gpu_memory=gpu, sleep=sleep).may_sleep is may


def test_a_size_that_is_none_names_its_variable() -> None:
    with pytest.raises(SettingsError, match=r"^ARENA_GPU_MEMORY: 'plenty' is no size; write "):
        scene_of(capacity=2, gpu_memory="plenty")
    with pytest.raises(SettingsError, match=r"^ARENA_HOST_MEMORY: "):
        scene_of(capacity=2, gpu_memory="0", host_memory="-1GiB")
    assert parse_size("1.5GiB", "X") == 3 * 2**29


@pytest.fixture
def two_gpus(nvidia_smi: Path) -> None:
    """An ``nvidia-smi`` that knows an A10G (0) and a T4 (1)."""
    program = nvidia_smi.parent / "bin" / "nvidia-smi"
    known = {"0": "NVIDIA A10G, 23028, 512", "1": "Tesla T4, 15360, 450"}
    program.write_text(
        f"#!{sys.executable}\nimport sys\nknown = {known!r}\n"
        "named = [w.partition('=')[2] for w in sys.argv if w.startswith('--id=')]\n"
        "print(*(known[i] for i in (named[0].split(',') if named else known)), sep='\\n')\n"
    )


@pytest.mark.usefixtures("two_gpus")
def test_a_worker_of_one_gpu_plans_for_that_one_and_its_part_of_the_host() -> None:
    first, second = find_gpu("0"), find_gpu("1")
    assert (first.name, second.name) == ("NVIDIA A10G", "Tesla T4") if first and second else False
    assert (share_of("0"), share_of("0,1"), share_of("")) == (0.5, 1.0, 1.0)
    alone, all_of_it = scene_of(capacity=2, gpu="0"), scene_of(capacity=2)
    assert alone.device == "NVIDIA A10G"
    assert alone.budget.host < 0.6 * all_of_it.budget.host
