"""Dockerfiles as lists of instructions; enough of their grammar for ours, which write RUN and CMD as JSON."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

from tests.processes import ROOT

FOLDER = ROOT / "ops" / "containers"


@dataclass(frozen=True)
class Dockerfile:
    """``steps``: instruction and argument, in order."""

    name: str
    steps: tuple[tuple[str, str], ...]

    def all(self, word: str) -> list[str]:
        return [text for instruction, text in self.steps if instruction == word]

    def commands(self, word: str) -> list[list[str]]:
        """The JSON lists of RUN, CMD or ENTRYPOINT; ValueError where one is a line for a shell."""
        return [list(json.loads(text)) for text in self.all(word)]

    @property
    def environment(self) -> dict[str, str]:
        return dict(pair.split("=", 1) for text in self.all("ENV") for pair in text.split())


def read(path: Path) -> Dockerfile:
    lines = [line for line in path.read_text().splitlines() if line.strip() and not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ").splitlines()
    steps = [re.match(r"([A-Z]+)\s+(.*)", line) for line in joined]
    return Dockerfile(path.name.removesuffix(".Dockerfile"), tuple((m[1], m[2]) for m in steps if m))


ALL = [read(path) for path in sorted(FOLDER.glob("*.Dockerfile"))]
