"""LoRA adapters as their trainers publish them: a PEFT folder, fetched like weights and never converted."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from worker.contract.catalog import ModelSpec
from worker.models.errors import ModelRefused
from worker.models.progress import Progress
from worker.models.store import ADAPTER_CONFIG

_WEIGHTS = "adapter_model.safetensors"
_FIX = "name the folder that PEFT's save_pretrained() wrote"


def make_folder(spec: ModelSpec, obtained: Path, build: Path, progress: Progress) -> Path:
    """The adapter's folder: what a source delivered, or the one folder below it that is an adapter.

    Raises ModelRefused.
    """
    below = [p.parent for p in obtained.rglob(ADAPTER_CONFIG)]
    folder = below[0] if len(below) == 1 else obtained  # a wheel wraps it in a package
    check_folder(folder)
    return folder


def check_folder(folder: Path) -> None:
    """Raises ModelRefused unless the folder holds a LoRA adapter's config and weights."""
    try:
        config: Any = json.loads((folder / ADAPTER_CONFIG).read_text(encoding="utf-8"))
    except OSError:
        raise ModelRefused(f"there is no {ADAPTER_CONFIG}", _FIX) from None
    except ValueError:
        raise ModelRefused(f"{ADAPTER_CONFIG} is no JSON", _FIX) from None
    kind = config.get("peft_type") if isinstance(config, dict) else None
    if kind != "LORA":
        raise ModelRefused(f"the adapter is of type {kind!r}", "only LoRA adapters can share their base's engine")
    if not (folder / _WEIGHTS).is_file():
        raise ModelRefused(f"there is no {_WEIGHTS}", "save the adapter with safe_serialization=True")
