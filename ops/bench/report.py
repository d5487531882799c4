"""One shape for every bench: rows of ours against the other, medians of paired runs."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median


@dataclass(frozen=True, slots=True)
class Row:
    """``ratio`` is ours over other; ``runs`` how many pairs the medians are of."""

    measure: str
    ours: float
    other: float
    ratio: float
    unit: str
    runs: int


def paired(measure: str, unit: str, ours: Sequence[float], other: Sequence[float]) -> Row:
    """Medians of both and of the pairwise ratios."""
    ratios = [a / b for a, b in zip(ours, other, strict=True)]
    return Row(measure, median(ours), median(other), median(ratios), unit, len(ratios))


def machine() -> str:
    """CPU, cores and memory in words."""
    model = platform.processor() or platform.machine()
    info = Path("/proc/cpuinfo")
    if info.exists():
        names = [line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if "model name" in line]
        model = names[0] if names else model
    pages = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return f"{model}, {os.cpu_count()} cores, {pages / 2**30:.0f} GiB"


def render(bench: str, other: str, rows: Sequence[Row], as_json: bool) -> str:
    """What the command prints: a table for people, or the JSON of design."""
    if as_json:
        return json.dumps({"bench": bench, "machine": machine(), "other": other, "rows": [asdict(r) for r in rows]})
    lines = [f"{bench} on {machine()}", f"other: {other}", ""]
    lines.append(f"{'measure':<44}{'ours':>12}{'other':>12}{'ratio':>8}  unit (runs)")
    lines += [f"{r.measure:<44}{r.ours:>12.2f}{r.other:>12.2f}{r.ratio:>8.2f}  {r.unit} ({r.runs})" for r in rows]
    return "\n".join(lines)
