"""``python -m tests.gpu.link [cuda|cpu]``: how fast bytes travel between host memory and the device.

A process of its own, since asking needs a CUDA context, and a process that has one cannot be forked into engines.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from typing import Any

from tests.processes import ROOT

BYTES = 512 * 2**20


@dataclass(frozen=True, slots=True)
class Link:
    """Bytes per second."""

    to_device: float
    to_host: float


def copy_speeds(device: str, size: int = BYTES, times: int = 5) -> Link:
    """Medians of ``times`` copies from and to pinned host memory; on ``cpu`` both ends are plain memory."""
    import torch

    on_gpu = device != "cpu"
    host = torch.ones(size, dtype=torch.uint8, pin_memory=on_gpu)
    there = torch.empty(size, dtype=torch.uint8, device=device)

    def speed(to: Any, source: Any) -> float:
        def once() -> float:
            began = time.perf_counter()
            to.copy_(source)
            if on_gpu:
                torch.cuda.synchronize()
            return time.perf_counter() - began

        once()
        return size / statistics.median(once() for _ in range(times))

    return Link(speed(there, host), speed(host, there))


def measured(device: str = "cuda") -> Link:
    """As another process finds it."""
    asked = subprocess.run(
        [sys.executable, "-m", "tests.gpu.link", device], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return Link(**json.loads(asked.stdout.splitlines()[-1]))


if __name__ == "__main__":
    print(json.dumps(asdict(copy_speeds(sys.argv[1] if len(sys.argv) > 1 else "cuda"))))
