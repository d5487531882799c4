"""``/api/challenge``: what stands before a session's first battle."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint

from web import challenge
from web.api.schemas.challenge import ChallengeOut
from web.openapi import access

bp = APIBlueprint("challenge", __name__, url_prefix="/api/challenge", tag="Battles")


@bp.get("")
@bp.output(ChallengeOut)
@access()
def show() -> dict[str, Any]:
    """What to answer before the next battle, if anything.

    For `proof_of_work`, find a decimal number with which SHA-256 of `<seed>.<number>` begins with `difficulty` zero
    bits, and send `Arena-Challenge: <token>:<number>` with `POST /api/battles`. An answer opens one battle, within
    `expires_in_s`, from the same address; a session that has begun a battle is not asked again.
    """
    return {"challenge": challenge.current()}
