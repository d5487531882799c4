"""What a catalog's types cannot say: rules between an entry's fields, and between entries.

Each problem is ``(key, model, reason)``; the reason is one line that ends with the fix.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from worker.contract.model_spec import HubSource, ModelSpec, Source

Described = tuple[str, str, str, str, str]
Problem = tuple[str, str | None, str]
_Found = Iterator[tuple[str, str]]


def problems(entries: tuple[ModelSpec, ...]) -> Iterator[Problem]:
    """Every problem, in the file's order."""
    seen: dict[str, int] = {}
    holders: dict[str, int] = {}
    for i, spec in enumerate(entries):
        for field, value in (("id", spec.id), ("name", spec.name)):
            first = seen.setdefault(f"{field}={_letters(value) if field == 'name' else value}", i)
            if first != i:
                yield f"models[{i}].{field}", spec.id, f"{value!r} is already taken by models[{first}]; make it unique"
        for field, reason in (*_of_entry(spec, entries), *_of_variant(spec, entries, holders, i)):
            yield f"models[{i}].{field}", spec.id, reason
    enabled = sum(m.enabled and not m.retired for m in entries)
    if enabled < 2:
        yield "models", None, f"a battle needs two models and {enabled} is enabled; add or enable another"


def same_but_for_packing(one: Described, other: Described) -> bool:
    """Whether two models are one model otherwise packed: by their entries' word, or of one family, with as many
    parameters, in weights of different precision. Each is ``(id, family, parameters, precision, variant_of)``.
    """
    own, family, parameters, precision, parent = one
    if parent == other[0] or other[4] == own or (parent and parent == other[4]):
        return True
    told = bool(family and parameters and precision and other[3])
    return told and (family, parameters) == other[1:3] and precision != other[3]


def _of_variant(spec: ModelSpec, entries: tuple[ModelSpec, ...], holders: dict[str, int], i: int) -> _Found:
    """One model must not take two places unseen: clones lift each other's rank (arXiv:2603.26891)."""
    if spec.variant_of and spec.variant_of not in {m.id for m in entries} - {spec.id}:
        yield "variant_of", f"no other entry has the id {spec.variant_of!r}; name the one it is a variant of"
    if not spec.enabled or spec.retired or spec.variant_of:
        return
    for weights in _weights(spec):
        first = holders.setdefault(weights, i)
        if first != i:
            which = entries[first].id
            yield "variant_of", f"has the very weights of models[{first}]; say so: variant_of = {which!r}"
            return


def _weights(spec: ModelSpec) -> Iterator[str]:
    yield from (f"sha256={source.sha256}" for source in spec.sources if source.sha256)
    if spec.path:
        yield f"path={spec.path}"
    if spec.remote is not None:
        yield f"remote={spec.remote.base_url} {spec.remote.model}"


def _letters(name: str) -> str:
    """A name as people tell it from others: case, spaces and punctuation between words aside."""
    return re.sub(r"[\W_]+", " ", name.casefold()).strip() or name


def _of_entry(spec: ModelSpec, entries: tuple[ModelSpec, ...]) -> _Found:
    if spec.remote is not None and spec.engine != "remote":
        yield "remote", 'only an entry with engine = "remote" lives elsewhere; set the engine or remove the table'
    if spec.echo is not None and spec.engine != "echo":
        yield "echo", 'only an entry with engine = "echo" has a script; remove the table or set the engine'
    if spec.lora is not None and spec.engine != "vllm":
        yield "lora", 'only an entry with engine = "vllm" can be an adapter; remove the table or set the engine'
    elif spec.lora is not None:
        yield from _of_lora(spec, entries)
    elif spec.engine == "vllm":
        yield from _of_vllm(spec)
    elif spec.engine == "remote":
        yield from _of_remote(spec)
    else:
        yield from _without(spec, "an echo contender has no weights", "sources", "path")
    for n, source in enumerate(spec.sources):
        yield from ((f"sources[{n}].{field}", reason) for field, reason in _of_source(spec, source))


