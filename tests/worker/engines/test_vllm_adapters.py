"""LoRA adapters on a real engine: one process answers as the base and as every adapter over it, at once."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.adapters import adapter_spec, make_adapter, write_config
from tests.engines import HELLO, engine_processes, greedy, loaded, order, pieces, real, spec, with_engines
from tests.real import models_dir
from worker.contract.catalog import ModelSpec, SamplingDefaults
from worker.contract.jobs import Sampling
from worker.engines.adapters import adapters, lora_arguments
from worker.engines.vllm import VllmEngine
from worker.errors import EngineError, LoadError
from worker.memory import Tier

pytestmark = real


@pytest.fixture
def idle(tmp_path: Path) -> ModelSpec:
    """Changes nothing."""
    return adapter_spec("idle", spec(), make_adapter(tmp_path / "idle", models_dir() / spec().id, strength=0.0))


@pytest.fixture
def loud(tmp_path: Path) -> ModelSpec:
    """Changes everything."""
    return adapter_spec(
        "loud", spec(), make_adapter(tmp_path / "loud", models_dir() / spec().id, strength=0.02, rank=12)
    )


def test_one_process_answers_as_the_base_and_as_each_adapter_at_once(idle: ModelSpec, loud: ModelSpec) -> None:
    async def body(engine: VllmEngine) -> None:
        assert len(engine_processes()) == 1
        base, same, other = [await greedy(engine, c) for c in (None, idle, loud)]
        assert same == base, "an adapter whose second matrices are zero adds nothing"
        assert other != base

        for _ in range(3):
            mixed = await asyncio.gather(*(greedy(engine, c) for c in (loud, None, idle, None, loud)))
            assert mixed == [other, base, same, base, other], "nobody's weights leak into another's answer"

        streams = [engine.generate(f"at once {c}", HELLO, Sampling(max_tokens=40), c) for c in (None, idle, loud)]
        for stream in streams:
            assert (await anext(stream)).completion_tokens >= 1
        assert engine._llm.get_num_unfinished_requests() == 3
        for stream in streams:
            await stream.aclose()

    with_engines(body, order(adapters=(idle, loud)))


def test_an_adapter_speaks_with_its_own_prompt_limits_and_template(tmp_path: Path) -> None:
    folder = make_adapter(tmp_path / "own", models_dir() / spec().id, strength=0.0)
    terse = adapter_spec("terse", spec(), folder, max_tokens=3, sampling=SamplingDefaults(temperature=0.0))
    primed = adapter_spec("primed", spec(), folder, system_prompt="word " * 50)
    bare = adapter_spec("bare", spec(), folder, chat_template="{{ messages[-1].content }}", system_prompt="")

    async def body(engine: VllmEngine) -> None:
        said = {c.id: await pieces(engine, contender=c) for c in (spec(), terse, primed, bare)}
        assert said["terse"][-1].completion_tokens == 3
        assert said["terse"][-1].finish_reason == "length"
        base = said[spec().id][0].prompt_tokens
        assert said["primed"][0].prompt_tokens > base + 40
        assert said["bare"][0].prompt_tokens < base

    with_engines(body, order(adapters=(terse, primed, bare)))


@pytest.mark.parametrize("tier", ["l1", "l2"])
def test_adapters_wake_with_their_base(tier: Tier, idle: ModelSpec, loud: ModelSpec) -> None:
    async def body(engine: VllmEngine) -> None:
        before = [await greedy(engine, c) for c in (None, idle, loud)]
        await engine.sleep(tier)
        await engine.wake(tier)
        await engine.verify()
        assert [await greedy(engine, c) for c in (None, idle, loud)] == before

    with_engines(body, order(adapters=(idle, loud), may_sleep=True))


def test_an_adapter_lost_in_sleep_is_found_by_its_canary(loud: ModelSpec) -> None:
    async def body(engine: VllmEngine) -> None:
        await engine.sleep("l1")
        await engine.wake("l1")
        make_adapter(Path(loud.lora.path + "-new"), models_dir() / spec().id, strength=0.0)  # type: ignore[union-attr]
        await engine._llm.remove_lora(1)
        Path(loud.lora.path).rename(loud.lora.path + "-old")  # type: ignore[union-attr]
        Path(loud.lora.path + "-new").rename(loud.lora.path)  # type: ignore[union-attr]
        with pytest.raises(EngineError, match="the canary of loud"):
            await engine.verify()

    with_engines(body, order(adapters=(loud,), may_sleep=True))


def test_a_contender_the_engine_was_not_loaded_with_is_refused(idle: ModelSpec, loud: ModelSpec) -> None:
    async def body(engine: VllmEngine) -> None:
        with pytest.raises(EngineError, match="without the adapter loud"):
            await pieces(engine, contender=loud)
        assert engine.alive

    with_engines(body, order(adapters=(idle,)))


def test_an_adapter_vllm_cannot_take_fails_the_load_and_is_named(tmp_path: Path) -> None:
    folder = make_adapter(tmp_path / "dora", models_dir() / spec().id, strength=0.1)
    write_config(folder, r=4, target_modules=["q_proj", "v_proj"], use_dora=True)

    async def go() -> None:
        async with loaded(order(adapters=(adapter_spec("dora", spec(), folder),))):
            raise AssertionError("it loaded")

    with pytest.raises(LoadError, match=rf"^{spec().id}: adapter dora: .*DoRA") as refused:
        asyncio.run(go())
    assert "\n" not in str(refused.value)
    assert engine_processes() == []


def arguments(*specs: ModelSpec) -> dict[str, Any]:
    return lora_arguments(adapters(specs, models_dir()), cpu=False)


def test_the_rank_is_the_largest_one_rounded_to_what_vllm_knows(tmp_path: Path) -> None:
    write_config(tmp_path / "small", r=4)
    write_config(tmp_path / "mixed", r=8, rank_pattern={"q_proj": 40})
    small, mixed = (adapter_spec(name, spec(), tmp_path / name) for name in ("small", "mixed"))
    assert arguments() == {}
    assert arguments(small)["max_lora_rank"] == 8
    assert arguments(small, mixed)["max_lora_rank"] == 64
    assert arguments(small, mixed)["max_loras"] == 2


def test_a_folder_without_an_adapter_says_what_is_missing(tmp_path: Path) -> None:
    for name, text in {"broken": "{", "strange": '{"lora_alpha": 8}'}.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "adapter_config.json").write_text(text)
    with pytest.raises(LoadError, match=r"absent: no adapter_config.json in .*python -m worker\.models fetch"):
        arguments(adapter_spec("absent", spec(), tmp_path / "nowhere"))
    for name in ("broken", "strange"):
        with pytest.raises(LoadError, match=f"{name}: .* is no adapter's"):
            arguments(adapter_spec(name, spec(), tmp_path / name))
    write_config(tmp_path / "huge", r=4096)
    with pytest.raises(LoadError, match="huge: its rank is 4096; vLLM takes at most"):
        arguments(adapter_spec("huge", spec(), tmp_path / "huge"))
