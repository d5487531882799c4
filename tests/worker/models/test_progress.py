"""Progress is one redrawn line on a terminal and a few plain lines in a log."""

from __future__ import annotations

import io

from worker.models.errors import size_text
from worker.models.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_log_gets_a_line_every_quarter() -> None:
    log = io.StringIO()
    progress = Progress(log)
    progress.step("weights")
    for done in range(0, 1001, 10):
        progress.tick(done, 1000)
    assert [line.split()[1] for line in log.getvalue().splitlines()[1:]] == ["25%", "50%", "75%", "100%"]


def test_a_log_gets_no_line_when_the_size_is_unknown() -> None:
    log = io.StringIO()
    progress = Progress(log)
    progress.step("weights")
    progress.tick(10**9, 0)
    assert log.getvalue() == "  weights\n"


def test_more_than_expected_is_never_more_than_all() -> None:
    log = io.StringIO()
    progress = Progress(log)
    progress.step("weights")
    progress.tick(5000, 1000)
    assert "100% (1 kB of 1 kB)" in log.getvalue()


def test_a_terminal_line_is_redrawn_in_place_and_said_lines_stay() -> None:
    terminal = Terminal()
    progress = Progress(terminal)
    progress.step("weights")
    progress.tick(500, 1000)
    progress.say("done")
    assert terminal.getvalue().count("\n") == 1
    assert terminal.getvalue().endswith("\r\x1b[Kdone\n")


def test_sizes_are_in_the_units_of_disks() -> None:
    assert [size_text(n) for n in (0, 999, 1500, 93 * 10**6, 1_500_000_000)] == [
        "0 B",
        "999 B",
        "2 kB",
        "93 MB",
        "1.5 GB",
    ]
