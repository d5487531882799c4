"""The checkout's own `.venv`, filled from ops/locks: exact versions, nothing resolved, nothing guessed.

What is already there is not installed again: each pin is compared with what the environment holds, and only the
missing ones go to pip. A build of torch for the CPU (`torch==X+cpu`) is not on the public index of all packages; it is
tried from wherever pip is set up to look, then from PyTorch's own index.
"""

from __future__ import annotations

import hashlib
import json
import operator
import platform
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from ops.setup import pip
from ops.setup.console import Progress, SetupError, note, step
from ops.setup.layout import ROOT

LOCKS = ROOT / "ops" / "locks"
SPECIFIC_INDEX = {"cpu": "https://download.pytorch.org/whl/cpu"}
"""Where builds with a local version (the part after ``+``) live."""

SIZES = {"base": 0.6, "cpu": 5.5, "gpu": 16.0, "test": 1.0}
"""Disk in GB that each lock takes, the downloads that pip keeps included; measured, rounded up."""

_PIN = re.compile(r"^(?P<name>[A-Za-z0-9._-]+)==(?P<version>[^\s;]+)(?:\s*;\s*(?P<marker>.+))?$")
_MARKER = re.compile(r'^(python_full_version|python_version|platform_machine) (<|>|==) "([^"]+)"$')


@dataclass(frozen=True, slots=True)
class Pin:
    """One line of a lock that holds on this machine."""

    name: str
    version: str

    def __str__(self) -> str:
        # torch's builds differ only in the local version, and == would take any of them.
        return f"{self.name}{'===' if self.name == 'torch' else '=='}{self.version}"


@dataclass(frozen=True, slots=True)
class Venv:
    """A virtual environment at ``path``."""

    path: Path = ROOT / ".venv"

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.path / "bin" / "python"

    @property
    def stamp(self) -> Path:
        """JSON: what was installed, from which locks, for which checkout."""
        return self.path / "llm-arena.json"


def read_lock(variant: str, python: str, machine: str | None = None) -> list[Pin]:
    """The pins of a lock that hold for that Python (``"3.11.7"``) and processor."""
    facts = {
        "python_full_version": _numbers(python),
        "python_version": _numbers(python)[:2],
        "platform_machine": (machine or platform.machine(),),
    }
    pins = []
    for line in (LOCKS / f"{variant}.txt").read_text().splitlines():
        match = _PIN.match(line)
        if match and _holds(match["marker"], facts):
            pins.append(Pin(match["name"], match["version"]))
    return pins


def _holds(marker: str | None, facts: Mapping[str, tuple[object, ...]]) -> bool:
    """The few markers `ops.lock` writes; no library is there yet that could judge all of them."""
    if not marker:
        return True
    match = _MARKER.match(marker.strip())
    if match is None:
        raise ValueError(f"a lock carries a marker that is not understood: {marker}")
    name, sign, text = match.groups()
    wanted: tuple[object, ...] = (text,) if name == "platform_machine" else _numbers(text)
    return bool({"<": operator.lt, ">": operator.gt, "==": operator.eq}[sign](facts[name], wanted))


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


def ensure(venv: Venv, variants: Iterable[str], project: bool = True) -> None:
    """Bring the environment to the locks of ``variants``, and the checkout into it unless ``project`` is false.

    Raises SetupError with what to do when that fails.
    """
    variants = tuple(variants)
    if satisfied(venv, variants):
        return
    _create(venv)
    missing = missing_pins(venv, variants)
    if missing:
        step(f"Installing {len(missing)} packages ({', '.join(variants)}) into {venv.path.name}")
        _install(venv, missing)
    if project:
        _install_project(venv)
    held = [v for v in SIZES if v in variants or not missing_pins(venv, (v,))]
    venv.stamp.write_text(json.dumps(_wanted_stamp(venv, tuple(held))))


def satisfied(venv: Venv, variants: tuple[str, ...]) -> bool:
    """Whether nothing is to do, by the stamp alone: no interpreter is started. More in it than asked for will do."""
    try:
        stamp = json.loads(venv.stamp.read_text())
        wanted = _wanted_stamp(venv, variants)
        return bool(wanted["place"] == stamp["place"] and wanted["digests"].items() <= stamp["digests"].items())
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False


