"""Engines for a bench, ours as the worker starts them and plain ones, from the same catalog entry."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ops.bench.children import ROOT
from worker.contract.catalog import ModelSpec, load_catalog
from worker.engines import EngineOrder
from worker.engines.arguments import engine_arguments
from worker.engines.vllm import VllmEngine
from worker.models import model_dir
from worker.settings import default_models_dir


def specs(catalog: str, models: list[str]) -> list[ModelSpec]:
    """Entries by id. Raises SystemExit naming one that is not there, or whose files are not."""
    known = load_catalog(ROOT / catalog)
    found = []
    for model in models:
        spec = known.get(model)
        if spec is None:
            raise SystemExit(f"{catalog} has no model {model!r}; it has {', '.join(known.ids)}")
        if not (folder(spec) / "config.json").is_file():
            raise SystemExit(f"{model} is not in {folder(spec)}; fetch it: python -m worker.models fetch")
        found.append(spec)
    return found


def folder(spec: ModelSpec) -> Path:
    return model_dir(default_models_dir(), spec)


def order(spec: ModelSpec) -> EngineOrder:
    return EngineOrder(spec, int(spec.kv_bytes))


def ours(spec: ModelSpec) -> VllmEngine:
    return VllmEngine(order(spec), default_models_dir())


def plain_arguments(spec: ModelSpec) -> Any:
    """``AsyncEngineArgs`` with exactly the fields that ours is given. Imports vLLM."""
    from vllm import AsyncEngineArgs

    return AsyncEngineArgs(**engine_arguments(order(spec), folder(spec), {}))


def read_once(spec: ModelSpec) -> None:
    """Bring a model's files into the page cache, so that whoever is measured first does not pay for the disk."""
    for file in folder(spec).iterdir():
        with file.open("rb") as content:
            while content.read(1 << 24):
                pass
