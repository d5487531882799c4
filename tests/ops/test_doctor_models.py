"""What the doctor says of a host's models: whole, absent, damaged, of another revision, too many."""

from __future__ import annotations

from pathlib import Path

import pytest

from ops.doctor.checks import CHECKS, OF_WORKERS, Patient, Said
from tests.worker.models.conftest import FOLDER, install
from tests.worker.models.mirrored import entry
from worker.contract.catalog import load_catalog


@pytest.fixture
def patient(tmp_path: Path) -> Patient:
    """A host with two models, both whole."""
    found = Patient(tmp_path)
    found.etc.mkdir(parents=True)
    catalog = found.etc / "catalog.toml"
    catalog.write_text(entry("tiny") + entry("other"))
    (found.etc / "worker.env").write_text(f"ARENA_CATALOG={catalog}\n")
    place = found.at("/opt/models")
    place.mkdir(parents=True)
    for model in load_catalog(catalog).models:
        install(place, model, FOLDER)
    return found


def said(patient: Patient) -> list[Said]:
    assert CHECKS["models"] is OF_WORKERS["models"]
    return list(CHECKS["models"](patient))


def test_models_that_are_whole_are_in_order(patient: Patient) -> None:
    assert [level for level, *_ in said(patient)] == ["ok"]


@pytest.mark.parametrize("harm", ["absent", "cut", "revision", "own"])
def test_one_that_is_not_is_named_with_the_command_that_helps(patient: Patient, harm: str) -> None:
    place, catalog = patient.at("/opt/models"), patient.catalog
    folder = place / "tiny"
    fetch = f"python -m worker.models fetch --catalog {catalog} --models-dir {place}"
    if harm == "absent":
        folder.rename(place / "elsewhere")
        expected = ("tiny is not fetched (0.0 GB)", fetch)
    elif harm == "cut":
        (folder / "model.safetensors").write_bytes(b"cut")
        what = "tiny is damaged: model.safetensors has 3 bytes and 7 are recorded"
        expected = (what, f"rm -r {folder} && {fetch}")
    elif harm == "revision":
        catalog.write_text(entry("tiny", "b" * 40) + entry("other"))
        expected = ("tiny is of another revision, or made in another way, than the catalog says", fetch)
    else:
        catalog.write_text(entry("tiny").split("[[models.sources]]")[0] + f'path = "{place}"\n' + entry("other"))
        expected = (f"tiny: {place} is no model's folder", f"correct its `path` in {catalog}")
    assert said(patient) == [("fail", *expected)]


def test_a_broken_catalog_is_told(patient: Patient) -> None:
    patient.catalog.write_text("models = 3")
    ((level, what, fix),) = said(patient)
    assert (level, fix) == ("fail", "correct it; what runs goes on with the last good one")
    assert str(patient.catalog) in what


def test_models_beyond_their_budget_are_a_warning(patient: Patient) -> None:
    settings = patient.etc / "worker.local.env"
    settings.write_text("ARENA_MODELS_BUDGET=1GB\n")
    assert [level for level, *_ in said(patient)] == ["ok"]
    settings.write_text("ARENA_MODELS_BUDGET=100B\n")
    _, (level, what, fix) = said(patient)
    assert (level, what) == ("warn", "models take 0.0 GB and may take 100B (ARENA_MODELS_BUDGET)")
    assert fix.startswith(f"python -m worker.models prune --dry-run --catalog {patient.catalog}")
