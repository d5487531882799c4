"""Loading and unloading goes on for months in one worker: what each load leaves behind must be nothing."""

from __future__ import annotations

import asyncio
import gc
import os

import pytest

from tests.engines import engine_processes, loaded, order, pieces, real, spec
from tests.real import cpu_catalog
from worker.engines.held import family, host_bytes

pytestmark = [*real, pytest.mark.long]

LOADS = 20
MAY_GROW = 0.05


def tree_bytes() -> int:
    """PSS of this process and all below it, the forkserver included."""
    gc.collect()
    held = host_bytes(family(os.getpid()))
    assert held is not None
    return held


def test_twenty_loads_and_unloads_leave_the_memory_where_it_was(capsys: pytest.CaptureFixture[str]) -> None:
    """The start is taken after every model was loaded once: by then vLLM is imported, here and in the forkserver, and
    each model's tokenizer has been read, all of which stay by design and are paid once."""
    models = [spec(m) for m in cpu_catalog().ids]

    async def round_trip(n: int) -> int:
        async with loaded(order(models[n % len(models)])) as engine:
            assert await pieces(engine, max_tokens=8)
        assert engine_processes() == []
        return tree_bytes()

    async def go() -> list[int]:
        for n in range(len(models)):
            await round_trip(n)
        return [tree_bytes(), *[await round_trip(n) for n in range(LOADS)]]

    seen = asyncio.run(go())
    with capsys.disabled():
        print(f"\nPSS of the tree, MiB, at the start and after each of {LOADS} loads:", [b // 2**20 for b in seen])
    assert max(seen[-3:]) <= seen[0] * (1 + MAY_GROW)
    assert min(seen[-3:]) >= seen[0] * (1 - MAY_GROW)
