"""What stands before a session's first battle, where ``ARENA_CHALLENGE`` says so: a proof of work, or one's own check.

A client that begins a battle without an answer is refused with ``challenge_needed`` and gets the challenge with it
(``GET /api/challenge`` gives one too). It sends its answer in the header ``Arena-Challenge``. Sessions that have begun
a battle are not asked again; keys are never asked, since an operator gave them out.

The built-in proof of work: find a number, so that SHA-256 of ``<seed>.<number>`` begins with ``difficulty`` zero bits.
The server keeps nothing of a challenge until it is answered: its token is signed and says when it ends and for which
address it was made; an answered one is remembered until then, so that it opens one battle only.

One's own: ``ARENA_CHALLENGE=package.module:factory``, where ``factory(settings, redis)`` returns a :class:`Guard`.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, cast

from flask import Flask, current_app, request
from itsdangerous import BadSignature, URLSafeTimedSerializer
from sqlalchemy import select

from web.access import current_key
from web.context import arena
from web.errors import ChallengeNeeded
from web.live.visitor import household
from web.models import Battle
from web.production import Misconfigured
from web.security import client_address, current_owner

if TYPE_CHECKING:
    from web.settings import WebSettings

HEADER = "Arena-Challenge"
ROUTE = "/api/battles"
"""Where a battle begins."""
LONGEST_ANSWER = 2048
PROOF_OF_WORK = "proof_of_work"
_LONGEST_NUMBER = 20


@dataclass(frozen=True, slots=True)
class Asker:
    """Who wants to begin. ``owner``: the session's hash, None before there is one; ``address``: an IPv6 one's /64."""

    owner: str | None
    address: str


class Guard(Protocol):
    """A check before the first battle."""

    def challenge(self, asker: Asker) -> dict[str, Any]:
        """What a client must answer, as JSON with a ``kind``; it is told to the client."""

    def passes(self, answer: str, asker: Asker) -> bool:
        """Whether this answer, at most :data:`LONGEST_ANSWER` characters, opens a battle. It may ask a service."""


class ChallengeError(Misconfigured):
    """The settings name no usable guard."""


class ProofOfWork:
    """The built-in guard."""

    def __init__(self, settings: WebSettings, redis: Any) -> None:
        digest = {"digest_method": hashlib.sha256}
        self._signer = URLSafeTimedSerializer(settings.signing_key(), salt="arena-challenge", signer_kwargs=digest)
        self._redis = redis
        self._difficulty = settings.challenge_difficulty
        self._ttl_s = settings.challenge_ttl_s

    def challenge(self, asker: Asker) -> dict[str, Any]:
        """``seed`` and ``difficulty`` to work on; the answer is ``<token>:<number>``."""
        seed = secrets.token_urlsafe(16)
        token = self._signer.dumps([seed, self._difficulty, _short(asker.address)])
        return {
            "kind": PROOF_OF_WORK,
            "seed": seed,
            "difficulty": self._difficulty,
            "token": str(token),
            "expires_in_s": self._ttl_s,
        }

    def passes(self, answer: str, asker: Asker) -> bool:
        """Whether it is an unused proof for a challenge of ours that has not ended."""
        token, _, number = answer.partition(":")
        if not number.isascii() or not number.isdecimal() or len(number) > _LONGEST_NUMBER:
            return False
        try:
            seed, difficulty, place = self._signer.loads(token, max_age=self._ttl_s)
        except (BadSignature, ValueError, TypeError):
            return False
        if place != _short(asker.address) or zero_bits(f"{seed}.{number}") < difficulty:
            return False
        return bool(self._redis.set(f"arena:challenge:{seed}", 1, nx=True, ex=self._ttl_s + 1))


def zero_bits(text: str) -> int:
    """Leading zero bits of the text's SHA-256."""
    found = int.from_bytes(hashlib.sha256(text.encode()).digest(), "big")
    return 256 - found.bit_length()


def _short(address: str) -> str:
    return hashlib.sha256(address.encode()).hexdigest()[:16]


def init_app(app: Flask, settings: WebSettings, redis: Any) -> None:
    """Make the guard the settings name and put it before a first battle, after ``Idempotency-Key`` has been looked at:
    an answer that is replayed needs no proof. Raises ChallengeError in a line that says what to change.
    """
    app.extensions["arena_guard"] = guard = guard_of(settings, redis)
    if guard is None:
        return

    @app.before_request
    def before_the_first_battle() -> None:
        if request.method == "POST" and request.url_rule is not None and request.url_rule.rule == ROUTE:
            demand()


def guard_of(settings: WebSettings, redis: Any) -> Guard | None:
    """The guard that ``ARENA_CHALLENGE`` names; None when nothing stands before a battle."""
    if settings.challenge == "off":
        return None
    if settings.challenge == PROOF_OF_WORK:
        return ProofOfWork(settings, redis)
    return cast(Guard, _factory(settings.challenge)(settings, redis))


@functools.cache
def _factory(path: str) -> Callable[[WebSettings, Any], Any]:
    module, _, name = path.partition(":")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ChallengeError(
            f"ARENA_CHALLENGE={path}: {error}; it is off, proof_of_work or package.module:factory"
        ) from None
    return cast(Callable[..., Any], found)


def current() -> dict[str, Any] | None:
    """A challenge for whoever is asking; None when nothing stands before their next battle."""
    guard: Guard | None = current_app.extensions["arena_guard"]
    if guard is None or _is_known():
        return None
    return guard.challenge(_asker())


def demand() -> None:
    """Let the asker begin a battle or raise ChallengeNeeded, which carries a challenge."""
    guard: Guard | None = current_app.extensions["arena_guard"]
    if guard is None or _is_known():
        return
    answer = request.headers.get(HEADER, "")
    if answer and len(answer) <= LONGEST_ANSWER and guard.passes(answer, _asker()):
        return
    why = "This answer opens nothing; here is a new challenge." if answer else "Answer the challenge first."
    raise ChallengeNeeded(f"{why} Send the answer in the header {HEADER}.", challenge=guard.challenge(_asker()))


def _asker() -> Asker:
    return Asker(current_owner(), household(client_address(request, arena().settings)))


def _is_known() -> bool:
    """Whether a key asks, or a session that has begun a battle before."""
    if current_key() is not None:
        return True
    owner = current_owner()
    if owner is None:
        return False
    return arena().db.read(lambda s: s.scalar(select(Battle.id).where(Battle.owner == owner).limit(1))) is not None
