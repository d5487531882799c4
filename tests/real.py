"""What tests with real vLLM need: the CPU catalog's models, or a reason to skip."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest

from tests.processes import ROOT
from worker.contract.catalog import Catalog, load_catalog
from worker.models import is_present
from worker.settings import WorkerSettings

CPU_CATALOG = ROOT / "ops" / "catalogs" / "cpu.toml"


def cpu_catalog() -> Catalog:
    return load_catalog(CPU_CATALOG)


def models_dir() -> Path:
    return WorkerSettings().models_dir


def _missing() -> str | None:
    if importlib.util.find_spec("vllm") is None:
        return "vLLM is not installed"
    absent = [m.id for m in cpu_catalog().models if not is_present(models_dir(), m)]
    return f"not fetched: {', '.join(absent)}" if absent else None


_why = _missing()

needs_models = pytest.mark.skipif(
    _why is not None and os.environ.get("CI") != "true",  # in CI a missing model is a failure, not a skip
    reason=f"real models: {_why}",
)
