"""The real hub client against a hub made in the test: one repository, open or gated, on a local port."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

from tests.worker.models.conftest import FOLDER, sha256, spec
from worker.contract.catalog import HubSource
from worker.models import fetch, sources, store
from worker.models.errors import FetchError, SourceError
from worker.models.progress import Progress

pytest.importorskip("huggingface_hub")

COMMIT = "a" * 40
TOKEN = "hf_a_token_that_was_granted_access"


@dataclass
class Hub:
    """What the server holds and saw."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=lambda: dict(FOLDER))
    gated: bool = False
    served: list[str] = field(default_factory=list)
    ranges: list[str | None] = field(default_factory=list)
    cut_at: int | None = None
    """After so many bytes of a file the connection ends, every time it is asked for from its beginning."""
    damaged: int = 0
    """So many answers to come are not what is published."""


def handler(hub: Hub) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            path = unquote(urlsplit(self.path).path)
            if path == "/":
                return self._send(200, b"")
            if hub.gated and path.startswith("/meta/") and self.headers.get("Authorization") != f"Bearer {TOKEN}":
                return self._send(403, b"", {"X-Error-Code": "GatedRepo"})
            if path.startswith("/api/models/meta/tiny/tree/"):
                return self._send(200, json.dumps([self._entry(n, d) for n, d in hub.files.items()]).encode())
            if path.startswith("/api/models/meta/tiny"):
                siblings = [{"rfilename": n} for n in hub.files]
                return self._send(200, json.dumps({"id": "meta/tiny", "sha": COMMIT, "siblings": siblings}).encode())
            prefix = "/meta/tiny/resolve/"
            name = path.removeprefix(prefix).partition("/")[2] if path.startswith(prefix) else ""
            if name not in hub.files:
                code = "EntryNotFound" if path.startswith("/meta/tiny/") else "RepoNotFound"
                return self._send(404, b"", {"X-Error-Code": code})
            hub.served.append(name)
            hub.ranges.append(self.headers.get("Range"))
            data = hub.files[name]
            if hub.damaged:
                hub.damaged -= 1
                data = b"X" * len(data)
            at = int((self.headers.get("Range") or "bytes=0-")[6:-1])
            if at:
                return self._send(206, data[at:], {"Content-Range": f"bytes {at}-{len(data) - 1}/{len(data)}"})
            if hub.cut_at is not None:
                self.send_response(200)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data[: hub.cut_at])
                self.close_connection = True
                return None
            return self._send(200, data)

        def _entry(self, name: str, data: bytes) -> dict[str, object]:
            known: dict[str, object] = {"type": "file", "path": name, "size": len(data), "oid": _oid(data)}
            if name.endswith((".safetensors", ".gguf")):
                known["lfs"] = {"oid": sha256(data), "size": len(data), "pointerSize": 130}
            return known

        def _send(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
            self.send_response(status)
            for key, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
                self.send_header(key, value)
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    return Handler


def _oid(data: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    found = Hub()
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler(found))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    found.url = f"http://127.0.0.1:{server.server_port}"
    monkeypatch.setenv("HF_ENDPOINT", found.url)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setenv("HF_HUB_DISABLE_XET", "1")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    yield found
    server.shutdown()
    server.server_close()
    thread.join()


FOLDER_SOURCE = HubSource(repo="meta/tiny", revision=COMMIT)


def test_a_folder_is_downloaded_and_installed(hub: Hub, models_dir: Path, progress: Progress) -> None:
    hub.files["weights.gguf"] = b"another format, not asked for"
    model = spec(FOLDER_SOURCE)
    place = fetch.fetch_model(model, models_dir, progress)
    assert {p.name for p in place.iterdir()} == {*FOLDER, store.PROVENANCE}
    assert (place / "model.safetensors").read_bytes() == b"weights"
    assert store.is_present(models_dir, model)


def test_a_file_cut_in_the_middle_goes_on_from_there(hub: Hub, models_dir: Path, progress: Progress) -> None:
    hub.files["model.safetensors"] = bytes(range(256)) * 40
    hub.cut_at = 10_000
    place = fetch.fetch_model(spec(FOLDER_SOURCE), models_dir, progress)
    assert "bytes=10000-" in hub.ranges
    assert (place / "model.safetensors").read_bytes() == hub.files["model.safetensors"]
    assert store.read_provenance(place)["sha256"]["model.safetensors"] == sha256(hub.files["model.safetensors"])


def test_a_fetch_that_was_killed_goes_on_from_what_it_left(hub: Hub, models_dir: Path, progress: Progress) -> None:
    hub.files["model.safetensors"] = bytes(range(256)) * 40
    part = models_dir / store.KEPT / "hub" / "meta--tiny" / COMMIT / "model.safetensors.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(hub.files["model.safetensors"][:7000])
    place = fetch.fetch_model(spec(FOLDER_SOURCE), models_dir, progress)
    assert hub.ranges[hub.served.index("model.safetensors")] == "bytes=7000-"
    assert (place / "model.safetensors").read_bytes() == hub.files["model.safetensors"]
    assert not part.exists()


@pytest.mark.parametrize("name", ["model.safetensors", "config.json"])
def test_what_is_not_what_the_hub_publishes_is_fetched_once_more_and_then_refused(
    hub: Hub, tmp_path: Path, models_dir: Path, progress: Progress, name: str
) -> None:
    hub.files = {name: FOLDER[name]}
    source = HubSource(repo="meta/tiny", revision="main", file=name)
    hub.damaged = 1
    assert sources.obtain(source, tmp_path, progress).read_bytes() == FOLDER[name]
    assert hub.served == [name, name]
    hub.damaged = 2
    with pytest.raises(SourceError, match=f"{name}: (sha256|blob) is .* is published; .*do not trust it"):
        sources.obtain(source, models_dir, progress)


def test_a_second_download_takes_what_the_cache_has(hub: Hub, models_dir: Path, progress: Progress) -> None:
    fetch.fetch_model(spec(FOLDER_SOURCE), models_dir, progress)
    hub.served.clear()
    fetch.fetch_model(spec(FOLDER_SOURCE, id="twin", name="Twin"), models_dir, progress)
    assert hub.served == []


def test_a_template_of_ours_does_not_change_the_cache(hub: Hub, models_dir: Path, progress: Progress) -> None:
    hub.files["chat_template.jinja"] = b"theirs"
    ours = fetch.fetch_model(spec(FOLDER_SOURCE, chat_template="{{ ours }}"), models_dir, progress)
    theirs = fetch.fetch_model(spec(FOLDER_SOURCE, id="twin", name="Twin"), models_dir, progress)
    assert (ours / "chat_template.jinja").read_text() == "{{ ours }}"
    assert (theirs / "chat_template.jinja").read_text() == "theirs"


def test_one_file_is_verified_by_its_digest(hub: Hub, tmp_path: Path, progress: Progress) -> None:
    hub.files["m.gguf"] = b"gguf"
    build = tmp_path / "build"
    build.mkdir()
    source = HubSource(repo="meta/tiny", revision="main", file="m.gguf", sha256=sha256(b"gguf"))
    assert sources.obtain(source, build, progress).read_bytes() == b"gguf"
    hub.files["m.gguf"] = b"tampered"
    with pytest.raises(SourceError, match="sha256 is"):
        sources.obtain(source, tmp_path / "build", progress)


def test_a_gated_repository_opens_with_the_token_of_its_variable(
    hub: Hub, models_dir: Path, progress: Progress, monkeypatch: pytest.MonkeyPatch
) -> None:
    hub.gated = True
    model = spec(HubSource(repo="meta/tiny", revision=COMMIT, gated=True, token_env="ARENA_TEST_TOKEN"))
    monkeypatch.setenv("ARENA_TEST_TOKEN", "hf_of_somebody_without_access")
    with pytest.raises(FetchError, match="this account has no access; accept the terms") as caught:
        fetch.fetch_model(model, models_dir, progress)
    assert "hf_of_somebody" not in str(caught.value)
    monkeypatch.setenv("ARENA_TEST_TOKEN", TOKEN)
    assert fetch.fetch_model(model, models_dir, progress).is_dir()


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (HubSource(repo="meta/other", revision="main", file="m.gguf"), "no such repository"),
        (HubSource(repo="meta/tiny", revision="main", file="m.gguf"), "no file 'm.gguf' there"),
    ],
)
def test_what_the_hub_lacks_is_said_in_words(
    hub: Hub, tmp_path: Path, progress: Progress, source: HubSource, says: str
) -> None:
    with pytest.raises(SourceError, match=says):
        sources.obtain(source, tmp_path, progress)
