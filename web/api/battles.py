"""``/api/battles``: begin one, look at it, stop it."""

from __future__ import annotations

from typing import Any

import msgspec
from apiflask import APIBlueprint

from web.api.schemas import BattleBegun, BattleOut, PromptIn, StateOut
from web.arena import battles, views
from web.context import arena
from web.errors import Busy, EmptyPrompt, NoWorker, PromptTooLong, UnknownBattle
from web.live.socket import PATH
from web.metrics import metrics
from web.openapi import access, problems
from web.security import current_owner, ensure_owner

bp = APIBlueprint("battles", __name__, url_prefix="/api/battles", tag="Battles")


@bp.post("")
@bp.input(PromptIn, arg_name="body")
@bp.output(BattleBegun, status_code=202)
@problems(EmptyPrompt, PromptTooLong, Busy, NoWorker)
@access()
def begin(body: PromptIn) -> dict[str, Any]:
    """Put a prompt before two anonymous models.

    The answers stream over the websocket at ``ws`` (subprotocol ``arena.v1``); names are told after the vote.
    """
    begun = battles.begin(arena(), ensure_owner(), body.prompt)
    metrics().begun()
    return {"id": begun.id, "state": begun.state, "ws": PATH, "url": f"/battles/{begun.id}"}


@bp.get("/<battle_id>")
@bp.output(BattleOut)
@problems(UnknownBattle)
@access()
def show(battle_id: str) -> dict[str, Any]:
    """A battle of yours as it is now, text so far included."""
    context, owner = arena(), current_owner()
    context.db.read(lambda s: views.owned(s, battle_id, owner))
    now = views.current(context.db, context.redis, context.catalog, battle_id)
    view: dict[str, Any] = msgspec.to_builtins(now.view)
    for waiting in ("queued", "loading"):
        if view[waiting] is not None:
            view[waiting].pop("type", None)
    return {"id": battle_id, "created_at": now.created_at, **view}


@bp.post("/<battle_id>/cancel")
@bp.output(StateOut, status_code=202)
@problems(UnknownBattle)
@access()
def cancel(battle_id: str) -> dict[str, Any]:
    """Stop both answers. A battle that is over stays as it is."""
    return {"id": battle_id, "state": battles.cancel(arena(), current_owner(), battle_id)}
