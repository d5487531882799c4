"""One-time tickets: how a page of another origin may watch one battle without the owner's cookie.

Whoever owns a battle fetches a ticket for it and hands it to the embedding page; that page opens a socket with it,
from wherever it is. A ticket opens one socket within :data:`TTL_S` seconds, which can follow that one battle and,
like every socket, do nothing else. The store keeps only a hash of it.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from typing import Any

import msgspec
from flask import Request

from web.errors import BadTicket, TooManyTickets
from web.live.visitor import Visitor

TTL_S = 30
MOST_AT_A_TIME = 30
"""Tickets a session may have fetched within one lifetime."""
PREFIX = "ticket."
"""A ticket may be offered as a subprotocol, ``arena.v1`` beside it: it then appears in no address and no log."""
_FORM = re.compile(r"[A-Za-z0-9_-]{43}")


class _Granted(msgspec.Struct, frozen=True):
    battle: str
    owner: str
    key: str | None = None


def issue(redis: Any, owner: str, battle: str, key: str | None = None) -> str:
    """A new ticket; the caller has checked that the battle is the owner's. ``key``: the id of who asks, if a key does.

    Raises TooManyTickets.
    """
    ticket = secrets.token_urlsafe(32)
    counter = f"arena:tickets:{owner[:32]}"
    with redis.pipeline(transaction=True) as pipe:
        pipe.incr(counter)
        pipe.expire(counter, TTL_S, nx=True)
        fetched, _ = pipe.execute()
    if int(fetched) > MOST_AT_A_TIME:
        raise TooManyTickets(retry_after_s=TTL_S)
    redis.set(_key(ticket), msgspec.json.encode(_Granted(battle, owner, key)), ex=TTL_S)
    return ticket


def presented(request: Request) -> str | None:
    """The ticket of a handshake, if it has one: ``?ticket=`` or subprotocol ``ticket.<ticket>``."""
    offered = request.headers.get("Sec-WebSocket-Protocol", "").split(",")
    named = next((p.strip()[len(PREFIX) :] for p in offered if p.strip().startswith(PREFIX)), None)
    return request.args.get("ticket") if named is None else named


def redeem(redis: Any, ticket: str, address: str) -> Visitor:
    """Who it lets in. It is spent by this, whatever comes of the socket. Raises BadTicket."""
    stored = redis.getdel(_key(ticket)) if _FORM.fullmatch(ticket) else None
    if stored is None:
        raise BadTicket()
    granted = msgspec.json.decode(stored, type=_Granted)
    return Visitor(granted.owner, address, only=granted.battle, key=granted.key)


def _key(ticket: str) -> str:
    return f"arena:ticket:{hashlib.sha256(ticket.encode()).hexdigest()}"
