"""LoRA adapters over an engine's weights: where their files are, how large they are, what vLLM must know of them."""

from __future__ import annotations

import json
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from worker.contract.catalog import ModelSpec
from worker.errors import LoadError
from worker.models import model_dir

_CONFIG = "adapter_config.json"


@dataclass(frozen=True, slots=True)
class Adapter:
    """One contender that is an adapter. ``number`` tells it apart within its engine; vLLM counts from 1."""

    spec: ModelSpec
    folder: Path
    number: int

    @property
    def rank(self) -> int:
        """The largest rank of its matrices. Raises LoadError when the folder holds no adapter."""
        try:
            config = json.loads((self.folder / _CONFIG).read_text(encoding="utf-8"))
            return max([int(config["r"]), *map(int, (config.get("rank_pattern") or {}).values())])
        except FileNotFoundError:
            fetch = "python -m worker.models fetch"
            raise LoadError(self.spec.id, f"no {_CONFIG} in {self.folder}; fetch it: {fetch}") from None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise LoadError(self.spec.id, f"{self.folder / _CONFIG} is no adapter's: {error!r}") from None

    @property
    def file_bytes(self) -> int:
        return sum(f.stat().st_size for f in self.folder.glob("*.safetensors"))

    def request(self) -> Any:
        """What goes with each prompt for this adapter."""
        from vllm.lora.request import LoRARequest

        return LoRARequest(self.spec.id, self.number, str(self.folder))


def adapters(specs: Iterable[ModelSpec], models_dir: Path) -> dict[str, Adapter]:
    """By contender id. Touches no file."""
    return {spec.id: Adapter(spec, model_dir(models_dir, spec), n) for n, spec in enumerate(specs, 1)}


def lora_arguments(found: Mapping[str, Adapter], *, cpu: bool) -> dict[str, Any]:
    """Engine arguments that keep every adapter in memory at once. Raises LoadError for one vLLM cannot take.

    On a CPU one place stays empty: in a batch with adapters vLLM's CPU kernels add whatever is in the last place to
    those answers that ask for none (they mark them with index -1).
    """
    if not found:
        return {}
    from vllm.config.lora import MaxLoRARanks

    allowed = sorted(typing.get_args(MaxLoRARanks))
    needed = 1
    for adapter in found.values():
        if adapter.rank > allowed[-1]:
            raise LoadError(adapter.spec.id, f"its rank is {adapter.rank}; vLLM takes at most {allowed[-1]}")
        needed = max(needed, adapter.rank)
    places = len(found) + (1 if cpu else 0)
    rank = next(r for r in allowed if r >= needed)
    return {"enable_lora": True, "max_loras": places, "max_cpu_loras": places, "max_lora_rank": rank}
