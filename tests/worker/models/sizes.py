"""Tiny model folders and machines for the memory planner's tests; sizes in bytes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.worker.models.conftest import pypi, spec
from worker.contract.catalog import ByteSize, Catalog, ModelSpec
from worker.memory import Bytes
from worker.models.facts import Facts
from worker.models.headers import KvShape
from worker.models.memory import Scene, Sized, footprint

GIB = 2**30
MIB = 2**20
LLAMA = {
    "model_type": "llama",
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "hidden_size": 4096,
    "max_position_embeddings": 131072,
}


def safetensors(file: Path, tensors: dict[str, tuple[str, int]], missing: int = 0) -> None:
    """A file of tensors given as ``name: (type, bytes)``, the last ``missing`` bytes cut off."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    at = 0
    for name, (kind, size) in tensors.items():
        header[name] = {"dtype": kind, "shape": [size], "data_offsets": [at, at + size]}
        at += size
    text = json.dumps(header).encode()
    file.write_bytes(len(text).to_bytes(8, "little") + text)
    with file.open("r+b") as opened:  # sparse: gigabytes cost nothing
        opened.truncate(8 + len(text) + at - missing)


def folder(place: Path, config: dict[str, Any] | None = None, **tensors: tuple[str, int]) -> Path:
    """A model folder with this config.json and these tensors."""
    place.mkdir(parents=True)
    if config is not None:
        (place / "config.json").write_text(json.dumps(config))
    if tensors:
        safetensors(place / "model.safetensors", tensors)
    return place


def model(name: str = "tiny", **fields: object) -> ModelSpec:
    return spec(pypi("0" * 64, name), **{"id": name, "name": name, **fields})


def entry(name: str, weights: int, kv: int, per_token: int = 128 * 1024, **fields: object) -> ModelSpec:
    """A model that is not fetched: the catalog states its sizes."""
    stated = {"weights_bytes": weights, "kv_bytes": kv, "kv_bytes_per_token": per_token}
    return model(name, **{**{k: ByteSize(v) for k, v in stated.items()}, **fields})


def catalog(*specs: ModelSpec) -> Catalog:
    return Catalog(specs, "Test")


def scene(
    device: int = 0, host: int = 64 * GIB, capacity: int = 2, may_sleep: bool | None = None, on_gpu: bool | None = None
) -> Scene:
    gpu = device > 0 if on_gpu is None else on_gpu
    return Scene(Bytes(device, host), gpu, capacity, gpu if may_sleep is None else may_sleep, "gpu" if gpu else "cpu")


def sized(spec_: ModelSpec, where: Scene, *, few_bits: bool = False) -> Sized:
    """The engine of an entry, from its stated sizes."""
    facts = Facts(int(spec_.weights_bytes), "catalog", KvShape(int(spec_.kv_bytes_per_token)), "catalog", few_bits)
    kv = int(spec_.kv_bytes)
    return Sized(spec_, facts, kv, footprint(spec_, facts, on_gpu=where.on_gpu, kv_bytes=kv))
