"""The catalog: which models compete, read from one TOML file that a person wrote.

Everybody reads it through :func:`load_catalog`, so a bad entry is refused the same way everywhere: one line with the
file, the key, the model and what to do about it. The fields are those of :class:`ModelSpec`.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from msgspec.structs import replace

from worker.contract.catalog_rules import problems
from worker.contract.model_spec import (
    ByteSize,
    EchoScript,
    HubSource,
    Lora,
    ModelSpec,
    NpmSource,
    PypiSource,
    Remote,
    SamplingDefaults,
    Source,
)

__all__ = [
    "ByteSize",
    "Catalog",
    "CatalogError",
    "EchoScript",
    "HubSource",
    "Lora",
    "ModelSpec",
    "NpmSource",
    "PypiSource",
    "Remote",
    "SamplingDefaults",
    "Source",
    "load_catalog",
]


class CatalogError(ValueError):
    """A catalog was refused. ``key`` is a path such as ``models[1].dtype`` (empty: the whole file)."""

    def __init__(self, file: str, key: str, reason: str, model: str | None = None) -> None:
        where = ": ".join(part for part in (file, f"{key} ({model})" if model else key) if part)
        super().__init__(f"{where}: {reason}")
        self.file = file
        self.key = key
        self.reason = reason
        self.model = model


@dataclass(frozen=True, slots=True)
class Catalog:
    """``models`` compete, in the file's order; ``entries`` also holds the retired and those with
    ``enabled = false``."""

    entries: tuple[ModelSpec, ...]
    title: str = ""

    @property
    def models(self) -> tuple[ModelSpec, ...]:
        return tuple(m for m in self.entries if m.enabled and not m.retired)

    @property
    def ids(self) -> tuple[str, ...]:
        """Ids of the models that compete."""
        return tuple(m.id for m in self.models)

    @property
    def needed(self) -> tuple[ModelSpec, ...]:
        """Entries whose files a worker needs: the models that compete, and the bases of the adapters among them."""
        bases = {m.lora.base for m in self.models if m.lora is not None}
        return tuple(m for m in self.entries if m.id in bases or (m.enabled and not m.retired))

    @property
    def engines(self) -> tuple[ModelSpec, ...]:
        """Entries that are engines of their own: what is needed, less the adapters."""
        return tuple(m for m in self.needed if m.lora is None)

    def get(self, model: str) -> ModelSpec | None:
        """The entry of that id, enabled or not; ``None`` when the catalog has none."""
        return next((m for m in self.entries if m.id == model), None)

    def engine_of(self, model: str) -> str:
        """The id of the engine that answers as ``model``: an adapter's base, else the model itself."""
        spec = self.get(model)
        return model if spec is None or spec.lora is None else spec.lora.base

    def adapters_of(self, base: str) -> tuple[ModelSpec, ...]:
        """The competing adapters over the engine ``base``."""
        return tuple(m for m in self.models if m.lora is not None and m.lora.base == base)


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    models: tuple[ModelSpec, ...]
    title: str = ""


def load_catalog(path: str | Path) -> Catalog:
    """Read and check a catalog. Raises CatalogError, in one line a person can act on, for anything wrong with it."""
    file = Path(path)
    data = _read_toml(file)
    try:
        parsed = msgspec.convert(data, _File, dec_hook=_size)
    except msgspec.ValidationError as error:
        raise _explained(str(file), data, str(error)) from None
    entries = tuple(_resolve_template(file, i, spec) for i, spec in enumerate(parsed.models))
    for key, model, reason in problems(entries):
        raise CatalogError(str(file), key, reason, model)
    return Catalog(entries, parsed.title)


def _read_toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CatalogError(str(file), "", "no such file; ops/catalogs/ has ready ones") from None
    except OSError as error:
        raise CatalogError(str(file), "", f"cannot be read: {error.strerror}") from None
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise CatalogError(str(file), "", f"is not valid TOML: {error}") from None


def _size(kind: type, value: object) -> object:
    if kind is ByteSize:
        return ByteSize.parse(value)
    raise NotImplementedError(kind)


def _resolve_template(file: Path, index: int, spec: ModelSpec) -> ModelSpec:
    """A ``chat_template`` without Jinja marks is a file's name: put its text in its place."""
    if not spec.chat_template or "{" in spec.chat_template:
        return spec
    try:
        text = (file.parent / spec.chat_template).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        reason = f"{spec.chat_template!r} is neither a Jinja template nor a readable file beside the catalog"
        raise CatalogError(str(file), f"models[{index}].chat_template", reason, spec.id) from None
    return replace(spec, chat_template=text)


# ── msgspec's words made readable ────────────────────────────────────────────────────────────────────────────────

_FIXES = {
    "kind": "use pypi, npm or hub",
    "engine": "use vllm, echo or remote",
    "format": "use safetensors, gguf or onnx-minimind",
    "dtype": "use auto, bfloat16, float16 or float32",
    "fail": "use load, wake, canary, start or midway, or leave it out",
    "sleep": "use off, l1 or l2",
    "id": "use lower-case letters, digits, dots, dashes and underscores, at most 64",
    "sha256": "use the 64 hexadecimal digits that sha256sum prints",
    "packages": "pin the exact version: name==1.2.3 (pypi), name@1.2.3 (npm)",
    "repo": "use owner/name as the hub spells it",
    "token_env": "use the name of an environment variable, such as HF_TOKEN, never the token",
    "base_url": "use an address such as https://host/v1, without a key in it; api_key_env names the key's variable",
    "api_key_env": "use the name of an environment variable, such as OPENAI_API_KEY, never the key",
    "base": "use the id of the entry whose weights the adapter was trained on",
}


def _explained(file: str, data: dict[str, Any], message: str) -> CatalogError:
    """msgspec's ``what - at `$.where``` as a CatalogError that names the key, the model and the fix."""
    what, _, where = message.partition(" - at `$")
    key = where.rstrip("`").lstrip(".")
    absent = re.fullmatch(r"Object (missing required|contains unknown) field `(.+)`", what)
    if absent:
        key = f"{key}.{absent[2]}".lstrip(".")
        what = "is required" if absent[1] == "missing required" else f"is no known field{_nearest(absent[2])}"
    else:
        fix = _FIXES.get(re.sub(r"\[\d+\]$", "", key).rpartition(".")[2])
        what = re.sub(r" matching regex.*", " of another form", what) + (f"; {fix}" if fix else "")
    return CatalogError(file, key, what.replace("`", ""), _model_at(data, key))


def _model_at(data: dict[str, Any], key: str) -> str | None:
    """The id of the entry ``key`` lies in, as far as the broken file has one."""
    index = re.match(r"models\[(\d+)\]", key)
    entry = data["models"][int(index[1])] if index else None
    name = entry.get("id") if isinstance(entry, dict) else None
    return name if isinstance(name, str) else None


def _nearest(field: str) -> str:
    kinds: tuple[type, ...] = (_File, ModelSpec, PypiSource, HubSource, SamplingDefaults, EchoScript, Lora, Remote)
    known = {name for kind in kinds for name in kind.__struct_fields__}  # type: ignore[attr-defined]
    close = difflib.get_close_matches(field, sorted(known - {field}), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""
