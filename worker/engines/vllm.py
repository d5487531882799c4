"""The only place vLLM is touched: one AsyncLLM per catalog entry, on the worker's asyncio loop.

Facts this module rests on (vLLM 0.26 to 0.32): ``AsyncLLM.from_engine_args`` blocks until the engine process is ready,
so it runs in a thread; ``kv_cache_memory_bytes`` skips memory profiling, which two engines would otherwise spoil for
each other; on the CPU ``VLLM_ENABLE_V1_MULTIPROCESSING=0`` leaves one process per engine, and one unbound OpenMP thread
keeps two engines on two cores from fighting (the default binding puts both on the same core).
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any

from worker.contract.catalog import ModelSpec
from worker.contract.jobs import Message, Sampling
from worker.engines import EngineOrder, Piece
from worker.engines.launch import on_cpu, prepare_environment
from worker.errors import ContextOverflow, EngineDied, EngineError, LoadError
from worker.memory import Bytes, Tier
from worker.models import model_dir

log = logging.getLogger(__name__)

GPU_OVERHEAD = int(1.1 * 2**30)
"""Bytes an engine takes on a GPU besides weights and cache: context, activations, graphs. An estimate."""


class VllmEngine:
    """An :class:`worker.engines.Engine` over one vLLM engine process."""

    def __init__(self, order: EngineOrder, models_dir: Path) -> None:
        self.spec = spec = order.spec
        self._order = order
        self._dir = Path(spec.path).expanduser() if spec.path else model_dir(models_dir, spec)
        self._llm: Any = None
        self._tokenizer: Any = None
        self._template: str | None = spec.chat_template or None

    @property
    def alive(self) -> bool:
        return self._llm is not None and not self._llm.errored

    async def start(self) -> None:
        if not (self._dir / "config.json").is_file():
            raise LoadError(
                self.spec.id, f"its files are not in {self._dir}; fetch them: python -m worker.models fetch"
            )
        await asyncio.to_thread(prepare_environment)

    async def load(self) -> None:
        try:
            self._llm = await asyncio.to_thread(self._start)
        except Exception as error:
            raise LoadError(self.spec.id, f"{type(error).__name__}: {error}") from error
        self._tokenizer = self._llm.tokenizer
        if self._template is None and not getattr(self._tokenizer, "chat_template", None):
            raise LoadError(self.spec.id, "it has no chat template; give one as chat_template in the catalog")

    def _start(self) -> Any:
        from vllm import AsyncEngineArgs
        from vllm.v1.engine.async_llm import AsyncLLM

        from worker.engines import forkserver

        args = AsyncEngineArgs(
            model=str(self._dir),
            served_model_name=self.spec.id,
            max_model_len=self.spec.max_model_len,
            max_num_seqs=self.spec.max_num_seqs,
            dtype=self.spec.dtype,
            quantization=self.spec.quantization,
            kv_cache_memory_bytes=self._order.kv_bytes,
            tensor_parallel_size=self.spec.tensor_parallel,
            enforce_eager=on_cpu(),
            **({} if on_cpu() else {"gpu_memory_utilization": self._gpu_share()}),
            seed=secrets.randbelow(2**31),  # vLLM's default of 0 would give the same answers after every load
            disable_log_stats=True,
            enable_log_requests=False,
        )
        if on_cpu():
            forkserver.use_for_vllm()
        return AsyncLLM.from_engine_args(args)

    def _gpu_share(self) -> float:
        """The part of the device this engine will take; vLLM refuses to start when less than that is free.

        With vLLM's default of 0.92 no second engine would ever start. The size of the cache is fixed by ``kv_bytes``
        whatever this says.
        """
        from vllm.platforms import current_platform

        weights = int(self.spec.weights_bytes) or sum(f.stat().st_size for f in self._dir.glob("*.safetensors"))
        planned = weights / self.spec.tensor_parallel + self._order.kv_bytes + GPU_OVERHEAD
        return float(min(planned / current_platform.get_device_total_memory(), 0.98))

    async def generate(
        self, request_id: str, messages: Sequence[Message], sampling: Sampling, contender: ModelSpec | None = None
    ) -> AsyncGenerator[Piece, None]:
        from vllm.v1.engine.exceptions import EngineDeadError, EngineGenerateError

        prompt = self._prompt(messages)
        room = self.spec.max_model_len - len(prompt)
        if room < 1:
            raise ContextOverflow(len(prompt), self.spec.max_model_len)
        params = self._params(sampling, room)
        count = 0
        try:
            # Without aclosing() an abandoned answer would go on being generated until the garbage collector came by.
            async with aclosing(self._llm.generate(_tokens(prompt), params, request_id)) as outputs:
                async for out in outputs:
                    done = out.outputs[0]
                    count += len(done.token_ids)
                    reason = ("length" if done.finish_reason == "length" else "stop") if out.finished else None
                    if done.text or reason:
                        yield Piece(done.text, count, len(prompt), reason)  # type: ignore[arg-type]
        except (EngineDeadError, EngineGenerateError) as error:
            raise EngineDied(self.spec.id, type(error).__name__) from None

    def _prompt(self, messages: Sequence[Message]) -> list[int]:
        turns = [{"role": m.role, "content": m.content} for m in messages]
        if self.spec.system_prompt and (not turns or turns[0]["role"] != "system"):
            turns.insert(0, {"role": "system", "content": self.spec.system_prompt})
        ids = self._tokenizer.apply_chat_template(
            turns, chat_template=self._template, add_generation_prompt=True, tokenize=True, return_dict=False
        )
        return list(ids)

    def _params(self, sampling: Sampling, room: int) -> Any:
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        own = self.spec.sampling
        limit = min(sampling.max_tokens or self.spec.max_tokens, self.spec.max_tokens, room)
        return SamplingParams(
            max_tokens=limit,
            temperature=own.temperature if sampling.temperature is None else sampling.temperature,
            top_p=own.top_p if sampling.top_p is None else sampling.top_p,
            min_p=own.min_p,
            repetition_penalty=own.repetition_penalty,
            seed=sampling.seed,
            stop=[*self.spec.stop, *sampling.stop] or None,
            output_kind=RequestOutputKind.DELTA,
        )

    async def sleep(self, tier: Tier) -> None:
        raise EngineError(self.spec.id, "cannot sleep")

    async def wake(self, tier: Tier) -> None:
        raise EngineError(self.spec.id, "cannot sleep")

    async def verify(self) -> None:
        raise EngineError(self.spec.id, "cannot sleep")

    def held(self) -> Bytes | None:
        return None

    async def unload(self) -> None:
        llm, self._llm = self._llm, None
        self._tokenizer = None
        if llm is None:
            return
        if (handler := llm.output_handler) is not None:
            handler.cancel()  # or it would report the engine it was told to stop as dead, with a traceback
        await asyncio.to_thread(llm.shutdown)


def _tokens(prompt: list[int]) -> Any:
    try:
        from vllm.inputs.engine import tokens_input
    except ImportError:  # before 0.27 a plain dictionary was the way
        return {"prompt_token_ids": prompt}
    return tokens_input(prompt)
