"""Writes ops/locks: the exact versions `ops/up` installs, from a virtual environment that was tried out.

    python -m ops.lock           # base, cpu and test, from the running environment; takes a second
    python -m ops.lock --gpu     # gpu as well: asks pip to resolve it against the base (minutes, metadata only)

Everything is installed with ``--no-deps``, so a lock must name the whole closure. That is also what keeps
torchvision, torchaudio and torchcodec out of the CPU set: beside a CPU build of torch they break `transformers`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path

from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
LOCKS = ROOT / "ops" / "locks"

EXCLUDED = {"cpu": frozenset({"torchvision", "torchaudio", "torchcodec"})}
"""Requirements that a variant does without."""

CONDITIONS = ("", 'python_full_version < "3.11.3"', 'python_version > "3.11"', 'platform_machine == "x86_64"')
"""Markers a lock line may carry; a dependency needed in other circumstances than these is refused."""

CONDITIONAL = {"async-timeout": "5.0.1"}
"""Versions of packages which some machines need and the locking one does not."""

MACHINES: tuple[dict[str, str], ...] = tuple(
    {
        "python_version": python.rpartition(".")[0],
        "python_full_version": python,
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
        "os_name": "posix",
        "sys_platform": system.lower(),
        "platform_system": system,
        "platform_machine": machine,
        "extra": "",
    }
    for python in ("3.11.2", "3.11.9", "3.12.9", "3.13.5")
    for system, machine in (("Linux", "x86_64"), ("Linux", "aarch64"), ("Darwin", "arm64"))
)
"""The machines a lock must serve; each marker is tried on all of them."""

LINUX = frozenset(i for i, machine in enumerate(MACHINES) if machine["sys_platform"] == "linux")
EVERYWHERE = frozenset(range(len(MACHINES)))
SERVED = {"base": EVERYWHERE, "test": EVERYWHERE, "cpu": LINUX, "gpu": LINUX}
"""Where each lock is installed, as indices in MACHINES: vLLM runs on Linux only."""

Requires = Mapping[str, list[str]]
"""Package (canonical name) to its requirements, as its metadata spells them."""


CUDA_TORCH = "2.13.0"
"""The torch that vLLM's GPU build pins; spelled exactly, or a CPU build within reach of pip would satisfy it."""


class LockError(RuntimeError):
    """The environment cannot be locked; the message says which package is the reason."""


def closure(wanted: Iterable[str], requires: Requires, variant: str) -> dict[str, frozenset[int]]:
    """Every package that ``wanted`` brings along in that variant, with the indices in MACHINES that need it."""
    excluded = EXCLUDED.get(variant, frozenset())
    found: dict[tuple[str, str], set[int]] = {}
    todo = [(Requirement(line), "", SERVED[variant]) for line in wanted]
    while todo:
        requirement, extra, machines = todo.pop()
        name = str(canonicalize_name(requirement.name))
        if name in excluded:
            continue
        needing = frozenset(i for i in machines if _applies(requirement.marker, MACHINES[i], extra))
        for chosen in ("", *requirement.extras):
            seen = found.setdefault((name, chosen), set())
            if new := needing - seen:
                seen |= new
                todo += [(Requirement(line), chosen, frozenset(new)) for line in requires.get(name, [])]
    merged: dict[str, set[int]] = {}
    for (name, _), machines_of in found.items():
        merged.setdefault(name, set()).update(machines_of)
    return {name: frozenset(machines) for name, machines in merged.items() if machines}


def _applies(marker: Marker | None, machine: dict[str, str], extra: str) -> bool:
    return marker is None or marker.evaluate({**machine, "extra": extra})


def condition(name: str, machines: frozenset[int], served: frozenset[int]) -> str:
    """The marker that holds on exactly ``machines`` of those served. Raises LockError when CONDITIONS has none."""
    for text in CONDITIONS:
        marker = Marker(text) if text else None
        if machines == {i for i in served if _applies(marker, MACHINES[i], "")}:
            return text
    raise LockError(f"{name} is needed on some machines only and CONDITIONS has no marker that says which")


