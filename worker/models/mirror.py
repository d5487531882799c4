"""Finished model folders, in a folder or behind any static web server: what a host without the internet fetches from.

A mirror is laid out as a models directory is, so that a models directory is a mirror too. What each file must turn out
to be is in the model's PROVENANCE.json there: this guards against damage, and against nobody who can write to the
mirror or to the line.
"""

from __future__ import annotations

import http.client
import json
import shutil
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Protocol
from urllib.parse import quote, urlsplit

from worker.contract.catalog import ModelSpec
from worker.models import adapters, convert, store
from worker.models.errors import ModelsError, SourceError
from worker.models.hub import link
from worker.models.progress import Progress
from worker.models.ranged import PART, SILENT_S, Mismatch, Published, append, bring, digest_of, download, opener

KEPT = "mirror"
"""Below the kept downloads: what has arrived from mirrors."""
_MOST_PROVENANCE = 4 << 20
_AGAIN = "where it is made, run again: python -m worker.models mirror"
_GO_ON = "fetch again: it goes on where it was"


class Mirror(Protocol):
    """``name`` is for messages, ``address`` for PROVENANCE.json."""

    @property
    def name(self) -> str: ...

    @property
    def address(self) -> str: ...

    def read(self, model: str) -> bytes:
        """The model's PROVENANCE.json. Raises FileNotFoundError when the mirror has no such model, else OSError."""

    def more(self, model: str, file: str, size: int, part: Path, on_tick: Callable[[int], None]) -> None:
        """Append to ``part`` what it lacks. Raises OSError."""

    def digest(self, model: str, file: str) -> str:
        """Of a file that the PROVENANCE.json, an older one, has no digest of. Raises SourceError or OSError."""


@dataclass(frozen=True, slots=True)
class Folder:
    """A mirror on a disk of this machine; the models directory itself, when a mirror is made of it."""

    root: Path

    @property
    def name(self) -> str:
        return f"mirror {self.root}"

    @property
    def address(self) -> str:
        return str(self.root)

    def read(self, model: str) -> bytes:
        if not self.root.is_dir():
            raise SourceError(self.name, "there is no such folder", "is its disk mounted?")
        return (self.root / model / store.PROVENANCE).read_bytes()

    def more(self, model: str, file: str, size: int, part: Path, on_tick: Callable[[int], None]) -> None:
        with (self.root / model / file).open("rb") as source, part.open("ab") as out:
            source.seek(out.tell())
            append(source, out, on_tick)

    def digest(self, model: str, file: str) -> str:
        return digest_of(self.root / model / file)


@dataclass(frozen=True, slots=True)
class Web:
    """A mirror behind a web server; one that knows ranges lets an interrupted file go on."""

    url: str

    @property
    def name(self) -> str:
        return f"mirror {self.url}"

    @property
    def address(self) -> str:
        return self.url

    def read(self, model: str) -> bytes:
        request = urllib.request.Request(self._of(model, store.PROVENANCE), headers={"User-Agent": "llm-arena"})  # noqa: S310 - see opener
        try:
            with opener().open(request, timeout=SILENT_S) as answer:
                return bytes(answer.read(_MOST_PROVENANCE))
        except urllib.error.HTTPError as error:
            if error.code in (404, 410):
                raise FileNotFoundError(model) from None
            raise

    def more(self, model: str, file: str, size: int, part: Path, on_tick: Callable[[int], None]) -> None:
        download(self._of(model, file), part, size, on_tick=on_tick)

    def digest(self, model: str, file: str) -> str:
        raise SourceError(self.name, f"its {model} has no digests", _AGAIN)

    def _of(self, model: str, file: str) -> str:
        return f"{self.url}/{quote(model)}/{quote(file)}"


@dataclass(frozen=True, slots=True)
class Offer:
    """A model as a mirror has it, which is as the catalog wants it."""

    mirror: Mirror
    spec: ModelSpec
    made_of: dict[str, Any]
    files: dict[str, Published]

    @property
    def size(self) -> int:
        return sum(f.size for f in self.files.values())


def mirror_at(text: str) -> Mirror:
    """``text``: a folder, or an http(s) address. Raises ModelsError."""
    if "://" not in text:
        return Folder(Path(text).expanduser().absolute())
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise ModelsError(f"{text!r} is no mirror; name a folder, or an address such as https://host/models")
    if parts.username is not None or parts.password is not None:
        raise ModelsError("a mirror's address has no name and password in it; let this host in by its address")
    return Web(text.rstrip("/"))


