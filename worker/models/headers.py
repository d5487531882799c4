"""What a model folder says of its own size: ``config.json`` and the safetensors files' headers, never the weights.

A safetensors file begins with eight bytes of length and that much JSON, naming every tensor's type and place; reading
those few kilobytes tells what fifteen gigabytes will take in memory.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from worker.models.errors import ModelsError

_FLOATS = {"F64": 8, "F32": 4, "F16": 2, "BF16": 2}
"""Types vLLM converts to the model's own when it loads; all others (packed integers, FP8) stay as they are."""
_LONGEST_HEADER = 100_000_000  # the format's own limit: beyond it, these eight bytes are no length
_IN_FLIGHT = 4096
"""Tokens a windowed layer may hold beyond its window while a prompt is read: two of vLLM's batches of 2048."""


class HeaderError(ModelsError):
    """A model's file is damaged. The message names the file and the fix."""

    def __init__(self, file: Path, what: str) -> None:
        super().__init__(f"{file}: {what}; remove the folder and fetch the model again")
        self.file = file


@dataclass(frozen=True, slots=True)
class KvShape:
    """Bytes of KV cache per token, on one device: ``full`` in layers that keep everything, ``windowed`` in layers that
    keep only the last ``window`` tokens."""

    full: int
    windowed: int = 0
    window: int = 0

    @property
    def per_token(self) -> int:
        """A short answer's cost per token; a long one costs less where layers are windowed."""
        return self.full + self.windowed

    def bytes_for(self, tokens: int) -> int:
        """One answer of ``tokens``, prompt included."""
        kept = min(tokens, self.window + _IN_FLIGHT) if self.window else tokens
        return self.full * tokens + self.windowed * kept


def read_config(folder: Path) -> dict[str, Any] | None:
    """The text model's configuration; None when the folder has no config.json. Raises HeaderError."""
    file = folder / "config.json"
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise HeaderError(file, f"cannot be read ({error})") from None
    if not isinstance(config, dict):
        raise HeaderError(file, "is no JSON object")
    inner = config.get("text_config")  # of a model that also sees or hears
    return {**config, **inner} if isinstance(inner, dict) else config


def weights_by_type(folder: Path) -> dict[str, int] | None:
    """Bytes of tensors by safetensors type; None when the folder has no weights. Raises HeaderError."""
    files = _weight_files(folder)
    if not files:
        return None
    total: Counter[str] = Counter()
    for file in files:
        total.update(tensor_bytes(file))
    return dict(total)


def tensor_bytes(file: Path) -> dict[str, int]:
    """Bytes of tensors by type in one safetensors file. Raises HeaderError when it is cut short or no such file."""
    try:
        with file.open("rb") as opened:
            length = int.from_bytes(opened.read(8), "little")
            if not 2 <= length <= _LONGEST_HEADER:
                raise HeaderError(file, "is no safetensors file")
            header = json.loads(opened.read(length))
        size = file.stat().st_size
    except OSError as error:
        raise HeaderError(file, f"cannot be read ({error.strerror})") from None
    except ValueError:
        raise HeaderError(file, "is no safetensors file, or its header is cut short") from None
    total: Counter[str] = Counter()
    end = 0
    try:
        for name, tensor in header.items():
            if name != "__metadata__":
                start, stop = tensor["data_offsets"]
                total[tensor["dtype"]] += stop - start
                end = max(end, stop)
    except (AttributeError, KeyError, TypeError, ValueError):
        raise HeaderError(file, "has a header of another form") from None
    if size < 8 + length + end:
        raise HeaderError(file, f"is cut short: {size} of {8 + length + end} bytes")
    return dict(total)


def loaded_bytes(by_type: Mapping[str, int], width: int) -> int:
    """Bytes in memory once loaded into floats of ``width`` bytes."""
    return sum(size * width // _FLOATS.get(kind, width) for kind, size in by_type.items())


def kv_shape(config: Mapping[str, Any], width: int, devices: int = 1) -> KvShape | None:
    """KV bytes per token on each of ``devices``, with cache entries of ``width`` bytes; None when it does not say."""
    layers = _first(config, "num_hidden_layers", "n_layer", "num_layers", "n_layers")
    per_layer = _per_layer(config, _cache_width(config, width), devices)
    if layers is None or per_layer is None:
        return None
    full, windowed = _layers(config, layers)
    window = _first(config, "sliding_window", "attention_chunk_size") or 0
    return KvShape(full * per_layer, windowed * per_layer, window if windowed else 0)


def longest(config: Mapping[str, Any]) -> int | None:
    """The longest context the model was made for; None when it is stretched or not said."""
    stretched = config.get("rope_scaling") or (config.get("rope_parameters") or {}).get("factor")
    return None if stretched else _first(config, "max_position_embeddings", "n_positions")


def _per_layer(config: Mapping[str, Any], width: int, devices: int) -> int | None:
    if rank := _first(config, "kv_lora_rank"):  # MLA keeps one compressed vector, whole on every device
        return (rank + (_first(config, "qk_rope_head_dim") or 64)) * width
    heads = _first(config, "num_attention_heads", "n_head", "n_heads", "num_heads")
    hidden = _first(config, "hidden_size", "n_embd", "d_model")
    size = _first(config, "head_dim") or (hidden // heads if hidden and heads else None)
    multi_query = config.get("multi_query") and not config.get("new_decoder_architecture")
    kv_heads = 1 if multi_query else _first(config, "num_key_value_heads", "num_kv_heads", "n_head_kv") or heads
    if not size or not kv_heads:
        return None
    return 2 * max(1, -(-kv_heads // devices)) * size * width


def _layers(config: Mapping[str, Any], layers: int) -> tuple[int, int]:
    """``(full, windowed)``; layers with a state of constant size (Mamba, linear attention) are in neither."""
    types = config.get("layer_types")
    if isinstance(types, list) and types:
        windowed = sum(t in ("sliding_attention", "chunked_attention") for t in types)
        return sum(t in ("full_attention", "attention") for t in types), windowed
    kind = str(config.get("model_type", ""))
    if not _first(config, "sliding_window") or not config.get("use_sliding_window", not kind.startswith("qwen")):
        return layers, 0
    if pattern := _first(config, "sliding_window_pattern") or (2 if kind == "gemma2" else None):
        return layers // pattern, layers - layers // pattern
    full = min(layers, _first(config, "max_window_layers") or 0) if kind.startswith("qwen") else 0
    return full, layers - full


def _cache_width(config: Mapping[str, Any], width: int) -> int:
    """Bytes of one cache entry: vLLM follows a checkpoint that was made for an 8-bit cache."""
    quantization = config.get("quantization_config")
    scheme = quantization.get("kv_cache_scheme") if isinstance(quantization, dict) else None
    bits = scheme.get("num_bits") if isinstance(scheme, dict) else None
    return bits // 8 if isinstance(bits, int) and bits >= 8 else width


def _weight_files(folder: Path) -> list[Path]:
    """The files vLLM would read: those of the index where there is one, so that no second copy is counted."""
    index = folder / "model.safetensors.index.json"
    try:
        names = sorted(set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values()))
        return [folder / name for name in names]
    except FileNotFoundError:
        found = sorted(folder.glob("*.safetensors"))
        return [f for f in found if not f.name.startswith("consolidated")] or found
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        raise HeaderError(index, "names no weight files") from None


def _first(config: Mapping[str, Any], *names: str) -> int | None:
    """The first of these that is a whole number above zero."""
    values = (config.get(name) for name in names)
    return next((v for v in values if isinstance(v, int) and not isinstance(v, bool) and v > 0), None)
