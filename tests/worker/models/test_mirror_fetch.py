"""Models from a mirror, in a folder or behind a real web server: whole or not at all, and on from where it stopped."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.processes import ROOT, wait_for
from tests.worker.models.conftest import sha256
from tests.worker.models.mirrored import FILES, WEIGHTS, entry, files_of, present, refused, words
from tests.worker.models.mirrored import catalog as catalog
from tests.worker.models.mirrored import mirror as mirror
from tests.worker.models.mirrored import site as site
from tests.worker.models.site import Site, served
from worker.models import store
from worker.models.cli import main


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


@pytest.mark.parametrize("harm", ["revision", "recipe", "content", "nonsense", "file"])
def test_what_is_not_as_the_catalog_wants_it_is_not_taken(
    site: Site, mirror: Path, catalog: Path, models_dir: Path, capsys: pytest.CaptureFixture[str], harm: str
) -> None:
    signed = mirror / "tiny" / store.PROVENANCE
    if harm == "revision":
        catalog.write_text(entry("tiny", "b" * 40) + entry("other"))
    elif harm == "recipe":
        signed.write_text(signed.read_text().replace('"recipe": "', '"recipe": "of another version '))
    elif harm == "content":
        signed.write_text(json.dumps({**json.loads(signed.read_text()), "content": ["odd"], "source": "two\nlines"}))
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


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes files of others")
def test_what_root_fetches_belongs_to_the_directorys_owner(mirror: Path, catalog: Path, models_dir: Path) -> None:
    """Who is the worker, and replaces it at the next upgrade."""
    os.chown(models_dir, 12345, 12346)
    (mirror / "tiny" / "config.json").unlink()
    assert main(words(catalog, models_dir, mirror)) == 1  # so that something is left of the download
    assert (models_dir / store.KEPT / "mirror" / "tiny").is_dir()
    assert {(p.stat().st_uid, p.stat().st_gid) for p in models_dir.rglob("*")} == {(12345, 12346)}


def test_a_server_whose_certificate_is_of_an_authority_of_ones_own(
    mirror: Path, catalog: Path, models_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    pem = tmp_path / "pem"
    make = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=mirror"
    named = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(pem), "-out", str(tmp_path / "crt")]
    subprocess.run([*make.split(), *named], check=True, capture_output=True)
    pem.write_text(pem.read_text() + (tmp_path / "crt").read_text())
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with served(mirror, pem) as site:
        assert site.url.startswith("https://")
        assert main(words(catalog, models_dir, site.url)) == 1
        line = refused(capsys)
        assert "cannot be reached ([SSL: CERTIFICATE_VERIFY_FAILED]" in line
        assert "SSL_CERT_FILE" in line
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "crt"))
        assert main(words(catalog, models_dir, site.url)) == 0
    assert present(models_dir, catalog) == {"tiny", "other"}
