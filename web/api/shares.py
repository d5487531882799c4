"""``/api/battles/<id>/share`` and ``/api/shares/<share id>``: showing a voted battle to others."""

from __future__ import annotations

from typing import Any

import msgspec
from apiflask import APIBlueprint
from flask import Response, make_response

from web.api.schemas.battles import SharedOut, ShareOut
from web.arena import sharing
from web.context import arena
from web.errors import NotVoted, TextsGone, UnknownBattle, UnknownShare
from web.openapi import access, leads_to, problems
from web.security import current_owner

bp = APIBlueprint("shares", __name__, url_prefix="/api", tag="Battles")

UNLISTED = {"X-Robots-Tag": "noindex"}
"""For whoever has the address, and for no search engine."""


@bp.post("/battles/<battle_id>/share")
@bp.output(ShareOut, status_code=201)
@problems(UnknownBattle, NotVoted, TextsGone)
@access()
@leads_to("share_id", "/share_id")
def share(battle_id: str) -> Response:
    """Let anybody who has its address read a battle you have voted; asked again, the address stays the same."""
    share_id, _ = sharing.share(arena(), current_owner(), battle_id)
    return make_response({"share_id": share_id, "url": f"/shared/{share_id}"}, 201)


@bp.delete("/battles/<battle_id>/share")
@bp.output({}, status_code=204)
@problems(UnknownBattle)
@access()
def unshare(battle_id: str) -> tuple[str, int]:
    """Take a share back: its address opens nothing any more, and another one would be new."""
    sharing.unshare(arena(), current_owner(), battle_id)
    return "", 204


@bp.get("/shares/<share_id>")
@bp.output(SharedOut)
@problems(UnknownShare)
def shared(share_id: str) -> Response:
    """A shared battle: the turns that were judged, the verdict and the names; nothing of whose it was."""
    context = arena()
    found = context.db.read(lambda s: sharing.read_share(s, context.catalog, share_id))
    answer: dict[str, Any] = msgspec.to_builtins(found)
    return make_response(answer, 200, UNLISTED)
