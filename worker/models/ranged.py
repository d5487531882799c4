"""A file over HTTP that goes on where it was: after a lost connection, and after a fetch that was killed.

The hub's own client begins anew whenever its process ended, which on a slow line means that a file of gigabytes never
arrives. Here what has arrived stays in a ``.part`` beside its place, the next request asks for the rest, and only a
file whose digest is the published one gets its name.
"""

from __future__ import annotations

import hashlib
import http.client
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

PART = ".part"
_CHUNK = 1 << 20
SILENT_S = 30
_TRIES = 5
"""Connections in a row that may bring nothing before the file is given up for now."""
_TRY_AGAIN = (408, 429, 500, 502, 503, 504)


@dataclass(frozen=True, slots=True)
class Published:
    """What a file must turn out to be. ``kind``: how ``digest`` is made, ``sha256`` or git's ``blob``."""

    size: int
    kind: str
    digest: str


class Mismatch(Exception):  # noqa: N818
    """Twice in a row the file was not what was published."""


def digest_of(file: Path, kind: str = "sha256", on_tick: Callable[[int], None] | None = None) -> str:
    """In hexadecimal. ``blob`` is how git names a file's content: its length goes first, and SHA-1 is fixed."""
    if kind == "blob":
        digest = hashlib.sha1(b"blob %d\0" % file.stat().st_size, usedforsecurity=False)
    else:
        digest = hashlib.sha256()
    with file.open("rb") as stream:
        while block := stream.read(_CHUNK):
            digest.update(block)
            if on_tick:
                on_tick(stream.tell())
    return digest.hexdigest()


def bring(file: Path, published: Published, more: Callable[[Path], None]) -> None:
    """Have ``file``, as published, by ``more(part)``, which appends what ``part`` lacks.

    What is here already is checked, not brought; what turns out wrong is brought once more from its beginning. Raises
    Mismatch, and whatever ``more`` raises.
    """
    if is_as(file, published):
        return
    file.unlink(missing_ok=True)
    part = file.with_name(file.name + PART)
    part.parent.mkdir(parents=True, exist_ok=True)
    for _ in range(2):
        part.touch()  # of an empty file nothing more is to come
        more(part)
        if is_as(part, published):
            part.replace(file)
            return
        found = digest_of(part, published.kind)
        part.unlink()
    raise Mismatch(f"{published.kind} is {found} and {published.digest} is published")


def is_as(file: Path, published: Published) -> bool:
    """Whether the file is here and what was published."""
    try:
        return file.stat().st_size == published.size and digest_of(file, published.kind) == published.digest
    except FileNotFoundError:
        return False


def download(
    url: str,
    part: Path,
    size: int,
    headers: Mapping[str, str] | None = None,
    pause: Callable[[float], None] = time.sleep,
    on_tick: Callable[[int], None] | None = None,
) -> None:
    """Append to ``part`` until it has ``size`` bytes. Raises OSError (HTTPError: refused) when it cannot be had.

    ``on_tick`` is told how many bytes ``part`` has, now and again.
    """
    failed = 0
    while (at := _length(part)) != size:
        if at > size:
            part.unlink()
            continue
        try:
            _rest(url, part, at, headers or {}, on_tick)
            problem: Exception = ConnectionError("the connection ends too early")
        except urllib.error.HTTPError as error:
            if error.code not in _TRY_AGAIN:
                raise
            problem = error
        except (OSError, http.client.HTTPException) as error:
            problem = error
        failed = 0 if _length(part) > at else failed + 1
        if failed >= _TRIES:
            raise problem if isinstance(problem, OSError) else ConnectionError(str(problem))
        if failed:
            pause(0.5 * 2**failed)


def _rest(url: str, part: Path, at: int, headers: Mapping[str, str], on_tick: Callable[[int], None] | None) -> None:
    request = urllib.request.Request(url, headers={"User-Agent": "llm-arena"})  # noqa: S310 - see opener
    if at:
        request.add_header("Range", f"bytes={at}-")
    for name, value in headers.items():
        request.add_unredirected_header(name, value)
    with opener().open(request, timeout=SILENT_S) as answer:
        goes_on = answer.status == 206 and answer.headers.get("Content-Range", "").startswith(f"bytes {at}-")
        with part.open("ab" if goes_on else "wb") as out:
            append(answer, out, on_tick)


def append(source: IO[bytes], out: IO[bytes], on_tick: Callable[[int], None] | None = None) -> None:
    """What ``source`` has left, told as it arrives: the position in ``out``."""
    while block := source.read(_CHUNK):
        out.write(block)
        if on_tick:
            on_tick(out.tell())


class _SameHost(urllib.request.HTTPRedirectHandler):
    """A token goes along to another page of the host it is for, and never to the store a hub sends us on to."""

    def redirect_request(self, req: Any, fp: Any, code: Any, msg: Any, headers: Any, newurl: Any) -> Any:
        new = super().redirect_request(req, fp, code, msg, headers, newurl)
        if new is not None and urlsplit(newurl)[:2] == urlsplit(req.full_url)[:2]:
            new.unredirected_hdrs.update({k: v for k, v in req.unredirected_hdrs.items() if k == "Authorization"})
        return new


def opener() -> urllib.request.OpenerDirector:
    """HTTP and its proxies alone: a redirect can lead to no file of this machine."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler,
        urllib.request.HTTPHandler,
        urllib.request.HTTPSHandler,
        urllib.request.HTTPDefaultErrorHandler,
        urllib.request.HTTPErrorProcessor,
        urllib.request.UnknownHandler,
        _SameHost,
    ):
        opener.add_handler(handler())
    return opener


def _length(part: Path) -> int:
    try:
        return part.stat().st_size
    except FileNotFoundError:
        return 0