def unfilled(venv: Venv, variants: Iterable[str]) -> list[str]:
    """The variants that something is missing of, so that a download is ahead."""
    if not (venv.path / "pyvenv.cfg").exists():
        return list(variants)
    return [v for v in variants if not satisfied(venv, (v,)) and missing_pins(venv, (v,))]


def missing_pins(venv: Venv, variants: Iterable[str]) -> list[Pin]:
    """Pins that the environment does not hold, each once."""
    holds = _holdings(venv)
    pins = dict.fromkeys(pin for variant in variants for pin in read_lock(variant, _python_version(venv)))
    return [pin for pin in pins if holds.get(_canonical(pin.name)) != pin.version]


def _holdings(venv: Venv) -> dict[str, str]:
    found = metadata.distributions(path=[str(p) for p in venv.path.glob("lib*/python3*/site-packages")])
    return {_canonical(d.metadata["Name"]): d.version for d in found if d.metadata["Name"]}


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _python_version(venv: Venv) -> str:
    """From the environment's own record, so that nothing has to be started."""
    record = (venv.path / "pyvenv.cfg").read_text()
    match = re.search(r"^version(?:_info)?\s*=\s*(\d+\.\d+\.\d+)", record, re.MULTILINE)
    return match[1] if match else platform.python_version()


def _wanted_stamp(venv: Venv, variants: tuple[str, ...]) -> dict[str, dict[str, str]]:
    sources = [LOCKS / f"{variant}.txt" for variant in variants] + [ROOT / "pyproject.toml"]
    digests = {source.name: hashlib.sha256(source.read_bytes()).hexdigest() for source in sources}
    return {"place": {"root": str(ROOT), "python": _python_version(venv)}, "digests": digests}


def _create(venv: Venv) -> None:
    if _works(venv):
        return
    if venv.path.is_symlink():
        raise SetupError(
            f"{venv.path} is a link to {venv.path.resolve()}, an environment of another place, which would be emptied",
            f"rm {venv.path}",
        )
    if venv.path.exists():
        note(f"{venv.path} is broken or from another place; making it anew")
    step(f"Creating {venv.path.name} with Python {platform.python_version()}")
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    fix = f"Debian, Ubuntu: sudo apt-get install python{version}-venv\nthen run the same command again"
    try:
        import ensurepip  # noqa: F401  Debian splits it off; without it there is no pip in the environment
    except ImportError:
        raise SetupError(f"This Python {version} cannot make virtual environments", fix) from None
    made = subprocess.run(
        [sys.executable, "-m", "venv", "--clear", str(venv.path)], capture_output=True, text=True, check=False
    )
    if made.returncode:
        raise SetupError(f"The virtual environment could not be made:\n{made.stdout}{made.stderr}", fix)


def _works(venv: Venv) -> bool:
    """Whether its interpreter runs, has pip, and believes to live where it lies (a moved one does not)."""
    test = "import pip, sys; print(sys.prefix)"
    try:
        answer = subprocess.run([venv.python, "-c", test], capture_output=True, text=True, check=False, timeout=60)
    except OSError:
        return False
    script = venv.path / "bin" / "pip"
    moved = script.exists() and str(venv.path) not in script.read_text(errors="replace").partition("\n")[0]
    return answer.returncode == 0 and not moved


def _install(venv: Venv, pins: list[Pin]) -> None:
    specific = [pin for pin in pins if "+" in pin.version]
    for pin in specific:
        index = SPECIFIC_INDEX[pin.version.partition("+")[2]]
        try:
            pip.install(venv.python, [str(pin)], label=str(pin))
        except pip.NotFoundError:
            note(f"{pin} is not where pip looks; taking it from PyTorch's index")
            pip.install(venv.python, [str(pin), "--index-url", index], label=str(pin))
    general = [pin for pin in pins if pin not in specific]
    if general:
        pip.install(venv.python, [str(pin) for pin in general], total=len(general))
    Progress.clear()


def _install_project(venv: Venv) -> None:
    """The checkout itself, editable; built by the pinned setuptools, so that nothing more is downloaded."""
    pip.install(venv.python, ["--no-build-isolation", "--editable", str(ROOT)], label="the arena itself")
