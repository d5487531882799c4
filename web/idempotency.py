"""``Idempotency-Key`` on every POST: a request that is sent again is answered again, and not done again.

The rules:

- A key belongs to who is asking: an API key, or a session. The same key with the same request (method, address, body)
  gets the first answer again, with ``Idempotency-Replayed: true``; with another request, 422 ``idempotency_mismatch``;
  while the first is still being answered, 409 ``idempotency_in_flight`` with ``Retry-After``.
- Only success is kept, for :data:`KEPT_S`. A refusal or a failure changed nothing, so asking again is safe, and may
  succeed by then.
- Somebody without a session gets one with the answer, cookie included, and must get the same cookie when asking again.
  Nothing but the key then says who that is, so it must be hard to guess, :data:`UNGUESSABLE` characters or more, and
  works from the same address, for :data:`KEPT_FOR_STRANGERS_S` only.
- A stream (server-sent events), an answer over :data:`LONGEST_ANSWER`, or texts where none may be stored, is not kept:
  the key is spent, and asking again gets 409 ``not_replayable``.
- A claim ends by itself (see :func:`takes`), so a process that died blocks its key no longer than that.

A vote keeps its key in its own row as well, in the same transaction, so that it is replayed for as long as it stands,
and can be cast while Redis is away. Every other POST with a key is refused (503) then: better not done than done twice.
"""

from __future__ import annotations

import hashlib
import logging
import secrets
from base64 import b64decode, b64encode
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from flask import Flask, Response, current_app, g, request
from redis.exceptions import RedisError

from web.context import arena
from web.errors import BadIdempotencyKey, IdempotencyInFlight, IdempotencyMismatch, NotReplayable
from web.live.visitor import household
from web.security import client_address, current_owner

log = logging.getLogger(__name__)

View = TypeVar("View", bound=Callable[..., Any])

HEADER, REPLAYED = "Idempotency-Key", "Idempotency-Replayed"
LONGEST_KEY = 64
UNGUESSABLE = 22
"""Characters that 128 random bits take at least, in any usual spelling."""
KEPT_S = 24 * 3600
KEPT_FOR_STRANGERS_S = 600
LONGEST_ANSWER = 256 * 1024
CLAIM_S = 60
"""How long a claim without an answer stands."""
_RETRY_S = 1
_KEPT_HEADERS = ("Content-Type", "Location", "Set-Cookie", "ETag")
_NOTE = "_arena_idempotency"

_CLAIM = """
local held = redis.call('get', KEYS[1])
if held then return held end
redis.call('set', KEYS[1], ARGV[1], 'EX', ARGV[2])
return false
"""
_SETTLE = """
if redis.call('get', KEYS[1]) ~= ARGV[1] then return 0 end
if ARGV[2] == '' then redis.call('del', KEYS[1]) else redis.call('set', KEYS[1], ARGV[2], 'EX', ARGV[3]) end
return 1
"""
"""Both only touch a claim that is still the caller's own."""


class _Answer(msgspec.Struct, frozen=True):
    status: int
    headers: list[tuple[str, str]]
    body: str


class _Entry(msgspec.Struct, frozen=True, omit_defaults=True):
    """What Redis holds: of which request, claimed by whom; ``answer`` once there is one; ``spent``: none is kept."""

    request: str
    claim: str = ""
    answer: _Answer | None = None
    spent: bool = False


class _Held(msgspec.Struct, frozen=True):
    """This request's own claim."""

    key: str
    entry: bytes
    request: str
    kept_s: int


def takes(seconds: float) -> Callable[[View], View]:
    """Declare that a view may take longer than :data:`CLAIM_S`, so that a second one cannot begin meanwhile."""
    return lambda view: _note(view, "claim_s", seconds)


def keeps_its_own(view: View) -> View:
    """Declare that a view stores the key with what it does: it then works without Redis too."""
    return _note(view, "own", True)


def holds_texts(view: View) -> View:
    """Declare that a view answers with what people or models wrote: not kept where ``ARENA_STORE_TEXT`` is never."""
    return _note(view, "texts", True)