def _without(spec: ModelSpec, why: str, *fields: str) -> _Found:
    for field in fields:
        if getattr(spec, field):
            yield field, f"{why}; remove the {field}"


def _of_remote(spec: ModelSpec) -> _Found:
    if spec.remote is None:
        example = '{ base_url = "https://host/v1", model = "name", api_key_env = "VARIABLE" }'
        yield "remote", f"is required, for instance remote = {example}"
    yield from _without(spec, "a remote contender takes no memory here", "sources", "path", "kv_bytes", "weights_bytes")
    yield from _without(spec, "the remote endpoint has the model's own", "chat_template", "quantization")


def _of_lora(spec: ModelSpec, entries: tuple[ModelSpec, ...]) -> _Found:
    lora = spec.lora
    assert lora is not None
    base = next((m for m in entries if m.id == lora.base), None)
    if base is None:
        yield "lora.base", f"no entry has the id {lora.base!r}; add it (enabled = false keeps it out of battles)"
    elif base is spec or base.lora is not None:
        yield "lora.base", f"{lora.base!r} is itself an adapter; name the entry whose weights it was trained on"
    elif base.engine != "vllm":
        yield "lora.base", f"{lora.base!r} is no vLLM model; an adapter needs one with weights here"
    elif spec.max_tokens >= base.max_model_len:
        yield "max_tokens", _no_room(spec.max_tokens, f"the base's max_model_len = {base.max_model_len}")
    if lora.path and lora.source:
        yield "lora.path", "give either a path or a source, not both"
    if not lora.path and not lora.source:
        yield "lora", "says nowhere to get the adapter; add a path or a source to the table"
    if lora.source is not None and _one_file(lora.source):
        yield "lora.source", "an adapter is a folder, adapter_config.json and all; remove the name of the one file"
    elif lora.source is not None:
        yield from ((f"lora.source.{field}", reason) for field, reason in _of_source(spec, lora.source))
    yield from _without(spec, "an adapter's own files are in its lora table", "sources", "path")
    yield from _without(spec, "an adapter shares its base's engine", "kv_bytes", "quantization")
    if spec.format != "safetensors":
        yield "format", "an adapter is read as safetensors; remove the format"


def _one_file(source: Source) -> str:
    return source.file if isinstance(source, HubSource) else source.member


def _of_vllm(spec: ModelSpec) -> _Found:
    if spec.path and spec.sources:
        yield "path", "give either a path or sources, not both"
    if not spec.path and not spec.sources:
        yield "sources", "says nowhere to get the weights; add a [[models.sources]] table or a path"
    if spec.path and spec.format != "safetensors":
        yield "format", f"a path must hold a ready model folder; {spec.format!r} files need sources to be converted"
    if spec.kv_bytes <= 0:
        yield "kv_bytes", 'is required for vLLM: the memory of the KV cache, for instance "256MiB"'
    if spec.max_tokens >= spec.max_model_len:
        yield "max_tokens", _no_room(spec.max_tokens, f"max_model_len = {spec.max_model_len}")
    if spec.tie_embeddings and spec.format != "gguf":
        yield "tie_embeddings", 'only means something for format = "gguf"; remove it'


def _no_room(max_tokens: int, limit: str) -> str:
    return f"{max_tokens} leaves no room for a prompt in {limit}; lower one or raise the other"


def _of_source(spec: ModelSpec, source: Source) -> _Found:
    if isinstance(source, HubSource):
        if source.gated and not source.token_env:
            yield "token_env", 'a gated repository needs a token; name its variable: token_env = "HF_TOKEN"'
        if source.sha256 and not source.file:
            yield "sha256", "is the digest of one file; name that file, or pin a folder by its revision alone"
        if spec.format == "gguf" and not source.file:
            yield "file", 'format = "gguf" needs the name of the one .gguf file in the repository'
        return
    if not source.member and len(source.packages) > 1:
        yield "member", "several packages are joined from one file of each; give that file's name as a glob"
    if spec.format == "gguf" and not source.member:
        yield "member", 'format = "gguf" needs the file inside the package as a glob, for instance "*.gguf"'
