"""The hub's failures in words, and its cache linked rather than copied. Nothing here reaches the network."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from worker.models import hub

REQUEST: dict[str, Any] = {
    "repo": "meta/llama",
    "revision": "abc",
    "file": "",
    "files": ["*"],
    "token_env": "HF_TOKEN",
    "into": "unused",
    "kept": "unused",
}


def error(*names: str) -> Exception:
    """An exception whose classes have these names, the most telling first, as the hub's client's have."""
    kind: type[Exception] = Exception
    for name in reversed(names):
        kind = type(name, (kind,), {})
    return kind("details\nthat go on")


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (("GatedRepoError", "RepositoryNotFoundError"), "accept the terms at https://huggingface.co/meta/llama"),
        (("RepositoryNotFoundError",), "no such repository"),
        (("RevisionNotFoundError",), "no revision abc"),
        (("LocalEntryNotFoundError", "EntryNotFoundError"), "cannot be reached"),
        (("ConnectError", "TransportError"), "cannot be reached (details"),
        (("EntryNotFoundError",), "no file"),
        (("HfHubHTTPError",), "HfHubHTTPError: details"),
    ],
)
def test_every_failure_has_a_cause_and_a_fix(names: tuple[str, ...], says: str) -> None:
    told = hub.explained(error(*names), REQUEST)
    assert says in f"{told['cause']}; {told['fix']}"
    assert told["fix"]
    assert "\n" not in told["cause"]


def test_names_are_those_of_the_installed_client() -> None:
    errors = pytest.importorskip("huggingface_hub.errors")
    known = ("GatedRepoError", "RepositoryNotFoundError", "RevisionNotFoundError", "LocalEntryNotFoundError")
    assert all(hasattr(errors, name) for name in (*known, "EntryNotFoundError", "OfflineModeIsEnabled"))


def test_an_unreachable_hub_is_given_up_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:1")
    told = hub.main({**REQUEST, "into": str(tmp_path)})
    assert "cannot be reached" in told["cause"]


def test_what_is_kept_is_linked_not_copied(tmp_path: Path) -> None:
    kept = tmp_path / "kept" / "sub" / "model.safetensors"
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"weights")
    hub.link(tmp_path / "kept", tmp_path / "model", ["sub/model.safetensors"])
    assert (tmp_path / "model" / "sub" / "model.safetensors").samefile(kept)
