"""Run another program and watch it: its output is kept for the error message, its downloads are measured.

Downloads and conversions happen in child processes, so that nothing they load stays in this one and an interrupted
fetch leaves nothing running.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

_TICK_S = 0.2
_TAIL = 4000


class CommandFailed(Exception):  # noqa: N818
    """``tail`` is the end of what the program printed, ``reason`` its most telling line."""

    def __init__(self, program: str, status: int, tail: str) -> None:
        lines = [line.strip() for line in tail.splitlines() if line.strip()]
        errors = [line for line in lines if "error" in line.casefold()]
        ended = "it was killed, perhaps for memory" if status == -9 else f"it ended with status {status}"
        self.reason = (errors or lines or [ended])[-1][:300]
        self.tail = tail
        super().__init__(f"{program}: {self.reason}")


def run(
    command: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    on_tick: Callable[[], None] | None = None,
) -> str:
    """Run to the end and return its standard output; CommandFailed when it cannot start or fails.

    ``on_tick`` is called several times a second. The child never outlives this call.
    """
    with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors:
        try:
            process = subprocess.Popen(  # noqa: S603 (commands are built here, never from outside text in a shell)
                command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=output, stderr=errors
            )
        except OSError as error:
            raise CommandFailed(command[0], 127, f"{command[0]} cannot be started: {error.strerror}") from None
        try:
            while _running(process):
                if on_tick:
                    on_tick()
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
        stdout, stderr = _text(output), _text(errors)
    if process.returncode:
        raise CommandFailed(command[0], process.returncode, (stderr or stdout)[-_TAIL:])
    return stdout


def _running(process: subprocess.Popen[bytes]) -> bool:
    try:
        process.wait(_TICK_S)
    except subprocess.TimeoutExpired:
        return True
    return False


def _text(stream) -> str:  # type: ignore[no-untyped-def]
    stream.seek(0)
    return bytes(stream.read()).decode(errors="replace")


def tree_bytes(folder: Path) -> int:
    """Bytes in all files below ``folder`` now; files that vanish meanwhile count nothing."""
    return sum(_file_sizes(folder))


def largest_bytes(folder: Path) -> int:
    """Size of the largest file below ``folder`` now: how far a download is that its tool then copies about."""
    return max(_file_sizes(folder), default=0)


def _file_sizes(folder: Path) -> Iterator[int]:
    for path in folder.rglob("*"):
        try:
            if path.is_file() and not path.is_symlink():
                yield path.stat().st_size
        except OSError:
            continue
