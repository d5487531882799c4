"""Runs pip with progress a person can read, and turns its failures into words about network, disk and index."""

from __future__ import annotations

import re
import subprocess
from collections import deque
from pathlib import Path

from ops.setup.console import Progress, SetupError

NETWORK = re.compile(
    r"NewConnectionError|Name or service not known|name resolution|Connection refused|ConnectTimeout|ReadTimeout|"
    r"Network is unreachable|ProxyError|Max retries exceeded|Connection reset|getaddrinfo|CERTIFICATE_VERIFY_FAILED"
)
REASON = re.compile(r"\[Errno -?\d+\] ([A-Za-z][^'\")\n]+)")
ABSENT = re.compile(r"No matching distribution found for (\S+)")
FULL = re.compile(r"No space left on device|Disk quota exceeded")


class NotFoundError(SetupError):
    """The index that pip asked answered, and has no such version for this machine."""


def install(python: Path, arguments: list[str], label: str = "", total: int = 0) -> None:
    """``pip install --no-deps`` with ``arguments``. Raises NotFoundError, or SetupError with what to do."""
    command = [str(python), "-m", "pip", "install", "--no-deps", "--no-input", "--disable-pip-version-check"]
    recent: deque[str] = deque(maxlen=400)
    seen = 0
    command += ["--progress-bar", "off", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                recent.append(line.rstrip())
                seen += line.startswith("Collecting ")
                if said := _progress(line, label, seen, total):
                    Progress.show(said, force=said.startswith("unpacking") and total > 1)
        except BaseException:
            process.terminate()
            raise
    if process.returncode:
        raise explained("\n".join(recent))


def _progress(line: str, label: str, seen: int, total: int) -> str:
    counted = f" ({seen} of {total})" if total else ""
    if match := re.match(r"Collecting ([A-Za-z0-9._-]+)", line):
        return f"fetching {label or match[1]}{counted}"
    if match := re.match(r"\s+Downloading \S*?([^/\s]+) \(([^)]+)\)", line):
        return f"downloading {match[1]}, {match[2]}{counted}"
    if line.startswith("Installing collected packages"):
        return f"unpacking {label or f'{total} packages'}"
    return ""


def explained(output: str) -> SetupError:
    """What pip's output means for a person."""
    last = "\n".join(output.splitlines()[-12:])
    if FULL.search(output):
        return SetupError("The disk is full", "Free some space and run the same command again; it goes on from here")
    if NETWORK.search(output):
        fix = "Check the network, or point pip at an index you can reach (PIP_INDEX_URL, pip.conf); then run again"
        reasons = REASON.findall(output) or NETWORK.findall(output)
        return SetupError(f"Packages could not be downloaded: {reasons[-1]}", fix)
    if match := ABSENT.search(output):
        fix = "Try Python 3.11, 3.12 or 3.13 (ARENA_PYTHON=...), and look at pip's index settings: pip config list"
        return NotFoundError(f"There is no {match[1]} for this Python and machine where pip looks", fix)
    return SetupError(f"pip failed:\n{last}", "Correct that and run the same command again; it goes on from here")
