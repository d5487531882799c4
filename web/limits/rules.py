"""What is counted, for whom, and how many there may be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from flask import g, request

from web.access import Key, current_key
from web.context import arena
from web.errors import BadKey
from web.live.visitor import household
from web.security import believed, client_address, current_owner, on_private_listener

MINUTE_S, DAY_S = 60, 86_400

PROMPTS = frozenset(
    {
        "/api/battles",
        "/api/battles/<battle_id>/turns",
        "/api/battles/<battle_id>/retry",
        "/v1/chat/completions",
    }
)
"""Where a POST is work for the models."""
VOTES = frozenset({"/api/battles/<battle_id>/vote"})
UNCOUNTED = frozenset({"/ws", "/health", "/ready", "/metrics"})
"""What balancers and scrapers ask; sockets have limits of their own (``ARENA_MAX_SOCKETS_...``)."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One limit. ``per``: a session or key (``owner``), an ``address``, or a key and else the address (``asker``)."""

    name: str
    what: str
    seconds: int
    per: Literal["owner", "address", "asker"]
    where: frozenset[str] | None = None
    """POSTs to these routes; None: every request."""

    @property
    def text(self) -> str:
        """What is limited, for people."""
        of = {"owner": "", "address": " from one address", "asker": ""}[self.per]
        return f"{self.what}{of} {'a minute' if self.seconds == MINUTE_S else 'a day'}"


RULES = (
    Rule("requests_per_minute", "requests", MINUTE_S, "asker"),
    Rule("prompts_per_minute", "prompts", MINUTE_S, "owner", PROMPTS),
    Rule("prompts_per_minute_per_address", "prompts", MINUTE_S, "address", PROMPTS),
    Rule("prompts_per_day", "prompts", DAY_S, "owner", PROMPTS),
    Rule("prompts_per_day_per_address", "prompts", DAY_S, "address", PROMPTS),
    Rule("votes_per_day", "votes", DAY_S, "owner", VOTES),
    Rule("votes_per_day_per_address", "votes", DAY_S, "address", VOTES),
)


@dataclass(frozen=True, slots=True)
class Asker:
    """Who is counted. ``address``: empty when it is not known or need not be counted."""

    owner: str | None
    key: Key | None
    address: str


def asker() -> Asker:
    """Of this request. A key that opens nothing is nobody: its requests count for their address."""
    if "asker" not in g:
        context = arena()
        try:
            key, owner = current_key(), current_owner()
        except BadKey:
            key, owner = None, None
        inside = on_private_listener(request, context.settings)
        g.asker = Asker(owner, key, "" if inside else household(client_address(request, context.settings)))
    found: Asker = g.asker
    return found


def bucket(rule: Rule, who: Asker) -> str:
    """Whose counter a request moves; empty: nobody's."""
    match rule.per:
        case "owner":
            return f"o{who.owner[:32]}" if who.owner else ""
        case "asker":
            return f"o{who.key.owner[:32]}" if who.key else f"a{who.address}" if who.address else ""
        case "address":
            return f"a{who.address}" if who.address and who.key is None else ""


def amount(name: str) -> int:
    """How many there may be for this request's asker; 0: as many as one likes."""
    settings = arena().settings
    if settings.limits == "off":
        return 0
    usual: int = getattr(settings, name)
    key = asker().key
    return usual if key is None else own_amount(key, name, usual)


def own_amount(key: Key, name: str, usual: int) -> int:
    """What a key's own limits say, if it is a number; ``usual`` otherwise."""
    own = key.limits.get(name, usual)
    return max(0, own) if isinstance(own, int) and not isinstance(own, bool) else usual


def applying() -> dict[str, tuple[Rule, int, str]]:
    """By name: the limits this request is counted for, how many there may be, and whose counter it moves."""
    route = "" if request.url_rule is None else request.url_rule.rule
    post, anything = request.method == "POST", route not in UNCOUNTED and request.endpoint != "static"
    who = asker()
    found = {}
    for rule in RULES:
        # What another site made a browser send is refused anyway, and must not use up what its visitor may do.
        counted = anything if rule.where is None else post and route in rule.where and believed()
        if counted and (whose := bucket(rule, who)) and (most := amount(rule.name)):
            found[rule.name] = (rule, most, whose)
    return found
