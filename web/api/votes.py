"""``/api/battles/<id>/vote``: the one way to learn the names."""

from __future__ import annotations

from typing import Any

import msgspec
from apiflask import APIBlueprint
from flask import Response, make_response, request

from web import idempotency
from web.access import current_key
from web.api.schemas import VoteOut
from web.api.schemas.battles import RemarkIn, RemarkOut, VoteIn
from web.arena import voting
from web.context import arena
from web.errors import AlreadyVoted, CommentTooLong, NotVotable, NotVoted, UnknownBattle
from web.metrics import metrics
from web.openapi import access, problems
from web.security import client_address, current_owner

bp = APIBlueprint("votes", __name__, url_prefix="/api/battles", tag="Battles")


@bp.post("/<battle_id>/vote")
@bp.input(VoteIn, arg_name="body")
@bp.output(VoteOut, status_code=201)
@problems(UnknownBattle, NotVotable, AlreadyVoted, CommentTooLong)
@access()
@idempotency.keeps_its_own
def vote(battle_id: str, body: VoteIn) -> Response:
    """Judge a battle, once. The reply names both models.

    Possible once a turn ended well, while none is being answered. Repeating a request with its ``Idempotency-Key``
    repeats its answer. A vote on a pair that you named yourself is kept and never counts.
    """
    why = body.why.model_dump() if body.why else None
    context, key = arena(), idempotency.given()
    address = "" if current_key() is not None else client_address(request, context.settings)
    voted = voting.cast_vote(
        context, current_owner(), battle_id, body.winner, key, why=why, comment=body.comment, address=address
    )
    answer: dict[str, Any] = {"winner": voted.winner, "models": msgspec.to_builtins(voted.models)}
    response = make_response(answer, 201)
    if voted.replayed:
        response.headers[idempotency.REPLAYED] = "true"
    else:
        metrics().voted(body.winner)
    return response


@bp.patch("/<battle_id>/vote")
@bp.input(RemarkIn, arg_name="body")
@bp.output(RemarkOut)
@problems(UnknownBattle, NotVoted, CommentTooLong)
@access()
def remark(battle_id: str, body: RemarkIn) -> dict[str, Any]:
    """Say why, or add a comment, after the vote. The verdict itself stays as it was cast."""
    changes = {name: value for name, value in body.model_dump().items() if name in body.model_fields_set}
    said = voting.remark(arena(), current_owner(), battle_id, changes)
    why = None if said.why is None else {side: said.why.get(side, []) for side in "ab"}
    return {"winner": said.winner, "why": why, "comment": said.comment}
