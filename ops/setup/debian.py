"""System packages the tests use and pip cannot bring: a browser and PostgreSQL. Installed only as root on Debian."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ops.setup.console import SetupError, note, step

POLICY = Path("/usr/sbin/policy-rc.d")


@dataclass(frozen=True, slots=True)
class SystemPackage:
    """``present`` tells whether it is there; ``tests`` which tests want it."""

    names: tuple[str, ...]
    tests: str
    commands: tuple[str, ...]
    places: str = ""

    @property
    def present(self) -> bool:
        """One of its commands is on PATH, or lies where Debian hides it."""
        return any(shutil.which(c) for c in self.commands) or bool(self.places and any(Path("/").glob(self.places)))


BROWSER = SystemPackage(
    ("chromium", "fonts-dejavu-core"), "browser tests", ("chromium", "chromium-browser", "google-chrome")
)
POSTGRES = SystemPackage(("postgresql",), "PostgreSQL tests", ("initdb",), "usr/lib/postgresql/*/bin/initdb")
HOST = (
    SystemPackage(("nginx",), "tests of an installed host", ("nginx",), "usr/sbin/nginx"),
    SystemPackage(("systemd",), "tests of an installed host", ("systemd-analyze",)),
    SystemPackage(("prometheus",), "tests of alert rules", ("promtool",)),
)


def ensure(wanted: tuple[SystemPackage, ...], required: bool) -> None:
    """Install what is missing. Where that is impossible: a note, or SetupError if ``required``."""
    missing = [p for p in wanted if not p.present]
    if not missing:
        return
    names = [name for package in missing for name in package.names]
    if os.getuid() != 0 or not shutil.which("apt-get"):
        what = " and ".join(p.tests for p in missing)
        fix = f"sudo apt-get install {' '.join(names)}"
        if required:
            raise SetupError(f"The {what} cannot run: {', '.join(names)} not installed", fix)
        note(f"{what} will be skipped; to have them: {fix}")
        return
    step(f"Installing {', '.join(names)} (Debian packages)")
    with _no_services():
        _apt("update")
        _apt("install", "--yes", "--no-install-recommends", *names)


def _apt(*arguments: str) -> None:
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    command = ["apt-get", "-q", "-o", "DPkg::Lock::Timeout=600", "-o", "Acquire::Retries=3", *arguments]
    done = subprocess.run(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if done.returncode:
        last = "\n".join(done.stdout.splitlines()[-15:])
        fix = "Correct that, or install the packages by hand, and run again"
        raise SetupError(f"apt-get {arguments[0]} failed:\n{last}", fix)


@contextmanager
def _no_services() -> Iterator[None]:
    """Debian starts a server on installation; the tests run their own, and nothing may stay behind."""
    if POLICY.exists():
        yield
        return
    POLICY.write_text("#!/bin/sh\nexit 101\n")
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink(missing_ok=True)
