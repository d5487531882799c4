"""8,931 crowd votes on 59 models and the scores published for them; kept outside the repository."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[4] / "shared" / "data"


def votes() -> Path:
    """The file of votes; skips the test where it is not beside this checkout."""
    file = FOLDER / "llmfao.csv"
    if not file.is_file() or not (FOLDER / "llmfao-golden.csv").is_file():
        pytest.skip("the LLMFAO votes are not beside this checkout (../shared/data)")
    return file


def golden() -> dict[str, float]:
    """Published Bradley-Terry scores, brought to sum 1."""
    with (FOLDER / "llmfao-golden.csv").open(newline="") as file:
        scores = {r["item"]: float(r["score"]) for r in csv.DictReader(file) if r["algorithm"] == "bradley_terry"}
    total = sum(scores.values())
    return {model: score / total for model, score in scores.items()}
