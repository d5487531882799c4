"""Turn downloaded weights into a folder vLLM can load, and refuse one it could not serve.

The converters import torch and hold whole models, so each runs in a process of its own and its memory ends with it.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

from worker.contract.catalog import ModelSpec
from worker.models.command import CommandFailed, run, tree_bytes
from worker.models.errors import ModelRefused
from worker.models.progress import Progress
from worker.models.store import weights_dtype

_TEMPLATE_FILE = "chat_template.jinja"


def make_folder(spec: ModelSpec, obtained: Path, build: Path, progress: Progress) -> Path:
    """The model folder, below ``build``, made of what a source delivered. Raises ModelRefused."""
    if spec.format == "safetensors":
        folder = obtained
    else:
        folder = build / "model"
        module = {"gguf": "worker.models.convert_gguf", "onnx-minimind": "worker.models.convert_onnx"}[spec.format]
        progress.step(f"converting {spec.format} to safetensors")
        _convert(module, spec, obtained, folder, progress)
    if spec.chat_template:
        template = folder / _TEMPLATE_FILE
        template.unlink(missing_ok=True)  # it may be a link into the hub's cache, which must stay as published
        template.write_text(spec.chat_template, encoding="utf-8")
    check_folder(folder)
    return folder


def check_folder(folder: Path) -> None:
    """Raises ModelRefused unless the folder holds a config, weights and a chat template."""
    if not (folder / "config.json").is_file():
        raise ModelRefused("there is no config.json", "the source must hold a transformers model folder")
    if not any(folder.glob("*.safetensors")):
        raise ModelRefused("there are no *.safetensors weights", "check `format` and the source's `files`")
    if not has_chat_template(folder):
        fix = "give one with `chat_template`, or use the instruct version of the model"
        raise ModelRefused("its tokenizer has no chat template, so it cannot hold a conversation", fix)


def has_chat_template(folder: Path) -> bool:
    """Whether transformers would find a template in this folder."""
    if any((folder / name).is_file() for name in (_TEMPLATE_FILE, "chat_template.json")):
        return True
    try:
        config: Any = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(config, dict) and bool(config.get("chat_template"))


def _convert(module: str, spec: ModelSpec, source: Path, out: Path, progress: Progress) -> None:
    order = {
        "source": str(source),
        "out": str(out),
        "dtype": weights_dtype(spec),
        "tie_embeddings": spec.tie_embeddings,
    }
    env = {**os.environ, "HF_HUB_OFFLINE": "1", "TRANSFORMERS_VERBOSITY": "error", "TOKENIZERS_PARALLELISM": "false"}
    try:
        run(
            [sys.executable, "-m", module, json.dumps(order)],
            cwd=Path.cwd(),
            env=env,
            on_tick=lambda: progress.tick(tree_bytes(out), spec.weights_bytes),
        )
    except CommandFailed as failed:
        fix = "if a module is missing, install the project's extra `cpu` or `gpu`; if memory ran out, free some"
        raise ModelRefused(f"converting {spec.format} failed: {failed.reason}", fix) from None
