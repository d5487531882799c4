"""The catalogs that ship: each plans for the machine it is for, and its figures are those of its models' makers.

Sizes are worked out here from what the makers publish of each model's shape, not from the catalogs.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from ops.aws.prices import Prices
from tests.processes import ROOT
from worker.contract.catalog import Catalog, HubSource, ModelSpec, load_catalog
from worker.models.fitting import Fit, fits, pairs, plan_for
from worker.models.units import gib

NOWHERE = Path("/nonexistent/models")
"""Nothing is fetched: the catalogs' own figures count."""
SHIPPED = ROOT / "ops" / "catalogs"
MACHINES = {
    "t4.toml": ("14.5GiB", "16GiB"),
    "a10g.toml": ("22GiB", "16GiB"),
    "l4x2.toml": ("22GiB", "32GiB"),
    "cpu.toml": ("0", "4GiB"),
}
"""``(GPU, host)`` memory of one worker, as the head of each file and the README have it; a CPU's is what is free."""
RESIDENT = {
    "t4.toml": {"llama-3.1-8b": "7.32", "mistral-7b": "5.98", "qwen-2.5-7b": "6.92"},
    "a10g.toml": {"llama-3.1-8b": "10.45", "mistral-7b": "8.98", "qwen-2.5-7b": "9.30"},
    "l4x2.toml": {"llama-3.1-8b": "8.45", "mistral-7b": "6.98", "qwen-2.5-7b": "8.30", "qwen-2.5-14b": "12.89"},
    "cpu.toml": {"smollm2-135m": "1.41", "qwen2.5-coder-0.5b": "2.37", "minimind2-small": "0.75"},
}
"""GiB that each engine is planned to hold. Whoever changes a figure knowingly changes it here too."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A decoder as its maker's config.json describes it. ``tied``: the output shares the embeddings' weights."""

    layers: int
    hidden: int
    inner: int
    heads: int
    kv_heads: int
    head_size: int
    words: int
    tied: bool = False

    @property
    def kv_bytes_per_token(self) -> int:
        return 2 * self.layers * self.kv_heads * self.head_size * 2

    @property
    def linear(self) -> int:
        """Weights of the layers' matrices."""
        attention = 2 * self.hidden * self.head_size * (self.heads + self.kv_heads)
        return self.layers * (attention + 3 * self.hidden * self.inner)

    def bytes(self, four_bits: bool) -> int:
        """In 16 bits, or with matrices in AWQ: 4 bits each, and 20 for every 128 of them."""
        tables = self.words * self.hidden * (1 if self.tied else 2) * 2
        return tables + int(self.linear * ((4 + 20 / 128) / 8 if four_bits else 2))


SHAPES = {
    "llama-3.1-8b": Shape(32, 4096, 14336, 32, 8, 128, 128256),
    "mistral-7b": Shape(32, 4096, 14336, 32, 8, 128, 32768),
    "qwen-2.5-7b": Shape(28, 3584, 18944, 28, 4, 128, 152064),
    "qwen-2.5-14b": Shape(48, 5120, 13824, 40, 8, 128, 152064),
    "smollm2-135m": Shape(30, 576, 1536, 9, 3, 64, 49152, tied=True),
    "qwen2.5-coder-0.5b": Shape(24, 896, 4864, 14, 2, 64, 151936, tied=True),
    "minimind2-small": Shape(8, 512, 1408, 8, 2, 64, 6400, tied=True),
}


def shipped(name: str) -> Catalog:
    return load_catalog(SHIPPED / name)


def planned(name: str) -> Fit:
    gpu, host = MACHINES[name]
    return plan_for(shipped(name), NOWHERE, capacity=2, gpu_memory=gpu, host_memory=host)


EVERY_MODEL = [pytest.param(name, m, id=f"{name}-{m.id}") for name in MACHINES for m in shipped(name).engines]


def test_every_catalog_that_ships_is_looked_at() -> None:
    assert {p.name for p in SHIPPED.glob("*.toml")} == {*MACHINES, "echo.toml"}
    assert planned_of_echo().problems == ()


