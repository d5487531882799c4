"""``/api/battles``: begin one, go on with it, look at it, stop it, list and delete one's own."""

from __future__ import annotations

from typing import Any

import msgspec
from apiflask import APIBlueprint

from web.api.schemas import BattleOut, StateOut
from web.api.schemas.battles import BattleBegun, ListIn, ListOut, PromptIn, RetryIn, TurnBegun, TurnIn
from web.arena import battles, deletion, history, turns, views
from web.arena.battles import Begun
from web.context import arena
from web.errors import (
    BadCursor,
    Busy,
    ChallengeNeeded,
    ConversationOver,
    ConversationTooLong,
    EmptyPrompt,
    ModerationUnavailable,
    NotContinuable,
    NotRetryable,
    NoWorker,
    PromptRefused,
    PromptTooLong,
    RetryLimit,
    SameContender,
    SamplingRefused,
    TextsGone,
    TurnLimit,
    TurnRunning,
    UnknownBattle,
    UnknownContender,
)
from web.limits.open_battles import within_limit
from web.live.socket import PATH
from web.metrics import metrics
from web.models import Battle
from web.openapi import access, leads_to, may_be_challenged, problems
from web.security import current_owner, ensure_owner
from worker.contract import logs

bp = APIBlueprint("battles", __name__, url_prefix="/api/battles", tag="Battles")


@bp.post("")
@bp.input(PromptIn, arg_name="body")
@bp.output(BattleBegun, status_code=202)
@problems(EmptyPrompt, PromptTooLong, PromptRefused, SamplingRefused, UnknownContender, SameContender, Busy, NoWorker)
@problems(ChallengeNeeded, ModerationUnavailable)
@access()
@may_be_challenged
@leads_to("battle_id", "/id")
def begin(body: PromptIn) -> dict[str, Any]:
    """Put a prompt before two anonymous models.

    The answers stream over the websocket at ``ws`` (subprotocol ``arena.v1``); names are told after the vote.
    """
    chosen = body.sampling.model_dump(exclude_none=True) if body.sampling else None
    owner = ensure_owner()
    room = within_limit(owner)
    begun = battles.begin(arena(), owner, body.prompt, sampling=chosen, models=body.models, also=room)
    metrics().begun()
    logs.bind(battle=begun.id)
    return {"id": begun.id, "state": begun.state, "ws": PATH, "url": f"/battles/{begun.id}"}


@bp.get("")
@bp.input(ListIn, location="query", arg_name="query")
@bp.output(ListOut)
@problems(BadCursor)
@access()
def mine(query: ListIn) -> dict[str, Any]:
    """Your battles, newest first. Models are named in those you have voted."""
    context, owner = arena(), current_owner()
    found, following = context.db.read(lambda s: history.mine(s, context.catalog, owner, query.limit, query.cursor))
    return {"battles": [_entry(e) for e in found], "next_cursor": following}


def _entry(entry: history.Entry) -> dict[str, Any]:
    battle = entry.battle
    return {
        "id": battle.id,
        "url": f"/battles/{battle.id}",
        "created_at": battle.created_at.isoformat(),
        "state": battle.state,
        "votable": battle.votable and entry.winner is None,
        "turns": battle.turns,
        "prompt": entry.prompt,
        "winner": entry.winner,
        "models": entry.names,
        "ranked": battle.ranked,
        "share_id": battle.share_id,
    }


@bp.get("/<battle_id>")
@bp.output(BattleOut)
@problems(UnknownBattle)
@access()
def show(battle_id: str) -> dict[str, Any]:
    """A battle of yours as it is now, text so far included."""
    context, owner = arena(), current_owner()
    known = context.db.read(lambda s: _known(views.owned(s, battle_id, owner)))
    now = views.current(context.db, context.redis, context.catalog, battle_id)
    view: dict[str, Any] = msgspec.to_builtins(now.view)
    for waiting in ("queued", "loading"):
        if view[waiting] is not None:
            view[waiting].pop("type", None)
    return {"id": battle_id, **known, **view}


def _known(battle: Battle) -> dict[str, Any]:
    """What the database alone can tell."""
    voted = battle.voted_at.isoformat() if battle.voted_at else None
    return {"created_at": battle.created_at.isoformat(), "voted_at": voted, "ranked": battle.ranked}


@bp.delete("/<battle_id>")
@bp.output({}, status_code=204)
@problems(UnknownBattle)
@access()
def delete(battle_id: str) -> tuple[str, int]:
    """Delete a battle of yours: its texts, your comment, its share and its link to you.

    A running one is stopped first. Its vote stays, without anything that leads to you. It cannot be undone.
    """
    deletion.forget(arena(), current_owner(), battle_id)
    return "", 204


@bp.post("/<battle_id>/turns")
@bp.input(TurnIn, arg_name="body")
@bp.output(TurnBegun, status_code=202)
@problems(UnknownBattle, EmptyPrompt, PromptTooLong, ConversationTooLong, Busy, NoWorker)
@problems(TurnRunning, ConversationOver, NotContinuable, TurnLimit, TextsGone, PromptRefused, ModerationUnavailable)
@access()
def ask(battle_id: str, body: TurnIn) -> dict[str, Any]:
    """Go on with a battle before its vote, with the same two models.

    Each model is told the turns before, with its own answers; turns that failed are left out. A conversation that is
    too long for the models is refused as a whole (``context_overflow``), never cut short: the turns before it can still
    be voted, and a shorter prompt may follow. At most ``ARENA_MAX_TURNS`` turns, and ``ARENA_CONVERSATION_MAX_CHARS``
    characters of all prompts together.
    """
    owner = current_owner()
    begun = turns.ask(arena(), owner, battle_id, body.prompt, also=within_limit(owner))
    metrics().begun()
    return _begun(begun)


@bp.post("/<battle_id>/retry")
@bp.input(RetryIn, arg_name="body")
@bp.output(TurnBegun, status_code=202)
@problems(UnknownBattle, Busy, NoWorker, TurnRunning, ConversationOver, NotRetryable, RetryLimit, TextsGone)
@access()
def retry(battle_id: str, body: RetryIn) -> dict[str, Any]:
    """Have the newest turn answered once more, before the vote.

    Both sides, or only the ``side`` that failed where the other one ended well: that answer stands. What the sides
    tried again had said is gone. At most ``ARENA_MAX_RETRIES`` times a turn.
    """
    owner = current_owner()
    begun = turns.retry(arena(), owner, battle_id, body.side, also=within_limit(owner))
    metrics().begun()
    return _begun(begun)


def _begun(begun: Begun) -> dict[str, Any]:
    known = {"id": begun.id, "state": begun.state, "ws": PATH, "url": f"/battles/{begun.id}"}
    return {**known, "turn": begun.turn, "retry": begun.retry}


@bp.post("/<battle_id>/cancel")
@bp.output(StateOut, status_code=202)
@problems(UnknownBattle)
@access()
def cancel(battle_id: str) -> dict[str, Any]:
    """Stop both answers of the newest turn. A battle that is over stays as it is."""
    return {"id": battle_id, "state": battles.cancel(arena(), current_owner(), battle_id)}
