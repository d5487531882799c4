"""``/api/battles/<id>/events`` and ``/ticket``: other ways to watch a battle than one's own page's websocket."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

from apiflask import APIBlueprint
from flask import Response, current_app, request

from web.access import current_key_id
from web.api.schemas import TicketOut
from web.arena import views
from web.context import arena
from web.errors import CrossOrigin, NoRoom, TooManyConnections, TooManyTickets, UnknownBattle
from web.live import stream, tickets
from web.live.house import House
from web.live.socket import PATH
from web.live.visitor import Visitor
from web.openapi import access, problems
from web.security import client_address, current_owner, from_our_pages

bp = APIBlueprint("events", __name__, url_prefix="/api/battles", tag="Battles")

_STREAM: Any = {
    "description": "Server-sent events; `id` is `<epoch>:<seq>`, `data` one message as it goes over the websocket",
    "content": {"text/event-stream": {"schema": {"type": "string"}}},
}
_ANSWERS: Any = {
    204: "The battle is over and `Last-Event-ID` has all of it",
}


@bp.get("/<battle_id>/events")
@bp.doc(responses={200: _STREAM, **_ANSWERS})
@problems(UnknownBattle, CrossOrigin, TooManyConnections, NoRoom)
@access()
def follow(battle_id: str) -> Response:
    """A battle of yours as server-sent events, from `Last-Event-ID` on.

    Ends after `battle.failed`, `battle.cancelled` or `battle.revealed`, and when the key it was asked with is revoked;
    a battle that waits for its vote stays open.
    """
    context, owner = arena(), current_owner()
    if not from_our_pages(request, context.settings):
        raise CrossOrigin()
    context.db.read(lambda s: views.owned(s, battle_id, owner))
    after = stream.cursor(request.headers.get("Last-Event-ID"))
    if after is not None:
        now = views.current(context.db, context.redis, context.catalog, battle_id)
        if (now.epoch, now.seq) == after and stream.is_over(now.view):
            return Response(status=204)
    house = cast(House, current_app.extensions["arena_live"])
    visitor = Visitor(owner, client_address(request, context.settings), key=current_key_id())
    opened = stream.EventStream(house, visitor, battle_id, after, request.environ.get("gunicorn.socket"))
    house.enter(opened, visitor, stream=True)
    house.welcomed(opened)
    headers = {"X-Accel-Buffering": "no", "Cache-Control": "no-store, no-transform"}
    return Response(_Body(opened), content_type="text/event-stream", headers=headers)


class _Body:
    """Closed by the server whatever happens, also when not a byte of it was asked for."""

    def __init__(self, opened: stream.EventStream) -> None:
        self._opened = opened
        self._pieces = iter(opened)

    def __iter__(self) -> Iterator[bytes]:
        return self._pieces

    def close(self) -> None:
        self._opened.close()


@bp.post("/<battle_id>/ticket")
@bp.output(TicketOut, status_code=201)
@problems(UnknownBattle, TooManyTickets)
@access()
def ticket(battle_id: str) -> dict[str, Any]:
    """A one-time ticket with which a page of any origin may open one websocket that watches this battle of yours.

    Offer it as a subprotocol, `ticket.<ticket>` beside `arena.v1`, or as the query parameter `ticket`.
    """
    context, owner = arena(), current_owner()
    battle = context.db.read(lambda s: views.owned(s, battle_id, owner))
    issued = tickets.issue(context.redis, battle.owner, battle_id, current_key_id())
    return {"ticket": issued, "expires_in_s": tickets.TTL_S, "ws": PATH}
