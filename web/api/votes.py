"""``/api/battles/<id>/vote``: the one way to learn the names."""

from __future__ import annotations

from typing import Any

import msgspec
from apiflask import APIBlueprint
from flask import Response, make_response

from web import idempotency
from web.api.schemas import VoteIn, VoteOut
from web.arena import voting
from web.context import arena
from web.errors import AlreadyVoted, NotVotable, UnknownBattle
from web.metrics import metrics
from web.openapi import access, problems
from web.security import current_owner

bp = APIBlueprint("votes", __name__, url_prefix="/api/battles", tag="Battles")


@bp.post("/<battle_id>/vote")
@bp.input(VoteIn, arg_name="body")
@bp.output(VoteOut, status_code=201)
@problems(UnknownBattle, NotVotable, AlreadyVoted)
@access()
@idempotency.keeps_its_own
def vote(battle_id: str, body: VoteIn) -> Response:
    """Judge a finished battle, once. The reply names both models.

    Repeating a request with its ``Idempotency-Key`` repeats its answer.
    """
    voted = voting.cast_vote(arena(), current_owner(), battle_id, body.winner, idempotency.given())
    answer: dict[str, Any] = {"winner": voted.winner, "models": msgspec.to_builtins(voted.models)}
    response = make_response(answer, 201)
    if voted.replayed:
        response.headers[idempotency.REPLAYED] = "true"
    else:
        metrics().voted(body.winner)
    return response
