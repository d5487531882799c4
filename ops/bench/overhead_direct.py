"""The other of ``overhead``: the same engines in one process, asked by nothing but a pipe."""

from __future__ import annotations

import asyncio
import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ops.bench.arena import ROOT

SETTLE_S = 0.5
"""Before either is measured, for what came before to come to rest."""


@dataclass(frozen=True, slots=True)
class Run:
    """``first_s``: of every side of every battle, in the order of the prompts; ``rate``: tokens/s of all together."""

    first_s: list[float]
    rate: float


@contextlib.contextmanager
def answering(catalog: Path, max_tokens: int) -> Iterator[Any]:
    """A function from prompts to a Run, answered by a process that holds both engines."""
    command = [sys.executable, "-m", "ops.bench.overhead_direct", str(catalog), str(max_tokens)]
    with tempfile.TemporaryFile() as said:
        child = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=said, text=True
        )
        assert child.stdin is not None
        assert child.stdout is not None
        into, out = child.stdin, child.stdout

        def answered() -> Any:
            for line in out:
                if line.startswith(_MARK):
                    return json.loads(line.removeprefix(_MARK))
            said.seek(0)
            raise SystemExit(f"the engines ended:\n{said.read().decode(errors='replace')[-3000:]}")

        def ask(prompts: Sequence[str], apart: float) -> Run:
            time.sleep(SETTLE_S)
            print(json.dumps([list(prompts), apart]), file=into, flush=True)
            return Run(**answered())

        try:
            answered()  # ready
            yield ask
        finally:
            into.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                child.wait(60)
            child.kill()
            child.wait()


_MARK = "overhead> "


async def _serve(catalog: str, max_tokens: int) -> None:
    from ops.bench.engines import order
    from worker.contract.catalog import load_catalog
    from worker.engines import engine_factory
    from worker.settings import default_models_dir

    make = engine_factory(default_models_dir())
    engines = [make(order(spec)) for spec in load_catalog(Path(catalog)).models]
    try:
        for engine in engines:
            await engine.start()
            await engine.load()
        print(_MARK + "true", flush=True)
        while line := await asyncio.to_thread(sys.stdin.readline):
            prompts, apart = json.loads(line)
            print(_MARK + json.dumps(await _ask(engines, prompts, apart, max_tokens)), flush=True)
    finally:
        for engine in engines:
            await engine.unload()


async def _ask(engines: Sequence[Any], prompts: Sequence[str], apart: float, max_tokens: int) -> dict[str, Any]:
    from worker.contract.jobs import Message, Sampling

    start = time.monotonic()

    async def one(engine: Any, name: str, prompt: str, at: float) -> tuple[int, float]:
        await asyncio.sleep(max(0.0, at - time.monotonic()))
        began = time.monotonic()
        count, first = 0, 0.0
        async for piece in engine.generate(name, (Message("user", prompt),), Sampling(max_tokens=max_tokens)):
            if piece.text and not first:
                first = time.monotonic() - began
            count = piece.completion_tokens
        return count, first

    asks = [
        one(engine, f"{start}.{n}.{m}", prompt, start + apart * n)
        for n, prompt in enumerate(prompts)
        for m, engine in enumerate(engines)
    ]
    answers = await asyncio.gather(*asks)
    return {"first_s": [f for _, f in answers], "rate": sum(c for c, _ in answers) / (time.monotonic() - start)}


if __name__ == "__main__":
    asyncio.run(_serve(sys.argv[1], int(sys.argv[2])))
