"""The GPU these tests run on, the models they take, and why they do not run where they do not."""

from __future__ import annotations

import os
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest
from msgspec.structs import replace

from tests.real import CPU_CATALOG, models_dir
from worker.contract.catalog import ModelSpec, load_catalog
from worker.errors import SettingsError
from worker.models import is_present
from worker.models.machine import find_gpu
from worker.models.store import model_dir

MODELS = 3
"""One more than are in memory at once."""


def catalog_file() -> Path:
    """``ARENA_TEST_CATALOG`` (``./ops/test`` hides ``ARENA_CATALOG``), else the small models of the CPU's catalog."""
    return Path(os.environ.get("ARENA_TEST_CATALOG") or os.environ.get("ARENA_CATALOG") or CPU_CATALOG)


def smallest() -> tuple[ModelSpec, ...]:
    """The vLLM models of the catalog that are on this disk, smallest first, with weights in a type any GPU computes."""
    present = [m for m in load_catalog(catalog_file()).engines if m.engine == "vllm" and is_present(models_dir(), m)]
    ordered = sorted(present, key=weights)
    return tuple(replace(m, dtype="float16" if m.dtype == "bfloat16" else m.dtype) for m in ordered[:MODELS])


def weights(spec: ModelSpec) -> int:
    """Bytes on disk, which is about what they take in memory."""
    return sum(f.stat().st_size for f in model_dir(models_dir(), spec).glob("*.safetensors"))


def why_not() -> str:
    """Why GPU tests cannot run here; empty when they can."""
    try:
        version("vllm")
    except PackageNotFoundError:
        return "no vLLM for GPUs is installed"
    try:
        if find_gpu() is None:
            return "no NVIDIA GPU here"
    except SettingsError as error:
        return str(error)
    if len(smallest()) < MODELS:
        return f"{catalog_file().name} has {len(smallest())} models on this disk, {MODELS} are needed: fetch them"
    return ""


_why = why_not()

needs_gpu = [
    pytest.mark.gpu,
    pytest.mark.skipif(bool(_why), reason=_why or "runs"),
    pytest.mark.filterwarnings("ignore"),  # torch's, transformers' and vLLM's own deprecations, at import
]
