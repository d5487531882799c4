"""Each measured thing in an interpreter of its own, so that neither finds what the other has imported or set."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
_OF_OTHERS = ("VLLM_", "OMP_", "KMP_", "GOMP_", "ARENA_ENGINE_", "LD_PRELOAD", "CUDA_MODULE_LOADING")
LIMIT_S = 600


def ask(module: str, **job: Any) -> Any:
    """What ``python -m module`` answers to ``job``, in a fresh process with vLLM's own defaults in its environment.

    Raises SystemExit with the end of what it said when it fails.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_OF_OTHERS)}
    quiet = {"HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1", "VLLM_LOGGING_LEVEL": "WARNING"}
    with tempfile.NamedTemporaryFile(suffix=".json") as answer, tempfile.TemporaryFile() as said:
        command = [sys.executable, "-m", module, json.dumps({"answer": answer.name, **job})]
        ran = subprocess.run(
            command, cwd=ROOT, env={**kept, **quiet}, stdout=said, stderr=said, check=False, timeout=LIMIT_S
        )
        text = Path(answer.name).read_text()
        if ran.returncode or not text:
            said.seek(0)
            raise SystemExit(
                f"{module} {job}: ended with {ran.returncode}\n{said.read().decode(errors='replace')[-3000:]}"
            )
        return json.loads(text)


def job() -> dict[str, Any]:
    """In the child: what it was asked."""
    asked: dict[str, Any] = json.loads(sys.argv[1])
    return asked


def answer(found: Any) -> None:
    """In the child: what it found."""
    Path(job()["answer"]).write_text(json.dumps(found))
