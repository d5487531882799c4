"""Parts of the document that are the same for many endpoints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from web.errors import PROBLEM_TYPE
from web.openapi.catalogue import Known

_ABOUT = """\
Battles are begun and judged over REST and watched over a websocket (`/ws`, subprotocol `arena.v1`) or as server-sent \
events. Nothing says which models are fighting before the vote.

A browser is known by an anonymous session, a signed cookie that the first battle sets. A program sends a key: \
`Authorization: Bearer arena_<id>_<secret>`. Both own their battles; what belongs to others is not there (404).

Every refusal is `application/problem+json` (RFC 9457). Decide by `code`, which is stable; `detail` is for people; \
`field` names what was wrong in the request. Under `/v1` refusals have OpenAI's form. Any address may also answer \
`not_found`, `method_not_allowed`, `bad_request`, `address_too_long` (414), `headers_too_large` (431), `unknown_host` \
(421) and `internal` (500).

Every POST takes an `Idempotency-Key`: sent again, the same request is answered again and not done again. Replies tell \
in `RateLimit-*` how much of the nearest limit is left.
"""

INFO = {
    "summary": "Two anonymous models, one prompt, one vote.",
    "description": _ABOUT,
    "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
}

TAGS = [
    {"name": "Battles", "description": "Put a prompt before two anonymous models, watch, judge, keep, share, delete."},
    {"name": "Batches", "description": "Many prompts at once, for researchers: fed into the line as room allows."},
    {"name": "Leaderboard", "description": "What all counted votes together say."},
    {"name": "Open data", "description": "Votes and battles for research, late, under hashes and without texts."},
    {"name": "Models", "description": "Who takes part."},
    {"name": "OpenAI", "description": "The same models behind the protocol that OpenAI's clients speak."},
    {"name": "Admin", "description": "For operators, with a key of scope `admin`."},
    {"name": "Operations", "description": "For balancers and scrapers."},
]

SECURITY = {
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": "arena_session",
        "description": "An anonymous session, signed; set by the first battle. Writes must come from our own pages.",
    },
    "operator": {
        "type": "apiKey",
        "in": "cookie",
        "name": "arena_operator",
        "description": "A browser's stand-in for a key of scope `admin`; see `POST /api/admin/session`.",
    },
    "key": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "arena_<id>_<secret>",
        "description": (
            "A key, made with `flask --app web keys create`. Scopes: `battle` (battles and batches), `chat` (`/v1`), "
            "`export` (votes), `admin` (operators)."
        ),
    },
}

HEADERS: dict[str, Any] = {
    "Retry-After": {"description": "Seconds after which to try again.", "schema": {"type": "integer", "minimum": 1}},
    "WWW-Authenticate": {"description": "How to say who is asking.", "schema": {"type": "string"}},
    "RateLimit-Limit": {
        "description": "How many there may be, of the limit that is nearest.",
        "schema": {"type": "integer"},
    },
    "RateLimit-Remaining": {"description": "How many are left of it.", "schema": {"type": "integer"}},
    "RateLimit-Reset": {"description": "Seconds until there are more.", "schema": {"type": "integer"}},
    "RateLimit-Policy": {
        "description": "All limits that this request counts for, as `most;w=seconds`.",
        "schema": {"type": "string"},
    },
    "Idempotency-Replayed": {
        "description": "`true`: this request had been answered before, and nothing was done again.",
        "schema": {"type": "string", "enum": ["true"]},
    },
    "X-Arena-Cache": {
        "description": "Whether the answer had been given before; only where answers at temperature 0 are kept.",
        "schema": {"type": "string", "enum": ["hit", "miss"]},
    },
    "ETag": {"description": "Of what was answered; send it back as `If-None-Match`.", "schema": {"type": "string"}},
    "Cache-Control": {"description": "How long the answer may be kept.", "schema": {"type": "string"}},
}

IF_NONE_MATCH: dict[str, Any] = {
    "name": "If-None-Match",
    "in": "header",
    "required": False,
    "description": "The `ETag` of an answer you have.",
    "schema": {"type": "string"},
}

IDEMPOTENCY_KEY: dict[str, Any] = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "Of your choice. The same key with the same request is answered again, and not done again.",
    "schema": {"type": "string", "minLength": 1, "maxLength": 64, "pattern": "^[!-~]+$"},
}

CHALLENGE: dict[str, Any] = {
    "name": "Arena-Challenge",
    "in": "header",
    "required": False,
    "description": (
        "The answer to what stands before a session's first battle, where anything does: see `GET /api/challenge`, and "
        "`challenge` in the refusal `challenge_needed`. Not looked at where nothing does."
    ),
    "schema": {"type": "string"},
}

EVERYWHERE = (
    "internal",
    "method_not_allowed",
    "not_found",
    "bad_request",
    "address_too_long",
    "headers_too_large",
    "unknown_host",
)
"""Codes that any address may answer with, before an endpoint is asked or when one breaks; not said of each."""

ELSEWHERE = ("assets_missing", "bad_handshake", "bad_ticket")
"""Codes of what is no endpoint: pages, and the websocket before it is one."""

EVENTS = {
    "description": "Events as they happen, each with `data`, most with an `id`; the answer does not end by itself."
}
"""Of a stream. OpenAPI 3.1 has no form for one: what is read is neither one string nor one object."""

PROBLEM: dict[str, Any] = {
    "type": "object",
    "description": "A refusal (RFC 9457). Some carry further members, such as `limit` or the vote that stands.",
    "required": ["type", "title", "status", "code", "detail"],
    "properties": {
        "type": {"type": "string", "description": "`urn:llm-arena:problem:` and the code."},
        "title": {"type": "string", "description": "The same for every refusal with this code."},
        "status": {"type": "integer", "description": "The HTTP status again."},
        "code": {"type": "string", "description": "Stable; what programs decide by."},
        "detail": {"type": "string", "description": "What is wrong with this request, for people."},
        "field": {"type": "string", "description": "Which part of the request is wrong."},
    },
}

OPENAI_ERROR: dict[str, Any] = {
    "type": "object",
    "description": "A refusal in the form of OpenAI's API.",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["message", "type", "code"],
            "properties": {
                "message": {"type": "string"},
                "type": {"type": "string"},
                "param": {"type": ["string", "null"]},
                "code": {"type": ["string", "null"]},
            },
        }
    },
}


def refusal(kinds: Sequence[Known], *, openai: bool) -> dict[str, Any]:
    """The response object of one status: which codes it can have, an example of each."""
    codes = [k.code for k in kinds]
    examples = {k.code: {"summary": k.title, "value": _example(k, openai)} for k in kinds}
    if openai:
        narrowed: dict[str, Any] = {"properties": {"error": {"properties": {"code": {"enum": codes}}}}}
        content = {"application/json": {"schema": _with("OpenAIError", narrowed), "examples": examples}}
    else:
        narrowed = {"properties": {"code": {"enum": codes}}}
        content = {"application/problem+json": {"schema": _with("Problem", narrowed), "examples": examples}}
    response: dict[str, Any] = {"description": "; ".join(f"`{k.code}`: {k.title}" for k in kinds), "content": content}
    if any(k.later for k in kinds):
        response["headers"] = header_refs("Retry-After")
    if kinds[0].status == 401:
        response["headers"] = header_refs("WWW-Authenticate")
    return response


def header_refs(*names: str) -> dict[str, Any]:
    """Headers described once, by name."""
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _with(name: str, narrowed: dict[str, Any]) -> dict[str, Any]:
    return {"allOf": [{"$ref": f"#/components/schemas/{name}"}, narrowed]}


def _example(kind: Known, openai: bool) -> dict[str, Any]:
    if openai:
        kind_of = "invalid_request_error" if kind.status < 500 else "server_error"
        return {"error": {"message": kind.title, "type": kind_of, "param": None, "code": kind.code}}
    return {
        "type": PROBLEM_TYPE + kind.code,
        "title": kind.title,
        "status": kind.status,
        "code": kind.code,
        "detail": kind.title,
    }


RATE_LIMITS = header_refs("RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset", "RateLimit-Policy")
"""Replies tell of the nearest limit, as long as any limit is on."""
