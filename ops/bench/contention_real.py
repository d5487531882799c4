"""The contention bench with real engines: one pool, its plan or a first-in first-out server's, the same battles.

Each contender is a fresh process in which every engine has been loaded once before anything counts. Both run the same
``Pool``, so moves, leases and engines are the same code; what decides is all that differs. Battles arrive at the same
random moments, for the same pairs, with the same prompts.
"""

from __future__ import annotations

import asyncio
import time
from random import Random
from typing import Any

from ops.bench import children
from ops.bench.baselines import sharing, used_last
from ops.bench.report import Row
from ops.bench.simulation import Outcome
from worker.contract.catalog import Catalog, load_catalog
from worker.contract.jobs import Message, Sampling
from worker.engines import EngineOrder, engine_factory
from worker.errors import Refused
from worker.pool import line
from worker.pool.meter import NoMeter
from worker.pool.pool import Pool
from worker.pool.states import Plan
from worker.settings import default_models_dir

PROMPTS = (
    "Explain why the sky is blue.",
    "Write a short poem about rain.",
    "What is a hash table and when is it useful?",
    "Give three tips for learning a language.",
)
SEED = 1


class FirstInFirstOut(Pool):
    """The same pool where LRU, served first-in first-out, decides."""

    def planned(self) -> Plan:
        return sharing(used_last)(self.state(), self.queue(), self.clock())


class _Loads(NoMeter):
    def __init__(self) -> None:
        self.count = 0

    def loaded(self, model: str, seconds: float) -> None:
        self.count += 1


def measured(catalog: str, battles: int, rate: float, tokens: int) -> tuple[str, list[Row]]:
    """Rows for the report; raises SystemExit with what was said when a side fails."""
    from ops.bench.contention import OURS, compared, kept

    asked = {"catalog": catalog, "battles": battles, "rate": rate, "tokens": tokens}
    ours, other = (Outcome(**children.ask(__name__, who=who, **asked)) for who in (OURS, "LRU"))
    models = ", ".join(m.id for m in _three(catalog).models)
    head = (
        f"LRU, served first-in first-out by the same pool; {battles} battles of {models}, two fit, {rate:g} battles/s, "
        f"{tokens} tokens a side at most; real engines on this machine"
    )
    return head, [*compared("real against LRU", [ours], [other]), *kept("real", [ours], battles)]


def _three(catalog: str) -> Catalog:
    entries = load_catalog(children.ROOT / catalog).models[:3]
    if len(entries) < 3:
        raise SystemExit(f"{catalog} has {len(entries)} models; contention needs three")
    return Catalog(entries)


async def _served(who: str, catalog: Catalog, battles: int, rate: float, tokens: int) -> Outcome:
    make = engine_factory(default_models_dir())
    for spec in catalog.models:
        engine = make(EngineOrder(spec, int(spec.kv_bytes)))
        await engine.start()
        await engine.load()
        await engine.unload()
    loads, changed = _Loads(), asyncio.Event()
    pool = (Pool if who == "ours" else FirstInFirstOut)(catalog, make, meter=loads, on_change=changed.set)
    pool.start()
    try:
        return await _arena(pool, catalog, loads, battles, rate, tokens)
    finally:
        await pool.close()


async def _arena(pool: Pool, catalog: Catalog, loads: _Loads, battles: int, rate: float, tokens: int) -> Outcome:
    out = Outcome()
    ids = list(catalog.ids)
    async with pool.lease("warm", ids[:2]):
        pass  # the first two are in memory before anything counts
    loads.count = 0
    dice = Random(SEED)  # noqa: S311 - a bench
    began = time.monotonic()

    async def battle(number: int, pair: list[str]) -> None:
        arrived = time.monotonic()
        try:
            async with pool.lease(f"b{number}", pair, session=str(number)) as lease:
                out.waits.append(time.monotonic() - arrived)
                message = (Message("user", PROMPTS[number % len(PROMPTS)]),)
                answers = [_answer(c, f"{number}-{m}", message, tokens) for m, c in lease.contenders.items()]
                await asyncio.gather(*answers)
                out.cut += lease.preempted.is_set()
        except Refused:
            out.refused += 1

    async with asyncio.TaskGroup() as all_battles:
        for number in range(battles):
            await asyncio.sleep(dice.expovariate(rate))
            all_battles.create_task(battle(number, dice.sample(ids, 2)))
    out.seconds = time.monotonic() - began
    out.loads = loads.count
    out.bound_s = max(line.bound_s(pool.state(), {a, b}, pool.rules) for a in ids for b in ids if a != b)
    return out


async def _answer(contender: Any, name: str, message: tuple[Message, ...], tokens: int) -> None:
    async for _ in contender.generate(name, message, Sampling(max_tokens=tokens)):
        pass


if __name__ == "__main__":
    from dataclasses import asdict

    asked = children.job()
    work = _served(asked["who"], _three(asked["catalog"]), asked["battles"], asked["rate"], asked["tokens"])
    children.answer(asdict(asyncio.run(work)))
