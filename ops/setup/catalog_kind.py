"""What a catalog asks of this machine, read before anything is installed: which engines, and how much disk.

The whole check of a catalog is the worker's (`worker.contract.catalog`) and follows once it can run.
"""

from __future__ import annotations

import os
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ops.setup.console import SetupError
from ops.setup.layout import ROOT

CATALOGS = ROOT / "ops" / "catalogs"
UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30}


@dataclass(frozen=True, slots=True)
class CatalogKind:
    """``models_bytes``: disk that the models not yet fetched will take, downloads included."""

    path: Path
    needs_vllm: bool
    models_bytes: int


def models_dir() -> Path:
    """Where converted models lie; shared by all checkouts of this user."""
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(os.environ.get("ARENA_MODELS_DIR") or f"{cache}/llm-arena/models").expanduser().absolute()


def has_nvidia_gpu(root: Path = Path("/")) -> bool:
    """Whether the kernel knows an NVIDIA GPU. A toolkit without a GPU does not count."""
    known = root / "proc/driver/nvidia/gpus"
    return (root / "dev/nvidia0").exists() or (known.is_dir() and any(known.iterdir()))


def default_catalog(gpu: bool) -> Path:
    """The catalog of a machine whose owner named none."""
    return CATALOGS / ("t4.toml" if gpu else "cpu.toml")


def read_kind(path: Path, models: Path) -> CatalogKind:
    """Raises SetupError for a catalog that is not there or is no TOML."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        ready = ", ".join(sorted(f"ops/catalogs/{p.name}" for p in CATALOGS.glob("*.toml")))
        raise SetupError(f"The catalog {path} cannot be read: {error.strerror}", f"Ready ones: {ready}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SetupError(f"The catalog {path} is not valid TOML: {error}", "Correct it and run again") from None
    listed = data.get("models")
    entries = [e for e in listed if isinstance(e, dict)] if isinstance(listed, list) else []
    served = [e for e in entries if e.get("enabled", True) and e.get("engine", "vllm") == "vllm"]
    bases = [_lora(e).get("base") for e in served if _lora(e)]
    needed = [e for e in entries if e in served or e.get("id") in bases]
    missing = [e for e in needed if _sources(e) and not (models / str(e.get("id"))).exists()]
    return CatalogKind(path, bool(served), sum(_bytes_of(e) for e in missing))


def _lora(entry: dict[str, Any]) -> dict[str, Any]:
    """The table of an adapter; empty for a model of its own."""
    table = entry.get("lora")
    return table if isinstance(table, dict) else {}


def _sources(entry: dict[str, Any]) -> list[Any]:
    listed = entry.get("sources") or [_lora(entry).get("source")]
    return [s for s in listed if isinstance(s, dict)] if isinstance(listed, list) else []


def _bytes_of(entry: dict[str, Any]) -> int:
    """What fetching one model takes at its worst: the download beside the converted folder."""
    return _size(entry.get("weights_bytes")) + _size(_sources(entry)[0].get("download_bytes"))


def _size(value: object) -> int:
    match = re.fullmatch(r"\s*([\d.]+)\s*([A-Za-z]*)\s*", str(value or 0))
    return int(float(match[1]) * UNITS.get(match[2].lower(), 1)) if match else 0
