"""GGUF to a transformers folder: ``python -m worker.models.convert_gguf ORDER`` (JSON; see :func:`main`).

vLLM serves GGUF only through a plugin, so the weights are dequantized once. They keep the precision they were
published in (that loss is done); only their storage grows.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


def main(order: dict[str, Any]) -> None:
    """Read the GGUF file ``source``, write model and tokenizer to ``out`` in ``dtype``.

    ``tie_embeddings``: the original shares input and output embeddings, and the file carries both; the output's copy
    is kept, being stored at the higher precision.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    source, out = Path(order["source"]), Path(order["out"])
    dtype = getattr(torch, order["dtype"])
    folder, name = str(source.parent), source.name
    model = AutoModelForCausalLM.from_pretrained(
        folder,
        gguf_file=name,
        dtype=dtype,
        quantization_config=GgufConfig(gguf_file=name, dequantize=True),
    ).to(dtype)
    if order["tie_embeddings"] and not model.config.tie_word_embeddings:
        model.get_input_embeddings().weight.data = model.lm_head.weight.data.clone()
        model.config.tie_word_embeddings = True
        model.tie_weights()
    for leftover in ("quantization_config", "_pre_quantization_dtype"):  # the weights are plain now
        if hasattr(model.config, leftover):
            delattr(model.config, leftover)
    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=name)
    model.save_pretrained(out)
    tokenizer.save_pretrained(out)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
