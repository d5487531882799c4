"""A catalog of two models, a mirror of both made by the command, and the mirror behind a web server."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.worker.models.conftest import FOLDER, install
from tests.worker.models.site import Site, served
from worker.contract.catalog import load_catalog
from worker.models import store
from worker.models.cli import main

WEIGHTS = bytes(range(256)) * 12_000
"""Three megabytes: more than one read takes."""
FILES = {**FOLDER, "model.safetensors": WEIGHTS, "LICENSE": b"", "more/notes v1.txt": b"a name with a space"}
ENTRY = """
[[models]]
id = "{id}"
name = "{name}"
maker = "Nobody"
family = "{id}"
licence = "Apache-2.0"
kv_bytes = "1MiB"
[[models.sources]]
kind = "hub"
repo = "nobody/{id}"
revision = "{revision}"
"""
REVISION = "a" * 40


def entry(model: str, revision: str = REVISION) -> str:
    return ENTRY.format(id=model, name=model.title(), revision=revision)


@pytest.fixture
def catalog(tmp_path: Path) -> Path:
    file = tmp_path / "catalog.toml"
    file.write_text(entry("tiny") + entry("other"))
    return file


@pytest.fixture
def mirror(tmp_path: Path, catalog: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """Of both models, made by the command of a store that has them."""
    here = tmp_path / "store"
    for model in load_catalog(catalog).models:
        install(here, model, FILES)
    folder = tmp_path / "mirror"
    assert main(["mirror", str(folder), "--catalog", str(catalog), "--models-dir", str(here)]) == 0
    assert f"fetch from it with --mirror {folder}" in capsys.readouterr().err
    return folder


@pytest.fixture
def site(mirror: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with served(mirror) as found:
        yield found


def words(catalog: Path, models_dir: Path, mirror: object) -> list[str]:
    return ["fetch", "--catalog", str(catalog), "--models-dir", str(models_dir), "--mirror", str(mirror)]


def files_of(folder: Path) -> dict[str, bytes]:
    found = {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    return {name: data for name, data in found.items() if name != store.PROVENANCE}


def refused(capsys: pytest.CaptureFixture[str], model: str = "tiny") -> str:
    """The one line about the model, of all that was said."""
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("models: ")]
    (line,) = (each for each in lines if f"cannot fetch {model}: " in each)
    return line


def present(models_dir: Path, catalog: Path) -> set[str]:
    return {m.id for m in load_catalog(catalog).models if store.is_present(models_dir, m)}
