"""Each thing that can be known to fail is said before the work, with what to do about it."""

from __future__ import annotations

import shutil
import socket
from collections import namedtuple
from pathlib import Path

import pytest

from ops.setup import checks
from ops.setup.console import SetupError


def refusal(call: object, *arguments: object) -> SetupError:
    with pytest.raises(SetupError) as caught:
        call(*arguments)  # type: ignore[operator]
    assert caught.value.fix, "an error without advice"
    return caught.value


def test_a_taken_port_is_named_and_another_one_offered() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        error = refusal(checks.free_port, "127.0.0.1", port)
    assert f"Port {port} is taken" in error.what
    suggested = int(error.fix.partition("--port ")[2])
    assert port < suggested <= port + 100
    checks.free_port("127.0.0.1", suggested)


def test_a_free_port_passes() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
    checks.free_port("127.0.0.1", port)


@pytest.mark.parametrize(("host", "port"), [("127.0.0.1", 70000), ("203.0.113.9", 5000)])
def test_an_impossible_address_is_refused(host: str, port: int) -> None:
    refusal(checks.free_port, host, port)


Usage = namedtuple("Usage", "total used free")


def test_a_small_disk_is_refused_with_need_and_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(0, 0, 3 * checks.GB))
    packages, models = tmp_path / "new" / ".venv", tmp_path / "models"
    needs = {packages: 2 * checks.GB, models: 2 * checks.GB}
    error = refusal(checks.enough_disk, needs, {packages: "packages", models: "models"})
    assert "needed 4.0 GB (packages 2.0 GB, models 2.0 GB), free 3.0 GB" in error.what
    assert "Free 1.0 GB" in error.fix


def test_a_large_disk_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(0, 0, 4 * checks.GB))
    checks.enough_disk({tmp_path: 4 * checks.GB}, {tmp_path: "packages"})


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> object:
    def pretend(system: str = "Linux", processor: str = "x86_64", libc: str = "glibc", flags: str = "sse avx2") -> Path:
        monkeypatch.setattr(checks.platform, "system", lambda: system)
        monkeypatch.setattr(checks.platform, "machine", lambda: processor)
        monkeypatch.setattr(checks.platform, "libc_ver", lambda: (libc, ""))
        cpuinfo = tmp_path / "cpuinfo"
        cpuinfo.write_text(f"processor : 0\nflags\t\t: {flags}\n")
        return cpuinfo

    return pretend


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"system": "Darwin", "processor": "arm64"}, "Linux only"),
        ({"libc": ""}, "glibc"),
        ({"processor": "riscv64"}, "riscv64"),
        ({"flags": "sse sse2 avx"}, "AVX2"),
    ],
)
def test_a_machine_without_a_vllm_build_is_told_of_the_echo_catalog(
    machine: object, facts: dict[str, str], said: str
) -> None:
    error = refusal(checks.vllm_runs_here, False, machine(**facts))  # type: ignore[operator]
    assert said in error.what
    assert "--catalog ops/catalogs/echo.toml" in error.fix


@pytest.mark.parametrize(("version", "suits"), [("550.90.07", False), ("580.65.06", True), ("", True)])
def test_a_gpu_needs_a_driver_of_its_cudas_time(machine: object, tmp_path: Path, version: str, suits: bool) -> None:
    driver = tmp_path / "version"
    driver.write_text(
        f"NVRM version: NVIDIA UNIX x86_64 Kernel Module  {version}  Tue Apr 1\nGCC version: gcc 12.2.0\n"
    )
    cpuinfo = machine()  # type: ignore[operator]
    if suits:
        checks.vllm_runs_here(True, cpuinfo, driver)
    else:
        assert "driver 550 is too old" in refusal(checks.vllm_runs_here, True, cpuinfo, driver).what


@pytest.mark.parametrize(
    ("facts", "gpu"), [({}, False), ({"processor": "aarch64", "flags": ""}, False), ({"flags": ""}, True)]
)
def test_machines_with_a_vllm_build_pass(machine: object, facts: dict[str, str], gpu: bool) -> None:
    checks.vllm_runs_here(gpu, machine(**facts))  # type: ignore[operator]
