"""Engines on cores of their own, so that a bench on a CPU measures what a host with a GPU shows.

There the engines compute on the GPU and the arena has the processor to itself. Where engines compute on the processor,
every millisecond that web, broker, worker and visitors need is taken from the engines, and a comparison with the
engines alone shows mostly that.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from worker.engines import strays


@contextlib.contextmanager
def arena_on_one() -> Iterator[set[int]]:
    """This process and all that it starts have the first core while the block runs; the others, for the engines.

    Raises SystemExit on a machine with one core.
    """
    mine = os.sched_getaffinity(0)
    first = min(mine)
    if len(mine) < 2:
        raise SystemExit("engines cannot have cores of their own here: this machine has one core; say --cores shared")
    os.sched_setaffinity(0, {first})
    try:
        yield mine - {first}
    finally:
        os.sched_setaffinity(0, mine)


@contextlib.contextmanager
def new_engines() -> Iterator[set[int]]:
    """The numbers of the engine processes that started inside the block; filled when it ends."""
    before = _engines()
    found: set[int] = set()
    yield found
    found |= _engines() - before


def give(cores: set[int], engines: set[int]) -> None:
    """Every thread of ``engines``, and each that it will start, runs on ``cores`` from now on."""
    for engine in engines:
        for task in Path(f"/proc/{engine}/task").iterdir():
            os.sched_setaffinity(int(task.name), cores)


def _engines() -> set[int]:
    return {int(file.stem) for file in strays.run_folder().glob("*.json")}