def offered(mirror: Mirror, spec: ModelSpec) -> Offer:
    """The model in the mirror. Raises SourceError when it is not there, or not what the entry describes."""
    try:
        made_of = json.loads(mirror.read(spec.id))
    except FileNotFoundError:
        raise SourceError(mirror.name, f"it has no {spec.id}", f"{_AGAIN}, with this catalog") from None
    except (OSError, http.client.HTTPException) as error:
        raise SourceError(mirror.name, *_explained(error)) from None
    except ValueError:
        made_of = None
    if not isinstance(made_of, dict) or made_of.get("model") != spec.id:
        raise SourceError(mirror.name, f"its {spec.id} has no {store.PROVENANCE} that can be read", _AGAIN)
    if not store.matches(made_of, spec):
        was = str(made_of.get("source"))[:100]
        cause = f"its {spec.id} was made of {was!r}, for another entry or by another version of the arena"
        raise SourceError(mirror.name, cause, f"{_AGAIN}, with this catalog and version")
    return Offer(mirror, spec, made_of, _published(mirror, spec.id, made_of))


def bring_model(offer: Offer, build: Path, kept: Path, progress: Progress) -> Path:
    """The model's folder, below ``build``, each file as the mirror's PROVENANCE.json says. Raises SourceError.

    What has arrived stays below ``kept``, a folder on the disk of ``build``, should this be interrupted.
    """
    mirror, model = offer.mirror, offer.spec.id
    progress.step(f"{model} from {mirror.name}")
    here, before = kept_of(kept, model), 0
    for name, published in offer.files.items():
        _bring(offer, name, here / name, lambda done, before=before: progress.tick(before + done, offer.size))  # type: ignore[misc]
        before += published.size
        progress.tick(before, offer.size)
    folder = build / "model"
    folder.mkdir()
    link(here, into=folder, names=offer.files)
    check = convert.check_folder if offer.spec.lora is None else adapters.check_folder
    check(folder)
    digests = {name: published.digest for name, published in offer.files.items()}
    store.sign(folder, {**offer.made_of, "sha256": digests, "mirror": mirror.address})
    return folder


def kept_of(kept: Path, model: str) -> Path:
    """What has arrived of a model, below ``kept``."""
    return kept / KEPT / model


def let_go(kept: Path, model: str) -> None:
    """The model is installed: what was kept of it is the same files under other names."""
    shutil.rmtree(kept_of(kept, model), ignore_errors=True)


def _bring(offer: Offer, name: str, file: Path, on_tick: Callable[[int], None]) -> None:
    mirror, model, published = offer.mirror, offer.spec.id, offer.files[name]
    try:
        bring(file, published, lambda part: mirror.more(model, name, published.size, part, on_tick))
    except Mismatch as wrong:
        fix = "the mirror is damaged; python -m worker.models verify tells there what is"
        raise SourceError(mirror.name, f"{model}/{name}: {wrong}", fix) from None
    except (OSError, http.client.HTTPException) as error:
        cause, fix = _explained(error)
        raise SourceError(mirror.name, f"{model}/{name}: {cause}", fix) from None


def _published(mirror: Mirror, model: str, made_of: dict[str, Any]) -> dict[str, Published]:
    """What each file must turn out to be; names that lead out of the model's folder are refused."""
    sizes, digests = made_of.get("files"), made_of.get("sha256", {})
    if not isinstance(sizes, dict) or not isinstance(digests, dict) or not all(_may_be(n, s) for n, s in sizes.items()):
        raise SourceError(mirror.name, f"the {store.PROVENANCE} of its {model} names files that cannot be", _AGAIN)
    try:
        return {
            name: Published(size, "sha256", str(digests.get(name) or mirror.digest(model, name)))
            for name, size in sizes.items()
        }
    except OSError as error:
        raise SourceError(mirror.name, f"{model}: {error.strerror}: {error.filename}", _AGAIN) from None


def _may_be(name: str, size: object) -> bool:
    path = PurePosixPath(name)
    inside = not path.is_absolute() and not {"", ".", ".."} & set(name.split("/")) and "\\" not in name
    plain = inside and name.isprintable() and path.name != store.PROVENANCE and not name.endswith(PART)
    return plain and isinstance(size, int) and not isinstance(size, bool) and size >= 0


def _explained(error: Exception) -> tuple[str, str]:
    """``(cause, fix)`` of what a disk, a server or the line said."""
    if isinstance(error, urllib.error.HTTPError):
        if error.code in (401, 403):
            return f"the server refuses ({error.code})", "let this host in there"
        if error.code in (404, 410):
            return "there is no such file", _AGAIN
        return f"the server answers {error.code}", "look at the server's log, then fetch again"
    if isinstance(error, urllib.error.URLError):
        fix = "check the address and the network; SSL_CERT_FILE names the certificate of an authority of your own"
        return f"cannot be reached ({error.reason})"[:300], fix
    if isinstance(error, ConnectionError | TimeoutError | http.client.HTTPException):
        return f"the download was cut off ({error})"[:300], _GO_ON
    what = getattr(error, "strerror", None) or str(error)
    return f"{what}: {getattr(error, 'filename', '')}", "look at that disk, then fetch again"