def given() -> str | None:
    """This request's key. Raises BadIdempotencyKey."""
    key = request.headers.get(HEADER)
    if key is None:
        return None
    if not (0 < len(key) <= LONGEST_KEY and all("!" <= c <= "~" for c in key)):
        raise BadIdempotencyKey(
            f"Idempotency-Key must have 1 to {LONGEST_KEY} visible ASCII characters and no space.", field=HEADER
        )
    return key


def init_app(app: Flask) -> None:
    """Register the claim before and the keeping after every POST; after everything that refuses."""

    @app.before_request
    def claim() -> Response | None:
        key = given() if request.method == "POST" and request.endpoint is not None else None
        return None if key is None else _claim(key)

    def settle(response: Response) -> Response:
        held: _Held | None = g.pop("idempotency", None)
        if held is not None:
            _settle(held, response)
        return response

    # First in the list is called last: the cookie that a session begins with is part of the answer.
    app.after_request_funcs.setdefault(None, []).insert(0, settle)


def _claim(key: str) -> Response | None:
    owner = current_owner()
    if owner is None and len(key) < UNGUESSABLE:
        raise BadIdempotencyKey(
            f"Before there is a session the key alone says who is asking: make it at least {UNGUESSABLE} random "
            "characters, such as a UUID.",
            field=HEADER,
        )
    who = owner or "address " + household(client_address(request, arena().settings))
    place = "arena:idempotency:" + hashlib.sha256(f"{who}\n{key}".encode()).hexdigest()
    wanted = _digest()
    entry = msgspec.json.encode(_Entry(wanted, claim=secrets.token_urlsafe(12)))
    notes = _notes()
    try:
        found = arena().redis.eval(_CLAIM, 1, place, entry, round(notes.get("claim_s", CLAIM_S)))
    except RedisError:
        if notes.get("own"):
            return None
        raise
    if found is not None:
        return _repeat(msgspec.json.decode(found, type=_Entry), wanted)
    g.idempotency = _Held(place, entry, wanted, KEPT_S if owner else KEPT_FOR_STRANGERS_S)
    return None


def _digest() -> str:
    """Of everything that makes two requests the same."""
    taken = hashlib.sha256(f"{request.method} {request.full_path}\n{request.mimetype}\n".encode())
    taken.update(request.get_data(cache=True))
    return taken.hexdigest()


def _repeat(entry: _Entry, wanted: str) -> Response:
    if entry.request != wanted:
        raise IdempotencyMismatch("Use another Idempotency-Key for another request.", field=HEADER)
    if entry.spent:
        raise NotReplayable("This request has been answered, with what cannot be given again. Use another key.")
    if entry.answer is None:
        raise IdempotencyInFlight(retry_after_s=_RETRY_S)
    response = Response(b64decode(entry.answer.body), entry.answer.status)
    response.headers.clear()
    response.headers.extend(entry.answer.headers)
    response.headers[REPLAYED] = "true"
    return response


def _settle(held: _Held, response: Response) -> None:
    """Keep the answer, or give the key back. When Redis fails now, the claim ends by itself."""
    kept = b""
    if 200 <= response.status_code < 300:
        kept = msgspec.json.encode(_kept(held, response))
    try:
        arena().redis.eval(_SETTLE, 1, held.key, held.entry, kept, held.kept_s)
    except RedisError as error:
        log.error("an answer is not kept for its Idempotency-Key: %s", type(error).__name__)


def _kept(held: _Held, response: Response) -> _Entry:
    body = b"" if response.is_streamed else response.get_data()
    unkept = _notes().get("texts") and arena().settings.store_text == "never"
    if response.is_streamed or unkept or len(body) > LONGEST_ANSWER:
        return _Entry(held.request, spent=True)
    headers = [(name, value) for name, value in response.headers if name in _KEPT_HEADERS]
    return _Entry(held.request, answer=_Answer(response.status_code, headers, b64encode(body).decode()))


def _notes() -> dict[str, Any]:
    view = current_app.view_functions.get(request.endpoint or "")
    found: dict[str, Any] = getattr(view, _NOTE, {})
    return found


def _note(view: View, name: str, value: Any) -> View:
    setattr(view, _NOTE, {**getattr(view, _NOTE, {}), name: value})
    return view