def lines(
    variant: str, asked: list[str], known: tuple[Mapping[str, str], Requires], without: Iterable[str]
) -> list[str]:
    """Sorted ``name==version ; marker`` lines; ``without`` are locked elsewhere. Raises LockError for a gap."""
    versions, requires = known
    packages = closure(asked, requires, variant)
    result = []
    for name in sorted(set(packages) - set(without)):
        version = versions.get(name) or CONDITIONAL.get(name)
        if version is None:
            raise LockError(f"{name} is required but not installed here, so there is no version to pin")
        marker = condition(name, packages[name], SERVED[variant])
        result.append(f"{name}=={version}" + (f" ; {marker}" if marker else ""))
    return result


def installed() -> tuple[dict[str, str], dict[str, list[str]]]:
    """Versions and requirements of all packages of the running environment."""
    found = {canonicalize_name(d.metadata["Name"]): d for d in metadata.distributions()}
    return {n: d.version for n, d in found.items()}, {n: list(d.requires or []) for n, d in found.items()}


def wanted(pyproject: dict[str, dict[str, object]]) -> dict[str, list[str]]:
    """What pyproject.toml asks for, per lock. setuptools builds the project itself, in the environment."""
    project = pyproject["project"]
    extras: dict[str, list[str]] = project["optional-dependencies"]  # type: ignore[assignment]
    core: list[str] = project["dependencies"]  # type: ignore[assignment]
    base = [*core, *extras["web"], *extras["worker"], *extras["embedded"], "setuptools"]
    # Packages that cannot be had for macOS are not asked for there; the engines run on Linux only.
    test = [*base, *extras["aws"], *extras["test"]]
    return {"base": base, "test": test, "cpu": [*base, *extras["cpu"]], "gpu": extras["gpu"]}


def resolve_gpu(packages: list[str], base: Path) -> tuple[dict[str, str], dict[str, list[str]]]:
    """Ask pip which versions the GPU set takes beside the base. torch without a local version is the CUDA build."""
    with tempfile.TemporaryDirectory() as folder:
        constraints, report = Path(folder, "constraints.txt"), Path(folder, "report.json")
        constraints.write_text(base.read_text() + f"torch==={CUDA_TORCH}\n")
        plain = [str(Requirement(p).name) + str(Requirement(p).specifier) for p in packages]
        options = ["--dry-run", "--ignore-installed", "--quiet", "--report", str(report), "-c", str(constraints)]
        subprocess.run([sys.executable, "-m", "pip", "install", *options, *plain], check=True)
        resolved = [item["metadata"] for item in json.loads(report.read_text())["install"]]
    named = {str(canonicalize_name(m["name"])): m for m in resolved}
    return {n: m["version"] for n, m in named.items()}, {n: m.get("requires_dist", []) for n, m in named.items()}


def write(name: str, content: list[str], note: str) -> None:
    """One lock file, with a heading that says how it came about."""
    path = LOCKS / f"{name}.txt"
    path.write_text(
        f"# {note}\n# Written by `python -m ops.lock`; installed with --no-deps.\n" + "\n".join(content) + "\n"
    )
    print(f"{path.relative_to(ROOT)}: {len(content)} packages")


def main(argv: list[str] | None = None) -> None:
    """Write the locks."""
    parser = argparse.ArgumentParser(prog="python -m ops.lock", description="Pin what ops/up installs.")
    parser.add_argument("--gpu", action="store_true", help="resolve the GPU set too, with pip (minutes)")
    options = parser.parse_args(argv)
    asked = wanted(tomllib.loads((ROOT / "pyproject.toml").read_text()))
    known = installed()
    write("base", lines("base", asked["base"], known, ()), "web, records and a model worker with echo engines")
    base = closure(asked["base"], known[1], "base")
    write("test", lines("test", asked["test"], known, base), "what ./ops/test needs beside base")
    write("cpu", lines("cpu", asked["cpu"], known, base), "vLLM on a CPU, beside base")
    if options.gpu:
        known = resolve_gpu(asked["gpu"], LOCKS / "base.txt")
        write("gpu", lines("gpu", asked["gpu"], known, base), "vLLM on an NVIDIA GPU, beside base")


if __name__ == "__main__":
    try:
        main()
    except LockError as error:
        sys.exit(f"ops.lock: {error}")