def planned_of_echo() -> Fit:
    return plan_for(shipped("echo.toml"), NOWHERE, capacity=2, gpu_memory="0", host_memory="1MiB")


@pytest.mark.parametrize("name", MACHINES)
def test_every_model_and_every_pair_fits_the_machine_it_is_for(name: str) -> None:
    fit = planned(name)
    assert fit.problems == ()
    for engine in fit.engines:
        assert engine.footprint.resident.fits(fit.scene.budget), engine.id
    for two in pairs(fit.engines):
        assert fits(two, fit.scene), [e.id for e in two]


@pytest.mark.parametrize("name", MACHINES)
def test_what_each_engine_is_planned_to_hold(name: str) -> None:
    fit = planned(name)
    held = {e.id: e.footprint.resident.device or e.footprint.resident.host for e in fit.engines}
    assert {model: gib(size) for model, size in held.items()} == {m: f"{g} GiB" for m, g in RESIDENT[name].items()}


@pytest.mark.parametrize("kind", Prices.load().types)
def test_every_instance_type_has_a_catalog_that_fits_it(kind: str) -> None:
    shape = Prices.load().shape(kind)
    host = f"{int(float(shape.memory.removesuffix('GiB')) / shape.gpus)}GiB"
    fit = plan_for(shipped(shape.catalog), NOWHERE, capacity=2, gpu_memory=shape.gpu_memory, host_memory=host)
    assert fit.problems == ()
    assert shape.gpu_memory == MACHINES[shape.catalog][0]


@pytest.mark.parametrize(("name", "model"), EVERY_MODEL)
def test_stated_sizes_are_those_of_the_models_shape(name: str, model: ModelSpec) -> None:
    shape = SHAPES[model.id]
    weights = shape.bytes(four_bits="AWQ" in model.precision)
    assert 0.995 * weights < model.weights_bytes < 1.03 * weights + 4_000_000, "with a tokenizer, and rounded"
    assert model.kv_bytes_per_token == shape.kv_bytes_per_token


@pytest.mark.parametrize(("name", "model"), EVERY_MODEL)
def test_a_cache_holds_a_whole_conversation_and_many_short_ones(name: str, model: ModelSpec) -> None:
    tokens = model.kv_bytes // model.kv_bytes_per_token
    assert tokens >= model.max_model_len
    assert tokens >= (16 * 1024 if name == "cpu.toml" else 7 * 1024)
    assert model.max_tokens <= model.max_model_len // 2 or name == "cpu.toml"


@pytest.mark.parametrize(("name", "model"), EVERY_MODEL)
def test_weights_are_of_one_revision_for_ever(name: str, model: ModelSpec) -> None:
    for source in model.sources:
        assert source.download_bytes > 0
        assert source.sha256 or (isinstance(source, HubSource) and re.fullmatch("[0-9a-f]{40}", source.revision))


@pytest.mark.parametrize("name", MACHINES)
def test_what_the_comments_say_is_so(name: str) -> None:
    text, fit = (SHIPPED / name).read_text(), planned(name)
    models = {m.id: m for m in shipped(name).engines}
    told = re.findall(r'^id = "(.+?)".*?^kv_bytes = .*?# ([\d ]+) tokens of\n.*?# ([\d x]+) x 2 B', text, re.M | re.S)
    assert {model for model, *_ in told} == set(models)
    for model, tokens, factors in told:
        per_token = 2
        for factor in factors.split(" x "):
            per_token *= int(factor)
        assert per_token == models[model].kv_bytes_per_token
        assert int(tokens.replace(" ", "")) == models[model].kv_bytes // per_token
    for size in re.findall(r"\(([\d.]+) GB from the hub\)", text):
        assert size == f"{sum(m.sources[0].download_bytes for m in models.values()) / 1e9:.1f}"
    for size in re.findall(r"# +together +([\d.]+) GiB", text):
        heaviest = max(a.footprint.resident.device + b.footprint.resident.device for a, b in pairs(fit.engines))
        assert gib(heaviest) == f"{size} GiB"
    for gpu, host in re.findall(r"--gpu-memory (\w+) --host-memory (\w+)", text.replace("\n# ", " ")):
        assert (gpu, host) == MACHINES[name]
