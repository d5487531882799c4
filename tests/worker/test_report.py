"""What a worker says of its line, so that others send there what a load that comes anyway would serve."""

from __future__ import annotations

import asyncio

from msgspec.structs import replace

from tests.worker.conftest import Hand, spec
from tests.worker.pool.stage import Clock, run, until
from worker.contract.catalog import Catalog, Lora
from worker.contract.residency import Residency
from worker.pool.pool import Pool
from worker.report import report_of


def test_a_report_names_every_job_that_would_find_others_waiting_for_its_engines(hand: Hand) -> None:
    tuned = replace(spec("tuned"), lora=Lora("ant", path="x"))
    catalog = Catalog((spec("ant"), tuned, spec("bee"), spec("cat")))

    async def body(pool: Pool, clock: Clock) -> Residency:
        assert report_of(pool, "w", True).waits == ()
        async with pool.lease("1", ["bee", "cat"]):
            waiter = asyncio.ensure_future(pool.lease("2", ["ant", "bee"]).__aenter__())
            await until(lambda: pool.waiting == 1)
            report = report_of(pool, "w", True)
            waiter.cancel()
            await asyncio.gather(waiter, return_exceptions=True)
        return report

    report: Residency = run(catalog, hand, body)
    assert set(report.waits) == {"ant|bee", "bee|tuned"}
