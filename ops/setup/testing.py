"""``./ops/test``: everything a change must pass, on a machine where nothing but Python need be installed.

Linters and types come first, pytest last, so that its summary is the end of the output. What cannot be had here is
skipped with a reason; with ``CI=true`` it is an error instead.
"""

from __future__ import annotations

import argparse
import os
import subprocess
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from xml.etree import ElementTree

from ops.setup import checks, debian, postgres, venv
from ops.setup.catalog_kind import default_catalog, has_nvidia_gpu, models_dir, read_kind
from ops.setup.console import SetupError, note, step
from ops.setup.layout import ROOT
from ops.setup.processes import adopt_orphans, descendants, name_of, run_reaping, still_there, sweep

TIERS = {"quick": "not real and not browser and not postgres and not long", "": "not long", "long": ""}
"""pytest's marker expression of each tier."""

COUNTS = ("tests", "failures", "errors", "skipped")
REPORT = ROOT / "build" / "tests.xml"
"""What pytest counted, for the closing line and for machines."""

LEAVE_S = 15.0
"""How long after pytest a process may take to leave by itself."""

SLOW = (
    *("integration", "acceptance", "browser", "chaos", "gpu", "ops/host", "ops/aws", "ops/containers"),
    *("ops/test_supervision.py", "ops/test_contention.py", "ops/test_placement.py", "ops/test_attack.py"),
    *("ops/test_sampling.py", "worker/test_battle_property.py", "web/arena/integrity/test_judgement.py"),
    *(f"worker/models/test_{name}.py" for name in ("convert", "fetch", "hub_download")),
)
"""Parts of tests/ that `quick` leaves out: they start whole processes, or try out a great many cases."""

STATIC = {
    "ruff check": ("-m", "ruff", "check", "."),
    "ruff format": ("-m", "ruff", "format", "--check", "."),
    "mypy": ("-m", "mypy"),
    "wire protocol": ("-m", "ops.protocol", "--check"),
    "typescript": ("-m", "ops.assets", "--check"),
}
"""Checks that run nothing, by name."""


def run_tests(argv: list[str]) -> int:
    """The whole command; returns the worst exit status."""
    parser = argparse.ArgumentParser(
        prog="./ops/test",
        usage="./ops/test [quick|long] [pytest arguments]",
        description="Linters, types and tests. quick: units only, minutes; long: everything; else all but the long.",
        epilog="Further arguments go to pytest, for instance: ./ops/test quick tests/web -k votes",
    )
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    rest = parser.parse_args(argv).arguments
    tier = rest.pop(0) if rest and rest[0] in TIERS else ""
    target = venv.Venv()
    environment = test_environment(target, os.environ)
    real = prepare(target, environment, tier)
    failed = [name for name, command in STATIC.items() if not _passes(target, environment, name, command)]
    with postgres.private_server() if tier != "quick" else nullcontext() as server:
        if server:
            environment["ARENA_TEST_POSTGRES_URL"] = server.url
        selection = select(tier, real, rest)
        step(" ".join(["pytest", *selection]))
        adopt_orphans()
        REPORT.unlink(missing_ok=True)
        command = [str(target.python), "-m", "pytest", f"--junit-xml={REPORT}", *selection]
        status = run_reaping(command, ROOT, environment)
    # A fork server ends itself when it sees that its parent is gone; with vLLM imported that takes a while.
    if left := [name_of(pid) for pid in still_there(descendants, LEAVE_S)]:
        sweep(descendants)
        failed.append(f"processes left by the tests ({', '.join(left)})")
    if failed:
        print(f"\nFailed besides pytest: {', '.join(failed)}", flush=True)
    if REPORT.exists():
        print(closing_line(REPORT), flush=True)
    return status or bool(failed)


def prepare(target: venv.Venv, environment: Mapping[str, str], tier: str) -> bool:
    """Install and build what the tier needs. Returns whether real models can be run here.

    Raises SetupError for what must not be missing: everything, where ``CI=true``.
    """
    strict = os.environ.get("CI") == "true"
    real = tier != "quick" and _can_run_vllm(strict)
    variants = ("base", "test", *(["cpu"] if real else []))
    models = read_kind(default_catalog(gpu=False), models_dir()).models_bytes if real else 0
    packages = int(sum(venv.SIZES[v] for v in venv.unfilled(target, variants)) * checks.GB)
    needs = {target.path: packages, models_dir(): models}
    checks.enough_disk(needs, {target.path: "packages", models_dir(): "models"})
    venv.ensure(target, variants)
    if tier != "quick":
        debian.ensure((debian.BROWSER, debian.POSTGRES, *debian.HOST), required=strict)
    steps: dict[str, tuple[str, ...]] = {"Building the pages": ("-m", "ops.assets")}
    if real:
        catalog = str(default_catalog(gpu=False))
        steps["Fetching the models"] = ("-m", "worker.models", "fetch", "--catalog", catalog)
    for what, command in steps.items():
        step(what)
        if subprocess.run([str(target.python), *command], cwd=ROOT, env=dict(environment), check=False).returncode:
            raise SetupError(f"{what}: failed (see above)", "Correct that and run again")
    return real


def _can_run_vllm(strict: bool) -> bool:
    try:
        checks.vllm_runs_here(gpu=False)
    except SetupError as error:
        if strict:
            raise
        note(f"tests with real models will be skipped: {error.what}")
        return False
    return True


def test_environment(target: venv.Venv, caller: Mapping[str, str]) -> dict[str, str]:
    """The caller's environment without its arena settings: tests must not see, or reach, somebody's real arena."""
    passed = ("ARENA_TEST_", "ARENA_CHROMIUM")
    kept = {n: v for n, v in caller.items() if not n.startswith("ARENA_") or n.startswith(passed)}
    decided = {
        "ARENA_MODELS_DIR": str(models_dir()),
        "PATH": f"{target.path / 'bin'}:{caller.get('PATH', os.defpath)}",
    }
    return {**kept, **decided}


def _passes(target: venv.Venv, environment: Mapping[str, str], name: str, command: tuple[str, ...]) -> bool:
    step(name)
    done = subprocess.run([str(target.python), *command], cwd=ROOT, env=dict(environment), check=False)
    return done.returncode == 0


def closing_line(report: Path) -> str:
    """``N passed, N failed, N skipped``: said last, since libraries may still chatter after pytest's own summary."""
    suite = ElementTree.parse(report).getroot().find("testsuite")  # noqa: S314  pytest wrote it
    count = {name: int((suite.get(name) if suite is not None else "") or 0) for name in COUNTS}
    failed = count["failures"] + count["errors"]
    passed = max(0, count["tests"] - failed - count["skipped"])
    return f"{passed} passed, {failed} failed, {count['skipped']} skipped"


def select(tier: str, real: bool, rest: list[str]) -> list[str]:
    """pytest's arguments: the tier's marker expression and folders, then what the person added."""
    parts = [TIERS[tier], "" if real or tier == "quick" else "not real", "" if has_nvidia_gpu() else "not gpu"]
    expression = " and ".join(part for part in dict.fromkeys(parts) if part)
    ignored = [f"--ignore=tests/{folder}" for folder in SLOW] if tier == "quick" else []
    return ["-m", expression, *ignored, *rest]
