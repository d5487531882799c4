"""What is known of a model's size before it was ever loaded: from its files, else from what the catalog states."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from worker.contract.catalog import ModelSpec
from worker.models.errors import ModelsError
from worker.models.headers import KvShape, kv_shape, loaded_bytes, longest, read_config, weights_by_type
from worker.models.store import model_dir, sources_of

_FEW_BITS = re.compile(r"\b[2-8]-bit|\bAWQ\b|\bGPTQ\b|\bu?int[48]\b|\bFP8\b|\bW[48]A", re.IGNORECASE)
_MUST_AGREE = 0.1
"""A stated size this far off the files' is worth a warning; less is tokenizers and rounding."""


@dataclass(frozen=True, slots=True)
class Facts:
    """Sizes in bytes. ``weights`` over all devices together; ``kv`` on one device; None: unknown until fetched.

    ``notes``: what is odd about the model, each one line without its name.
    """

    weights: int | None = None
    weights_from: Literal["files", "catalog", "nothing"] = "nothing"
    kv: KvShape | None = None
    kv_from: Literal["files", "catalog", "nothing"] = "nothing"
    few_bits: bool = False
    """The weights are quantized already."""
    notes: tuple[str, ...] = ()


def facts_of(spec: ModelSpec, models_dir: Path) -> Facts:
    """Never raises: damaged files become a note, and what the catalog states takes their place."""
    if spec.engine != "vllm":
        return Facts()
    stated = _stated(spec)
    folder = model_dir(models_dir, spec)
    try:
        config = read_config(folder)
        by_type = weights_by_type(folder)
    except ModelsError as error:
        return replace(stated, notes=(str(error),))
    facts = stated
    if by_type is not None:
        facts = replace(facts, weights=loaded_bytes(by_type, _width(spec, config or {})), weights_from="files")
    if config is not None and not spec.lora:
        shape = kv_shape(config, _width(spec, config), spec.tensor_parallel)
        if shape is not None:
            facts = replace(facts, kv=shape, kv_from="files")
        facts = replace(facts, few_bits=facts.few_bits or bool(config.get("quantization_config")))
    return replace(facts, notes=tuple(_disagreements(spec, stated, facts, config or {})))


def _stated(spec: ModelSpec) -> Facts:
    downloads = [int(s.download_bytes) for s in sources_of(spec) if s.download_bytes]
    weights = int(spec.weights_bytes) or (max(downloads) if downloads else None)
    each = -(-int(spec.kv_bytes_per_token) // spec.tensor_parallel)
    return Facts(
        weights,
        "catalog" if weights else "nothing",
        KvShape(each) if each else None,
        "catalog" if each else "nothing",
        # GGUF and ONNX files are converted to plain weights, however few bits they had
        spec.quantization is not None or (spec.format == "safetensors" and bool(_FEW_BITS.search(spec.precision))),
    )


def _disagreements(spec: ModelSpec, stated: Facts, found: Facts, config: dict[str, Any]) -> list[str]:
    notes = []
    if stated.kv and found.kv and stated.kv.per_token != found.kv.per_token:
        notes.append(
            f"kv_bytes_per_token = {stated.kv.per_token} in the catalog, but its config.json says "
            f"{found.kv.per_token}; correct the catalog"
        )
    if spec.weights_bytes and found.weights_from == "files" and found.weights:
        off = abs(found.weights - spec.weights_bytes) / found.weights
        if off > _MUST_AGREE:
            notes.append(
                f"weights_bytes = {int(spec.weights_bytes)} in the catalog, but its files hold {found.weights}; "
                "correct the catalog"
            )
    if (most := longest(config)) and spec.max_model_len > most:
        notes.append(f"max_model_len = {spec.max_model_len} is more than the {most} it was made for; lower it")
    return notes


def _width(spec: ModelSpec, config: dict[str, Any]) -> int:
    """Bytes of one number the model computes with; vLLM's ``auto`` never takes more than two."""
    return 4 if spec.dtype == "float32" else 2
