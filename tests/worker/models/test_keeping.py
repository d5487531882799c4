"""What lies on the disk: verified against what was recorded, listed with what it takes, pruned, kept in a budget."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest

from tests.worker.models.conftest import FOLDER, install, sha256
from tests.worker.models.mirrored import REVISION, entry
from worker.contract.catalog import load_catalog
from worker.models import fetch, store
from worker.models.cli import main
from worker.models.errors import size_text
from worker.models.room import Coming, taken_bytes

FILES = {**FOLDER, "model.safetensors": bytes(200_000)}
SIZE = sum(map(len, FILES.values()))


@pytest.fixture
def catalog(tmp_path: Path, models_dir: Path) -> Path:
    """Two models, both fetched."""
    file = tmp_path / "catalog.toml"
    file.write_text(entry("tiny") + entry("other"))
    for model in load_catalog(file).models:
        install(models_dir, model, FILES)
    return file


def run(command: str, models_dir: Path, *more: object) -> int:
    return main([command, "--models-dir", str(models_dir), *map(str, more)])


# ── verify ───────────────────────────────────────────────────────────────────────────────────────────────────────


def test_models_as_they_were_recorded_are_ok_a_line_each(
    catalog: Path, models_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (models_dir / ".downloads").mkdir()
    assert run("verify", models_dir) == 0
    assert capsys.readouterr().out == "ok          other: 3 files, 200 kB\nok          tiny: 3 files, 200 kB\n"


@pytest.mark.parametrize(
    ("harm", "said"),
    [
        ("bit", f"model.safetensors: sha256 is .* and {sha256(FILES['model.safetensors'])} is recorded"),
        ("cut", "model.safetensors has 5 bytes and 200000 are recorded"),
        ("gone", "config.json is missing"),
        ("more", "modeling.py is not recorded"),
        ("sign", "PROVENANCE.json cannot be read"),
    ],
)
def test_whatever_changed_is_said_with_the_fix(
    catalog: Path, models_dir: Path, capsys: pytest.CaptureFixture[str], harm: str, said: str
) -> None:
    folder = models_dir / "tiny"
    if harm == "gone":
        (folder / "config.json").unlink()
    else:
        name = {"more": "modeling.py", "sign": store.PROVENANCE}.get(harm, "model.safetensors")
        data = bytes(199_999) + b"\1" if harm == "bit" else b"other"
        (folder / name).write_bytes(data)
    assert run("verify", models_dir) == 1
    told = capsys.readouterr()
    ok, damaged = told.out.splitlines()
    assert ok.startswith("ok          other: ")
    assert re.fullmatch(f"damaged     tiny: {said}", damaged)
    fix = f"rm -r {folder} && python -m worker.models fetch --models-dir {models_dir}"
    assert told.err.splitlines()[-1] == f"models: tiny is damaged; fetch it again: {fix}"


def test_what_cannot_be_verified_is_not_called_whole(
    catalog: Path, models_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    signed = models_dir / "tiny" / store.PROVENANCE
    signed.write_text(json.dumps({k: v for k, v in json.loads(signed.read_text()).items() if k != "sha256"}))
    (models_dir / "mine").mkdir()
    assert run("verify", models_dir) == 1
    out = capsys.readouterr().out
    assert "unrecorded  tiny: no digests were kept when it was fetched; its sizes hold" in out
    assert "foreign     mine: it has no PROVENANCE.json" in out
    assert run("verify", models_dir, "other") == 0
    assert run("verify", models_dir, "tinny") == 1
    assert "has no tinny" in capsys.readouterr().err


def test_an_empty_directory_is_no_success(models_dir: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("verify", models_dir) == 1
    assert run("verify", models_dir / "nowhere") == 1
    assert capsys.readouterr().err.count("is it the right --models-dir?") == 2


# ── list ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_sizes_and_their_sum_are_those_of_the_disk(
    catalog: Path, models_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = models_dir / store.KEPT / "hub" / "nobody--tiny" / REVISION
    kept.mkdir(parents=True)
    os.link(models_dir / "tiny" / "model.safetensors", kept / "model.safetensors")  # takes nothing
    (kept / "rest.part").write_bytes(bytes(70_000))
    catalog.write_text(entry("tiny") + entry("third"))
    assert run("list", models_dir, "--catalog", catalog, "--budget", "2MB") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [" ".join(line.split()[:4]) for line in lines[1:3]] == ["tiny Tiny 201 kB", "third Third missing Apache-2.0"]
    assert lines[3] == "of other catalogs, or of none: other 201 kB"
    assert lines[4] == "of downloads that were cut off: 70 kB"
    assert lines[5].startswith(f"all in {models_dir}: 472 kB of 2 MB, ")


# ── prune ────────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def crowded(catalog: Path, models_dir: Path) -> Path:
    """The catalog names ``tiny`` alone, which has to be fetched anew, and there are leftovers of all kinds."""
    (models_dir / "mine").mkdir()
    (models_dir / "elsewhere").symlink_to(models_dir / "other")
    for repo in ("nobody--tiny", "nobody--other"):
        kept = models_dir / store.KEPT / "hub" / repo / REVISION
        kept.mkdir(parents=True)
        (kept / "rest.part").write_bytes(bytes(70_000))
    os.link(models_dir / "other" / "config.json", kept / "config.json")
    (models_dir / store.KEPT / "mirror" / "other").mkdir(parents=True)
    (models_dir / "tiny" / "config.json").unlink()
    catalog.write_text(entry("tiny") + entry("third").replace('"Third"', '"Third"\nenabled = false') + entry("fourth"))
    return catalog


def test_what_no_catalog_names_goes_and_nothing_else(
    crowded: Path, models_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = taken_bytes(models_dir)
    assert run("prune", models_dir, "--catalog", crowded, "--dry-run") == 0
    out = capsys.readouterr().out
    assert [line.split("  ")[0] for line in out.splitlines()[:-1]] == [
        "would go: other",
        "would go: .downloads/hub/nobody--other",
        "would go: .downloads/mirror/other",
    ]
    assert taken_bytes(models_dir) == before

    assert run("prune", models_dir, "--catalog", crowded) == 0
    assert capsys.readouterr().out == out.replace("would go", "goes")
    (models_dir / "elsewhere").unlink()
    assert {p.name for p in models_dir.iterdir()} == {"tiny", "mine", store.KEPT, ".lock"}
    assert [p.name for p in (models_dir / store.KEPT / "hub").iterdir()] == ["nobody--tiny"]
    freed = before - taken_bytes(models_dir)
    assert freed > SIZE + 70_000
    assert f"{size_text(freed)} of " in out
    assert run("prune", models_dir, "--catalog", crowded) == 0
    assert capsys.readouterr().out == "nothing to remove\n"


def test_what_another_catalog_names_stays(crowded: Path, models_dir: Path, tmp_path: Path) -> None:
    also = tmp_path / "also.toml"
    also.write_text(entry("other") + entry("fifth"))
    assert run("prune", models_dir, "--catalog", crowded, "--catalog", also) == 0
    assert (models_dir / "other").is_dir()


def test_nothing_goes_when_a_catalog_is_broken_or_none_is_given(
    crowded: Path, models_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("prune", models_dir, "--catalog", crowded, "--catalog", models_dir / "no.toml") == 1
    assert "no such file" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        run("prune", models_dir)
    assert "--catalog" in capsys.readouterr().err
    assert run("prune", models_dir / "nowhere", "--catalog", crowded) == 1
    assert (models_dir / "other").is_dir()


# ── the budget ───────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def larger(catalog: Path, models_dir: Path, tmp_path: Path) -> Path:
    """A mirror with a third model beside the two that are here, all in the catalog."""
    catalog.write_text(catalog.read_text() + entry("third"))
    install(tmp_path / "mirror", load_catalog(catalog).models[2], FILES)
    return tmp_path / "mirror"


def test_a_fetch_beyond_the_budget_is_refused_with_figures_before_it_begins(
    catalog: Path, larger: Path, models_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("fetch", models_dir, "--catalog", catalog, "--mirror", larger, "--budget", "500kB") == 1
    assert capsys.readouterr().err.splitlines()[-1] == (
        f"models: models may take 500 kB of {models_dir}, 402 kB are taken and 200 kB are needed; "
        "raise --budget (or ARENA_MODELS_BUDGET), or make room: python -m worker.models prune"
    )
    assert not (models_dir / store.KEPT).exists()
    assert run("fetch", models_dir, "--catalog", catalog, "--mirror", larger, "--budget", "700kB") == 0
    assert (models_dir / "third").is_dir()


def test_the_budget_can_be_a_setting(
    catalog: Path, larger: Path, models_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for budget, said in (("500kB", "models may take 500 kB"), ("plenty", "ARENA_MODELS_BUDGET): 'plenty' is no size")):
        monkeypatch.setenv("ARENA_MODELS_BUDGET", budget)
        assert run("fetch", models_dir, "--catalog", catalog, "--mirror", larger) == 1
        assert said in capsys.readouterr().err


def test_what_an_interrupted_fetch_has_brought_is_not_asked_for_twice(
    catalog: Path, larger: Path, models_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    part = models_dir / store.KEPT / "mirror" / "third" / "model.safetensors.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(bytes(150_000))
    assert run("fetch", models_dir, "--catalog", catalog, "--mirror", larger, "--budget", "610kB") == 0
    assert "50 kB to download, 200 kB to keep, 50 kB needed meanwhile" in capsys.readouterr().err


def test_a_download_from_the_hub_that_was_cut_off_counts_as_begun(
    catalog: Path, models_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Coming] = []
    monkeypatch.setattr(fetch, "check_room", lambda coming, *_: seen.extend(coming))
    monkeypatch.setattr(fetch, "_fetch_by", lambda ways, *_: models_dir)
    kept = models_dir / store.KEPT / "hub" / "nobody--third"
    for revision in (REVISION, "b" * 40):
        (kept / revision).mkdir(parents=True)
        (kept / revision / "model.safetensors.part").write_bytes(bytes(600))
    third = entry("third").replace('kv_bytes = "1MiB"', 'kv_bytes = "1MiB"\nweights_bytes = 1000')
    catalog.write_text(entry("tiny") + third + "download_bytes = 1000\n")
    assert run("fetch", models_dir, "--catalog", catalog) == 0
    assert seen == [Coming(1000, 1000, 0, 600)]
