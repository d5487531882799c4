"""One vLLM engine process behind the :class:`worker.engines.Engine` protocol, on the worker's asyncio loop.

Facts this rests on (vLLM 0.26 to 0.32): building an ``AsyncLLM`` blocks until the engine process is ready, so it
happens in a thread; a load that nobody waits for any more goes on until its process ends; sleeping with vLLM's default
mode ends running answers; waking from level 2 takes three steps, and vLLM checks none of them.

On a CPU sleep is a pause: scheduler, caches and the order of calls are vLLM's own, but no memory is given back.
"""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import signal
import traceback
from collections.abc import AsyncGenerator, Coroutine, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any, TypeVar

from worker.contract.catalog import ModelSpec
from worker.contract.jobs import Message, Sampling
from worker.engines import EngineOrder, Piece, canary
from worker.engines.adapters import Adapter, adapters
from worker.engines.arguments import engine_arguments
from worker.engines.held import Memory, family
from worker.engines.launch import prepare, start_llm
from worker.engines.prompting import as_input, prompt_tokens, sampling_params, template_of
from worker.errors import ContextOverflow, EngineDied, EngineError, LoadError
from worker.memory import Bytes, Tier
from worker.models import model_dir

_T = TypeVar("_T")


class VllmEngine:
    """An :class:`worker.engines.Engine` over one vLLM engine process."""

    def __init__(self, order: EngineOrder, models_dir: Path) -> None:
        self.spec = order.spec
        self._order = order
        self._dir = model_dir(models_dir, order.spec)
        self._adapters = adapters(order.adapters, models_dir)
        self._config: Any = None
        self._building: asyncio.Future[Any] | None = None
        self._others: set[int | None] = set()
        self._llm: Any = None
        self._tokenizer: Any = None
        self._canaries: canary.Canaries = {}
        self._memory = Memory(self.spec.tensor_parallel, order.kv_bytes)

    @property
    def alive(self) -> bool:
        return self._llm is not None and not self._llm.errored

    async def start(self) -> None:
        if not (self._dir / "config.json").is_file():
            raise LoadError(
                self.spec.id, f"its files are not in {self._dir}; fetch them: python -m worker.models fetch"
            )
        self._config = await self._in_thread(self._configure)

    def _configure(self) -> Any:
        """vLLM imported, and everything it decides before a process exists.

        Not in the same call as :meth:`_build`: errors that modules keep from their own import hold every frame below
        them for ever, and with them would hold the engine.
        """
        prepare(self._dir)
        from vllm import AsyncEngineArgs
        from vllm.usage.usage_lib import UsageContext

        arguments = engine_arguments(self._order, self._dir, self._adapters)
        return AsyncEngineArgs(**arguments).create_engine_config(UsageContext.ENGINE_CONTEXT)

    async def load(self) -> None:
        with self._memory.moving():
            self._others = {child.pid for child in multiprocessing.active_children()}
            self._building = asyncio.ensure_future(self._in_thread(self._build))
            self._llm = await asyncio.shield(self._building)
        self._tokenizer = self._llm.tokenizer
        for contender in (self.spec, *self._order.adapters):
            if template_of(self._tokenizer, contender, self.spec) is None:
                raise LoadError(contender.id, "it has no chat template; give one as chat_template in the catalog")
        try:
            for adapter in self._adapters.values():  # a broken one would else fail the first battle that asks for it
                await self._step(f"adapter {adapter.spec.id}", self._llm.add_lora(adapter.request()))
            if self._order.may_sleep:
                self._canaries = await self._step("canary", self._canary())
        except EngineError as error:
            raise LoadError(error.model, error.why) from None
        self._memory.loaded(self._llm)

    def _build(self) -> Any:
        return start_llm(self._config)

    async def _in_thread(self, step: Any) -> Any:
        """Raises LoadError without a cause: the traceback would keep a half-built engine alive."""
        why = ""
        try:
            return await asyncio.to_thread(step)
        except LoadError:
            raise
        except Exception as error:  # noqa: BLE001  raised below, once its frames are gone
            why = _described(error)
        raise LoadError(self.spec.id, why)

    async def generate(
        self, request_id: str, messages: Sequence[Message], sampling: Sampling, contender: ModelSpec | None = None
    ) -> AsyncGenerator[Piece, None]:
        from vllm.v1.engine.exceptions import EngineDeadError, EngineGenerateError

        spec = contender or self.spec
        adapter = self._adapter_of(spec)
        template = template_of(self._tokenizer, spec, self.spec)
        assert template is not None, "load() has seen to it"
        prompt = prompt_tokens(self._tokenizer, template, spec, messages)
        room = self.spec.max_model_len - len(prompt)
        if room < 1:
            raise ContextOverflow(len(prompt), self.spec.max_model_len)
        lora = adapter.request() if adapter else None
        answer = self._llm.generate(
            as_input(prompt), sampling_params(spec, sampling, room), request_id, lora_request=lora
        )
        count = 0
        try:
            # Without aclosing() an abandoned answer would go on being generated until the garbage collector came by.
            async with aclosing(answer) as outputs:
                async for out in outputs:
                    done = out.outputs[0]
                    count += len(done.token_ids)
                    reason = ("length" if done.finish_reason == "length" else "stop") if out.finished else None
                    if done.text or reason:
                        yield Piece(done.text, count, len(prompt), reason)  # type: ignore[arg-type]
        except (EngineDeadError, EngineGenerateError) as error:
            raise EngineDied(self.spec.id, type(error).__name__) from None

    def _adapter_of(self, contender: ModelSpec) -> Adapter | None:
        if contender.id == self.spec.id:
            return None
        if contender.id not in self._adapters:
            raise EngineError(self.spec.id, f"it was loaded without the adapter {contender.id}")
        return self._adapters[contender.id]

    async def sleep(self, tier: Tier) -> None:
        if not self._order.may_sleep:
            raise EngineError(self.spec.id, "it was loaded without what sleep needs")
        with self._memory.moving(offload=tier == "l1"):  # vLLM's default mode would end running answers
            await self._step("sleep", self._llm.sleep(1 if tier == "l1" else 2, mode="wait"))

    async def wake(self, tier: Tier) -> None:
        with self._memory.moving():
            await self._step("wake", self._llm.wake_up() if tier == "l1" else self._wake_from_nothing())
        if await self._step("wake", self._llm.is_sleeping()):
            raise EngineError(self.spec.id, "it sleeps on after being woken")

    async def _wake_from_nothing(self) -> None:
        """In one step vLLM would answer from memory it never filled, and say nothing."""
        await self._llm.wake_up(["weights"])
        await self._llm.collective_rpc("reload_weights")
        for adapter in self._adapters.values():
            await self._llm.remove_lora(adapter.number)
            await self._llm.add_lora(adapter.request())
        await self._llm.wake_up(["kv_cache"])

    async def verify(self) -> None:
        changed = canary.difference(self._canaries, await self._step("canary", self._canary()))
        if changed or not self._canaries:
            raise EngineError(self.spec.id, changed or "no canary was taken at load")

    async def _canary(self) -> canary.Canaries:
        contenders = {self.spec.id: None, **{a.spec.id: a.request() for a in self._adapters.values()}}
        return await canary.ask(self._llm, self._tokenizer, contenders)

    def held(self) -> Bytes | None:
        return None if self._llm is None else self._memory.now(self._llm)

    async def _step(self, what: str, step: Coroutine[Any, Any, _T]) -> _T:
        """Whatever goes wrong is the engine's fault, and vLLM never answers a call whose process ended meanwhile."""
        task = asyncio.ensure_future(step)
        try:
            while not task.done():
                await asyncio.wait([task], timeout=0.2)
                if not task.done() and not self.alive:
                    raise EngineDied(self.spec.id, f"{what}: its process ended")
            return task.result()
        except EngineError:
            raise
        except Exception as error:  # noqa: BLE001  vLLM's own kinds, and those of the engine process
            raise EngineError(self.spec.id, f"{what}: {_described(error)}") from None
        finally:
            task.cancel()

    async def unload(self) -> None:
        await self._stop_building()
        llm, self._llm = self._llm, None
        self._tokenizer = self._config = None
        if llm is None:
            return
        if (handler := llm.output_handler) is not None:
            handler.cancel()  # or it would report the engine it was told to stop as dead, with a traceback
        await asyncio.to_thread(llm.shutdown)

    async def _stop_building(self) -> None:
        """A load that was cut short goes on in its thread: end the process it waits for, until it gives up."""
        building, self._building = self._building, None
        if building is None:
            return
        while not building.done():
            for child in multiprocessing.active_children():
                if child.pid is not None and child.pid not in self._others:
                    for pid in family(child.pid):
                        with contextlib.suppress(ProcessLookupError):
                            os.kill(pid, signal.SIGKILL)
            await asyncio.wait([building], timeout=0.2)
        if self._llm is None and building.exception() is None:
            self._llm = building.result()


def _described(error: BaseException) -> str:
    """One line; and the frames of ``error`` let go of what they hold."""
    traceback.clear_frames(error.__traceback__)
    if "Engine core initialization failed" in str(error):
        return "its process ended while loading; what it wrote to the worker's log, marked EngineCore, says why"
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
