"""What happens before an engine exists, and what must not happen after its worker has gone."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.engines import greedy, real, with_engines
from tests.processes import ROOT, Process, wait_for
from worker.engines import forkserver, launch
from worker.engines.vllm import VllmEngine

OWNER = """
import asyncio, sys
from tests.engines import greedy, order
from tests.real import models_dir
from worker.engines import forkserver
from worker.engines.vllm import VllmEngine

async def live():
    if sys.argv[1] == "spawned":
        forkserver.PRELOAD = "no.such.module"
    engine = VllmEngine(order(), models_dir())
    print("now starting", flush=True)
    await engine.start()
    print("now loading", flush=True)
    await engine.load()
    assert await greedy(engine)
    print("now ready", type(forkserver.engine_context()).__name__, flush=True)
    await asyncio.Event().wait()

if __name__ == "__main__":
    asyncio.run(live())
"""


def test_the_architectures_of_a_folder_of_models_are_found_and_broken_files_passed_over(tmp_path: Path) -> None:
    for name, text in {
        "a": '{"architectures": ["LlamaForCausalLM"]}',
        "b": '{"architectures": ["Qwen2ForCausalLM", 3, "With,Comma"]}',
        "c": "{",
        "d": "[]",
        "e": "{}",
    }.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(text)
    (tmp_path / "f").mkdir()
    assert launch.architectures(tmp_path) == {"LlamaForCausalLM", "Qwen2ForCausalLM"}


class _Belongings:
    """Everything that a process has started, known by a variable in its environment: parents may be gone by now."""

    def __init__(self, folder: Path) -> None:
        self._mark = str(folder)

    def __call__(self) -> list[psutil.Process]:
        return [p for p in psutil.process_iter() if self._ours(p)]

    def _ours(self, process: psutil.Process) -> bool:
        try:
            alive = process.status() != psutil.STATUS_ZOMBIE
            return alive and process.environ().get("TMPDIR") == self._mark
        except psutil.Error:
            return False


def _server(all_of_it: _Belongings) -> bool:
    return any("forkserver" in " ".join(p.cmdline()) for p in all_of_it())


@pytest.mark.real
@real[1]
@pytest.mark.parametrize(
    "state", ["loading", *(pytest.param(state, marks=pytest.mark.long) for state in ("starting", "ready", "spawned"))]
)
def test_five_seconds_after_its_worker_was_killed_no_engine_process_is_left(tmp_path: Path, state: str) -> None:
    env = {"TMPDIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    script = tmp_path / "owner.py"
    script.write_text(OWNER)
    owner = Process("owner", [sys.executable, str(script), state], env, tmp_path)
    belongings = _Belongings(tmp_path)
    reached: dict[str, Callable[[], Any]] = {
        "starting": lambda: "now starting" in owner.text() and _server(belongings),
        "loading": lambda: list(tmp_path.glob("llm-arena-*/engines/*.json")),
        "ready": lambda: "now ready _ForkContext" in owner.text(),
        "spawned": lambda: "now ready _SpawnContext" in owner.text(),
    }
    try:
        owner.start()
        wait_for(state, reached[state], timeout=240, process=owner)
        before = belongings()
        assert len(before) >= 2, "the worker and what it has started"
        owner.signal(signal.SIGKILL)
        owner.wait()
        _, left = psutil.wait_procs(before, timeout=5)
        left = [p for p in left if p in belongings()]
        assert left == [], [(p.name(), p.cmdline(), p.ppid()) for p in left]
        assert belongings() == [], "nor has anything come to be meanwhile"
    finally:
        owner.stop()
        for left in belongings():
            left.kill()


@pytest.mark.real
@real[1]
@pytest.mark.parametrize("kind", ["cpu", "gpu"])
def test_what_engines_need_can_be_imported_without_a_thread_or_a_cuda_context(kind: str) -> None:
    """For GPUs too, as far as a machine without one can tell."""
    script = "import json; from worker.engines import preload; print('report', json.dumps(preload.report))"
    env = {**os.environ, "ARENA_ENGINE_PRELOAD": f"{kind},LlamaForCausalLM,NoSuchArchitecture", "OMP_NUM_THREADS": "1"}
    ran = subprocess.run([sys.executable, "-c", script], cwd=ROOT, env=env, capture_output=True, text=True, check=True)
    [line] = [line for line in ran.stdout.splitlines() if line.startswith("report ")]
    report = json.loads(line.removeprefix("report "))
    assert list(report["missing"]) == ["NoSuchArchitecture"]
    assert (report["needed"], report["cuda"], report["threads"]) == (True, False, 1)


class TestOneEngine:
    """On a real engine in this process."""

    pytestmark = real

    def test_it_is_forked_reads_its_tokenizer_beside_the_weights_and_answers(self) -> None:
        async def body(engine: VllmEngine) -> None:
            assert type(forkserver.engine_context()).__name__ == "_ForkContext"
            assert forkserver._began == forkserver._environment(), "vLLM preloads the libraries that we had named"
            llm = engine._llm
            assert llm.tokenizer is llm.output_processor.tokenizer
            assert llm.tokenizer.chat_template
            assert await greedy(engine)

        with_engines(body)

    def test_where_vllm_keeps_its_tokenizer_elsewhere_it_is_read_first(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def body(engine: VllmEngine) -> None:
            assert engine._llm.tokenizer is not None
            assert await greedy(engine)

        launch.prepare_environment()
        from vllm.v1.engine.output_processor import OutputProcessor

        def made_otherwise(self: Any, *args: Any, **kwargs: Any) -> None:
            original(self, *args, **kwargs)

        original = OutputProcessor.__init__
        monkeypatch.setattr(OutputProcessor, "__init__", made_otherwise)
        caplog.set_level("INFO", logger="worker.engines.launch")
        with_engines(body)
        assert "OutputProcessor takes it from elsewhere" in caplog.text

    def test_a_second_one_imports_nothing_again(self) -> None:
        """In the same worker; compared with the seconds that the first spent on imports alone."""
        began = time.monotonic()

        async def body(engine: VllmEngine) -> None:
            report = forkserver._ask()
            assert report is not None
            assert time.monotonic() - began < report["seconds"]

        with_engines(body)
