"""The mover's hands: each step of plan() done to one engine, in time, with what was learnt from it.

A step that fails or overruns ends the engine: half-awake or half-loaded memory is never trusted. Bytes are reserved in
the ledgers before a step begins and corrected by measurement after it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from worker.engines import EngineFactory, EngineOrder
from worker.errors import EngineError
from worker.memory import NOTHING, Tier
from worker.pool.meter import Meter
from worker.pool.sizes import Sizes
from worker.pool.slots import Slot
from worker.pool.states import EngineState, Load, Move, Sleep, Unload

log = logging.getLogger(__name__)

STEP_LIMIT_S = 120.0
"""Sleeping, waking and unloading take seconds; an engine that needs this long is broken."""
CRASH_BACKOFF_S = 1.0
"""After the first death; four times as long after each further one before an answer was finished."""
LONGEST_BACKOFF_S = 3600.0


class Hands:
    """``do`` one move at a time; ``set`` is how every change of a slot's view is made known."""

    def __init__(
        self,
        make_engine: EngineFactory,
        sizes: Sizes,
        *,
        clock: Callable[[], float],
        set_view: Callable[..., None],
        meter: Meter,
        may_sleep: bool,
        fail_backoff_s: float,
        load_timeout_s: float,
    ) -> None:
        self._make = make_engine
        self._sizes = sizes
        self._clock = clock
        self._set = set_view
        self._meter = meter
        self._may_sleep = may_sleep
        self._backoff = fail_backoff_s
        self._load_timeout = load_timeout_s

    async def do(self, slot: Slot, move: Move) -> None:
        """Never raises but CancelledError; what went wrong is in the slot's view."""
        if isinstance(move, Load):
            await self._load(slot)
        elif isinstance(move, Unload):
            await self._unload(slot, move.why)
        elif isinstance(move, Sleep):
            await self._sleep(slot, move.tier, move.why)
        else:
            await self._wake(slot)

    async def _load(self, slot: Slot) -> None:
        began = self._clock()
        model = slot.spec.id
        slot.engine = self._make(EngineOrder(slot.spec, slot.kv_bytes, slot.adapters, self._may_sleep))
        self._set(slot, state=EngineState.STARTING, why="", reserved=slot.view.footprint.resident)
        log.info("loading %s", model)
        try:
            async with asyncio.timeout(self._load_timeout):
                await slot.engine.start()
                self._set(slot, state=EngineState.LOADING)
                await slot.engine.load()
        except (EngineError, TimeoutError) as error:
            why = error.why if isinstance(error, EngineError) else f"not ready after {self._load_timeout:.0f} s"
            slot.failures += 1
            wait = min(self._backoff * 2 ** (slot.failures - 1), LONGEST_BACKOFF_S)
            await self._fail(slot, "load", why, wait)
            return
        took = self._clock() - began
        slot.failures = 0
        slot.loads += 1
        self._measure(slot)
        self._learn(slot, slot.loads, load_s=took)
        self._set(slot, state=EngineState.READY, last_used=self._clock(), reserved=slot.view.footprint.resident)
        self._meter.loaded(model, took)
        log.info("loaded %s in %.1f s", model, took)

    async def _wake(self, slot: Slot) -> None:
        began = self._clock()
        tier = slot.view.tier or "l1"
        assert slot.engine is not None
        resident = slot.view.footprint.resident
        self._set(slot, state=EngineState.WAKING, reserved=slot.view.reserved.most(resident))
        try:
            async with asyncio.timeout(STEP_LIMIT_S):
                await slot.engine.wake(tier)
                self._set(slot, state=EngineState.VERIFYING)
                await slot.engine.verify()
        except Exception as error:  # noqa: BLE001 (whatever it is, this memory is not to be trusted)
            await self._crashed(slot, "wake", _why(error))
            return
        took = self._clock() - began
        slot.wakes += 1
        self._learn(slot, slot.wakes, wake_s=took)
        self._set(slot, state=EngineState.READY, tier=None, last_used=self._clock(), reserved=resident)
        self._meter.woke(slot.spec.id, tier, took)
        log.info("woke %s (%s) in %.1f s", slot.spec.id, tier, took)

    async def _sleep(self, slot: Slot, tier: Tier, why: str) -> None:
        began = self._clock()
        assert slot.engine is not None
        asleep = slot.view.footprint.asleep(tier) or slot.view.footprint.resident
        self._set(slot, state=EngineState.DRAINING, reserved=slot.view.reserved.most(asleep))
        try:
            async with asyncio.timeout(STEP_LIMIT_S):
                await slot.engine.sleep(tier)
        except Exception as error:  # noqa: BLE001 (half asleep is no state to stay in)
            await self._crashed(slot, "sleep", _why(error))
            return
        took = self._clock() - began
        held = slot.engine.held()
        if held is not None and slot.view.footprint.resident.device:
            asleep = held
            if 2 * held.device > slot.view.footprint.resident.device:
                log.warning("%s frees too little when it sleeps; it will be unloaded instead", slot.spec.id)
                self._offer_no_sleep(slot)
            else:
                self._set(slot, footprint=replace(slot.view.footprint, **{tier: held}))
                self._sizes.learn(slot.spec, slot.kv_bytes, {tier: held}, {})
        self._learn(slot, 1 + slot.wakes, sleep_s=took)
        self._set(slot, state=EngineState.SLEEPING, tier=tier, reserved=asleep)
        self._meter.slept(slot.spec.id, tier, took)
        log.info("%s sleeps (%s) after %.1f s: %s", slot.spec.id, tier, took, why)

    async def _unload(self, slot: Slot, why: str) -> None:
        if why == "died":
            await self._crashed(slot, "died", "its process died")
            return
        began = self._clock()
        self._set(slot, state=EngineState.STOPPING)
        log.info("unloading %s: %s", slot.spec.id, why)
        await self._end(slot)
        took = self._clock() - began
        self._learn(slot, slot.loads, unload_s=took)
        self._set(slot, state=EngineState.COLD, tier=None, reserved=NOTHING)
        self._meter.unloaded(slot.spec.id, why, took)

    async def _crashed(self, slot: Slot, what: str, why: str) -> None:
        slot.crashes += 1
        await self._fail(slot, what, why, min(CRASH_BACKOFF_S * 4 ** (slot.crashes - 1), LONGEST_BACKOFF_S))

    async def _fail(self, slot: Slot, what: str, why: str, wait: float) -> None:
        self._set(slot, state=EngineState.STOPPING)
        await self._end(slot)
        until = self._clock() + wait
        self._set(slot, state=EngineState.FAILED, tier=None, failed_until=until, why=why, reserved=NOTHING)
        self._meter.failed(slot.spec.id, what)
        log.error("%s failed (%s), next try in %.0f s at the earliest: %s", slot.spec.id, what, wait, why)

    async def _end(self, slot: Slot) -> None:
        engine, slot.engine = slot.engine, None
        if engine is None:
            return
        try:
            async with asyncio.timeout(STEP_LIMIT_S):
                await engine.unload()
        except Exception as error:  # noqa: BLE001 (the slot must come free; what is left is reaped with the worker)
            log.error("%s could not be unloaded cleanly: %s", slot.spec.id, _why(error))

    def _measure(self, slot: Slot) -> None:
        held = slot.engine.held() if slot.engine is not None else None
        if held is not None:
            measured = self._sizes.measured(slot.spec, slot.kv_bytes, held, slot.view.footprint)
            self._set(slot, footprint=measured)
            self._sizes.learn(slot.spec, slot.kv_bytes, {"resident": measured.resident}, {})

    def _offer_no_sleep(self, slot: Slot) -> None:
        self._set(slot, footprint=replace(slot.view.footprint, l1=None, l2=None))

    def _learn(self, slot: Slot, times: int, **seconds: float) -> None:
        known = {name: _average(getattr(slot.view.costs, name), took, times) for name, took in seconds.items()}
        self._set(slot, costs=replace(slot.view.costs, **known))
        self._sizes.learn(slot.spec, slot.kv_bytes, {}, seconds)


def _average(known: float, took: float, times: int) -> float:
    """The first measurement replaces the guess; later ones move it half way."""
    return took if times <= 1 else 0.5 * known + 0.5 * took


def _why(error: Any) -> str:
    if isinstance(error, EngineError):
        return error.why
    return "took too long" if isinstance(error, TimeoutError) else type(error).__name__
