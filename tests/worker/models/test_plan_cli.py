"""``python -m worker.models plan`` as an operator types it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.processes import ROOT
from tests.real import needs_models
from worker.models.cli import main

SEED_NOTES = Path(__file__).with_name("seed_notes.toml")
CATALOGS = ROOT / "ops" / "catalogs"


def plan(models_dir: Path, catalog: Path, *more: str) -> int:
    return main(["plan", "--catalog", str(catalog), "--models-dir", str(models_dir), *more])


def test_the_t4_catalog_fits_two_at_a_time(models_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert plan(models_dir, CATALOGS / "t4.toml", "--gpu-memory", "14.5GiB", "--host-memory", "16GiB") == 0
    said = capsys.readouterr()
    lines = said.out.splitlines()
    assert lines[1] == "within 14.5 GiB of GPU memory, 16 GiB of host memory, 2 engines at once"
    (llama,) = (line for line in lines if line.startswith("llama-3.1-8b  "))
    cells = [cell.strip() for cell in llama.split("  ") if cell.strip()]
    assert cells[1:6] == ["5.3 GiB", "128 KiB", "896 MiB = 7168 tokens", "1.1 GiB", "7.3 + 2.0 GiB"]
    assert cells[-1] == "catalog"
    assert any(
        line.startswith("llama-3.1-8b + qwen-2.5-7b") and "14.24 GiB" in line and "fits" in line for line in lines
    )
    assert lines[-1] == "Every pair fits."
    assert said.err == ""
    assert max(map(len, lines)) <= 120


def test_an_impossible_catalog_is_status_1_and_one_line_a_model_with_file_reason_and_fix(
    models_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert plan(models_dir, SEED_NOTES, "--gpu-memory", "15GiB", "--host-memory", "16GiB") == 1
    said = capsys.readouterr()
    assert "0 of 3 pairs fit, and the worker refuses to start:" in said.out
    first, *others = said.err.splitlines()
    assert first == (
        f"models: {SEED_NOTES}: llama-3.1-8b: needs 17.09 GiB of GPU memory, and there are 15.00 GiB; "
        "use the AWQ build (4-bit weights, about 6.0 GB)"
    )
    assert len(others) == 2


def test_pairs_that_take_turns_are_a_warning_and_status_0(models_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert plan(models_dir, CATALOGS / "t4.toml", "--gpu-memory", "13GiB", "--host-memory", "16GiB") == 0
    out = capsys.readouterr().out
    assert "1 of 3 pairs fit; the others are answered one side after the other." in out
    assert "warning: llama-3.1-8b + qwen-2.5-7b: one at a time only" in out


def test_with_one_engine_at_once_the_freed_memory_is_cache(
    models_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    args = ("--gpu-memory", "14.5GiB", "--host-memory", "16GiB", "--capacity", "1")
    assert plan(models_dir, CATALOGS / "t4.toml", *args) == 0
    out = capsys.readouterr().out
    assert "one engine at once" in out
    assert "65536 tokens" in out  # 16 answers of 4096: more would be of no use


def test_what_cannot_be_known_before_the_fetch_is_said(
    models_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bare = tmp_path / "bare.toml"
    text = SEED_NOTES.read_text()
    kept = [line for line in text.splitlines() if not line.startswith(("weights_bytes", "kv_bytes_per_token"))]
    bare.write_text("\n".join(kept))
    assert plan(models_dir, bare, "--gpu-memory", "15GiB") == 0
    assert capsys.readouterr().out.count("unknown until fetched") >= 6


@pytest.mark.parametrize(("file", "gpu"), [(CATALOGS / "t4.toml", "14.5GiB"), (SEED_NOTES, "15GiB")])
def test_the_readme_shows_what_is_printed(
    models_dir: Path, capsys: pytest.CaptureFixture[str], file: Path, gpu: str
) -> None:
    plan(models_dir, file, "--gpu-memory", gpu, "--host-memory", "16GiB")
    said = capsys.readouterr()
    readme = (ROOT / "README.md").read_text()
    assert said.out in readme
    assert said.err.replace(f"{ROOT}/", "") in readme


def test_json_says_the_same_in_bytes(models_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert plan(models_dir, SEED_NOTES, "--gpu-memory", "15GiB", "--host-memory", "16GiB", "--json") == 1
    found = json.loads(capsys.readouterr().out)
    assert found["ok"] is False
    assert found["budget"] == {"device": 15 * 2**30, "host": 16 * 2**30}
    assert found["models"][0]["kv_tokens"] == 8192
    assert found["models"][0]["weights"] == 16_100_000_000
    assert [t["fits"] for t in found["together"]] == [False, False, False]
    assert [p["level"] for p in found["problems"]] == ["impossible"] * 3


def test_stand_ins_take_nothing(models_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert plan(models_dir, CATALOGS / "echo.toml") == 0
    assert "no memory here: echo-swift, echo-sage, echo-bard, echo-coder" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--gpu-memory", "plenty"), "'plenty' is no size; write a number of bytes or text such as"),
        (("--capacity", "0"), "'0' is no number of engines; one or more"),
    ],
)
def test_nonsense_is_refused_with_the_fix(
    models_dir: Path, capsys: pytest.CaptureFixture[str], arguments: tuple[str, str], said: str
) -> None:
    with pytest.raises(SystemExit) as left:
        plan(models_dir, SEED_NOTES, *arguments)
    assert left.value.code == 2
    assert said in capsys.readouterr().err


def test_the_workers_own_settings_are_the_defaults(
    models_dir: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARENA_GPU_MEMORY", "11GiB")
    monkeypatch.setenv("ARENA_MAX_RESIDENT", "3")
    plan(models_dir, SEED_NOTES, "--host-memory", "16GiB")
    assert "within 11 GiB of GPU memory, 16 GiB of host memory, 3 engines at once" in capsys.readouterr().out
    monkeypatch.setenv("ARENA_GPU_MEMORY", "plenty")
    assert plan(models_dir, SEED_NOTES) == 1
    assert capsys.readouterr().err.startswith("models: ARENA_GPU_MEMORY: 'plenty' is no size")


def test_planning_imports_neither_vllm_nor_torch() -> None:
    script = (
        "import sys; from worker.models.cli import main; "
        f"main(['plan', '--catalog', {str(CATALOGS / 't4.toml')!r}, '--gpu-memory', '15GiB']); "
        "sys.exit(any(m in sys.modules for m in ('vllm', 'torch', 'transformers', 'numpy')))"
    )
    ran = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr


@needs_models
@pytest.mark.real
def test_the_fetched_models_are_read_from_their_headers(capsys: pytest.CaptureFixture[str]) -> None:
    from tests.real import models_dir as fetched

    assert plan(fetched(), CATALOGS / "cpu.toml", "--gpu-memory", "0", "--host-memory", "16GiB", "--json") == 0
    found = {m["id"]: m for m in json.loads(capsys.readouterr().out)["models"]}
    rates = {name: m["kv_bytes_per_token"] for name, m in found.items()}
    assert rates == {"smollm2-135m": 23040, "qwen2.5-coder-0.5b": 12288, "minimind2-small": 4096}
    for name, m in found.items():
        on_disk = (fetched() / name / "model.safetensors").stat().st_size
        assert m["weights_from"] == "files"
        assert 0 <= on_disk - m["weights"] < 100_000, "all but the header is tensors"
        assert m["resident"]["device"] == 0
        assert m["resident"]["host"] > m["weights"] + m["kv_bytes"]
