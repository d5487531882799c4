"""A model folder counts while it matches its entry, and only then; one fetch at a time fills the directory."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from msgspec.structs import replace

from tests.worker.models.conftest import install, pypi, spec
from worker.contract.catalog import ByteSize, ModelSpec
from worker.models import store
from worker.models.errors import ModelsError

MODEL = spec(pypi("1" * 64, "tiny"), format="gguf")


@pytest.fixture
def installed(models_dir: Path) -> Path:
    return install(models_dir, MODEL)


def test_an_installed_folder_is_present_and_readable_by_all(models_dir: Path, installed: Path) -> None:
    assert store.is_present(models_dir, MODEL)
    assert (installed / "model.safetensors").stat().st_mode & 0o044


@pytest.mark.parametrize(
    "changed",
    [
        replace(MODEL, sources=(pypi("2" * 64, "tiny"),)),
        replace(MODEL, dtype="float16"),
        replace(MODEL, tie_embeddings=True),
        replace(MODEL, chat_template="{{ messages }}"),
    ],
)
def test_an_entry_of_other_content_or_recipe_makes_it_stale(
    models_dir: Path, installed: Path, changed: ModelSpec
) -> None:
    assert not store.is_present(models_dir, changed)


@pytest.mark.parametrize(
    "changed",
    [
        replace(MODEL, sources=(pypi("2" * 64, "other"), pypi("1" * 64, "mirror"))),
        replace(MODEL, name="Renamed", kv_bytes=ByteSize(5), max_tokens=7),
    ],
)
def test_another_mirror_or_setting_does_not(models_dir: Path, installed: Path, changed: ModelSpec) -> None:
    assert store.is_present(models_dir, changed)


def test_a_newer_converter_makes_it_stale(models_dir: Path, installed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "CONVERTER_VERSION", store.CONVERTER_VERSION + 1)
    assert not store.is_present(models_dir, MODEL)


@pytest.mark.parametrize("harm", ["truncate", "remove", "unsigned", "nonsense"])
def test_a_damaged_folder_is_not_present(models_dir: Path, installed: Path, harm: str) -> None:
    if harm == "truncate":
        (installed / "model.safetensors").write_bytes(b"")
    elif harm == "remove":
        (installed / "config.json").unlink()
    elif harm == "unsigned":
        (installed / store.PROVENANCE).unlink()
    else:
        (installed / store.PROVENANCE).write_text("[1]")
    assert not store.is_present(models_dir, MODEL)


def test_a_stand_in_needs_no_folder(models_dir: Path) -> None:
    assert store.is_present(models_dir, spec(engine="echo"))


def test_a_second_fetch_waits_for_the_first(models_dir: Path) -> None:
    waiting, entered = threading.Event(), threading.Event()

    def second() -> None:
        with store.locked(models_dir, waiting.set):
            entered.set()

    thread = threading.Thread(target=second)
    with store.locked(models_dir, lambda: None):
        thread.start()
        assert waiting.wait(10)
        assert not entered.is_set()
    thread.join(10)
    assert entered.is_set()


def test_a_directory_that_cannot_be_made_is_said_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ModelsError, match="ARENA_MODELS_DIR"), store.locked(tmp_path / "file" / "models", lambda: None):
        pass
