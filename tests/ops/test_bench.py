"""The benches count what they say they count."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from ops.bench import children, coresident, overhead
from ops.bench.__main__ import main
from ops.bench.report import paired, render
from worker.contract.catalog import load_catalog


def test_a_row_is_the_median_of_pairs() -> None:
    row = paired("x", "s", [1.0, 2.0, 9.0], [2.0, 8.0, 10.0])
    assert (row.ours, row.other, row.ratio, row.runs) == (2.0, 8.0, 0.5, 3)
    found = json.loads(render("load", "plain", [row], as_json=True))
    assert (found["bench"], found["other"], found["rows"][0]["ratio"]) == ("load", "plain", 0.5)


def test_tokens_of_all_streams_are_counted_and_the_last_first_token_is_the_worst() -> None:
    asked: list[tuple[str, str]] = []
    gate = asyncio.Event()

    async def quick(name: str, prompt: str, most: int) -> AsyncIterator[int]:
        asked.append((name, prompt))
        for count in range(1, most + 1):
            yield count
        gate.set()

    async def slow(name: str, prompt: str, most: int) -> AsyncIterator[int]:
        asked.append((name, prompt))
        await gate.wait()
        await asyncio.sleep(0.05)
        yield 3

    began = asyncio.run(coresident._measured([quick, slow], battles=2, tokens=5))
    rate, worst = began
    assert len({name for name, _ in asked}) == 4, "each request has its own id"
    assert [prompt for _, prompt in asked] == [p for p in coresident.PROMPTS[:2] for _ in range(2)]
    assert worst >= 0.05
    assert rate <= 16 / worst, "two answers of five and two of three, in no less than the worst first token"


def test_a_child_answers_in_a_process_without_our_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = tmp_path / "says_env.py"
    say = "children.answer([os.environ.get(name) for name in children.job()['names']])"
    module.write_text(f"import os\nfrom ops.bench import children\n{say}")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("VLLM_CPU_OMP_THREADS_BIND", "nobind")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    names = ["VLLM_CPU_OMP_THREADS_BIND", "OMP_NUM_THREADS", "VLLM_NO_USAGE_STATS"]
    assert children.ask("says_env", names=names) == [None, None, "1"]


def test_a_child_that_fails_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "fails.py").write_text("raise RuntimeError('no such engine')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(SystemExit, match="no such engine"):
        children.ask("fails")


@pytest.mark.parametrize("bench", ["load", "coresident"])
def test_a_model_that_is_not_in_the_catalog_is_refused_with_those_that_are(bench: str) -> None:
    with pytest.raises(SystemExit, match="it has smollm2-135m"):
        main([bench, "--models", "no-such-model,smollm2-135m"])


@pytest.mark.parametrize("model", ["qwen2.5-coder-0.5b", "echo"])
def test_overheads_pair_of_one_model_is_a_catalog(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, model: str) -> None:
    known = load_catalog(Path("ops/catalogs/cpu.toml")).models  # whether or not they have been fetched here
    monkeypatch.setattr("ops.bench.engines.specs", lambda _, names: [spec for spec in known if spec.id in names])
    (tmp_path / "pair.toml").write_text(overhead.pair_of("ops/catalogs/cpu.toml", model))
    assert [spec.id for spec in load_catalog(tmp_path / "pair.toml").models] == list(overhead.PAIR)
