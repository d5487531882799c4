"""LoRA adapters made on the spot: the folder PEFT would write, with weights of our own choosing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from worker.contract.catalog import Lora, ModelSpec


def make_adapter(folder: Path, base: Path, *, strength: float, rank: int = 4, seed: int = 0) -> Path:
    """An adapter over the attention of the Llama-shaped model in ``base``.

    ``strength`` scales its second matrices: 0 leaves the model as it is, 0.02 makes it another that is still sure of
    what it says (unsure ones answer otherwise from batch to batch, by rounding alone).
    """
    import torch
    from safetensors.torch import save_file

    config = json.loads((base / "config.json").read_text())
    hidden, heads = config["hidden_size"], config["num_attention_heads"]
    head = config.get("head_dim") or hidden // heads
    outputs = {"q_proj": heads * head, "v_proj": config["num_key_value_heads"] * head}
    chance = torch.Generator().manual_seed(seed)
    tensors: dict[str, Any] = {}
    for layer in range(config["num_hidden_layers"]):
        for module, width in outputs.items():
            name = f"base_model.model.model.layers.{layer}.self_attn.{module}"
            tensors[f"{name}.lora_A.weight"] = torch.randn(rank, hidden, generator=chance)
            tensors[f"{name}.lora_B.weight"] = torch.randn(width, rank, generator=chance) * strength
    folder.mkdir(parents=True)
    save_file(tensors, folder / "adapter_model.safetensors")
    write_config(folder, r=rank, target_modules=sorted(outputs))
    return folder


def write_config(folder: Path, **fields: Any) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    config = {"peft_type": "LORA", "task_type": "CAUSAL_LM", "bias": "none", "lora_alpha": fields.get("r", 1), **fields}
    (folder / "adapter_config.json").write_text(json.dumps(config))


def adapter_spec(model: str, base: ModelSpec, folder: Path, **fields: Any) -> ModelSpec:
    """The catalog entry of an adapter that lies in ``folder``."""
    own = {"max_tokens": base.max_tokens, "sampling": base.sampling, "system_prompt": base.system_prompt, **fields}
    return ModelSpec(
        id=model,
        name=model.title(),
        maker="nobody",
        family=base.family,
        licence="MIT",
        lora=Lora(base=base.id, path=str(folder)),
        **own,
    )
