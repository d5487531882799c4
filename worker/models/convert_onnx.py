"""MiniMind2's ONNX export back to a transformers folder: ``python -m worker.models.convert_onnx ORDER`` (JSON).

The export is dynamic int8: each weight is ``(q - zero_point) * scale``, stored transposed under the name of the MatMul
that uses it. Names are those of ``LlamaForCausalLM``; output and input embeddings are one tensor.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path
from typing import Any

_GRAPH = "onnx/model_quantized.onnx"
_KEPT = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "generation_config.json")
_MATMUL = re.compile(r"/(model/layers\.\d+/(?:self_attn|mlp)/\w+_proj)/MatMul_quant")


def main(order: dict[str, Any]) -> None:
    """Read the unpacked package ``source``, write config, weights in ``dtype`` and tokenizer to ``out``."""
    import onnx
    import torch
    from safetensors.torch import save_file

    source, out = Path(order["source"]), Path(order["out"])
    dtype = getattr(torch, order["dtype"])
    weights = _weights(onnx.load(str(source / _GRAPH)).graph)
    config = json.loads((source / "config.json").read_text(encoding="utf-8"))
    _check(weights, config)
    out.mkdir(parents=True)
    tensors = {name: torch.from_numpy(array).to(dtype).contiguous() for name, array in weights.items()}
    save_file(tensors, str(out / "model.safetensors"), metadata={"format": "pt"})
    config["dtype"] = order["dtype"]
    (out / "config.json").write_text(json.dumps(config, indent=1), encoding="utf-8")
    for name in _KEPT:
        if (source / name).is_file():
            shutil.copy(source / name, out)


def _weights(graph: Any) -> dict[str, Any]:
    """Float32 arrays by their transformers names."""
    from onnx import numpy_helper

    stored = {i.name: numpy_helper.to_array(i) for i in graph.initializer}

    def dequantized(base: str) -> Any:
        quantized, zero, scale = (stored[f"{base}_{part}"] for part in ("quantized", "zero_point", "scale"))
        return (quantized.astype("float32") - zero.astype("float32")) * scale.astype("float32")

    weights = {n: v.astype("float32") for n, v in stored.items() if n.endswith("norm.weight")}
    weights["model.embed_tokens.weight"] = dequantized("model.embed_tokens.weight")
    for node in graph.node:
        named = _MATMUL.match(node.name)
        if node.op_type == "MatMulInteger" and named:
            base = node.input[1].removesuffix("_quantized")
            weights[named[1].replace("/", ".") + ".weight"] = dequantized(base).T.copy()
    return weights


def _check(weights: dict[str, Any], config: dict[str, Any]) -> None:
    """Every layer whole, or no folder: a graph exported by another version must not become a model of noise."""
    parts = ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj", "mlp.gate_proj"]
    parts += ["mlp.up_proj", "mlp.down_proj", "input_layernorm", "post_attention_layernorm"]
    wanted = {f"model.layers.{i}.{p}.weight" for i in range(config["num_hidden_layers"]) for p in parts}
    wanted |= {"model.embed_tokens.weight", "model.norm.weight"}
    if wanted != set(weights):
        odd = sorted(wanted ^ set(weights))
        raise SystemExit(f"error: the graph's weights are not those of a Llama: {len(odd)} differ, first {odd[0]}")


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
