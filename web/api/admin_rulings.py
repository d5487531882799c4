"""``/api/admin``: what operators rule about models, votes, sessions and battles. Every change is in the audit log."""

from __future__ import annotations

import re
from dataclasses import asdict
from typing import Any

from apiflask import APIBlueprint

from web.admin import battles, models, votes
from web.admin.errors import BattleOver, NotSignedIn, Unchanged, UnknownSession, UnknownVote
from web.admin.operators import guard, operator
from web.admin.tell import refit, tell
from web.api.schemas import StateOut
from web.api.schemas.admin import (
    ID_MAX,
    ReasonIn,
    SessionChangedOut,
    SessionsOut,
    SessionsQuery,
    StandingOut,
    StandingsOut,
    TimeOutIn,
    VoteRow,
    VotesOut,
    VotesQuery,
)
from web.context import arena
from web.errors import CrossOrigin, UnknownBattle, UnknownModel
from web.models import Vote
from web.openapi import access, problems

bp = APIBlueprint("admin_rulings", __name__, url_prefix="/api/admin", tag="Admin")
guard(bp)

_BATTLE = re.compile(r"[A-Za-z0-9_-]{8,40}")
_OWNER = re.compile(r"[0-9a-f]{64}")
_WHO = (NotSignedIn, CrossOrigin)


@bp.get("/models")
@bp.output(StandingsOut)
@problems(*_WHO)
@access(session=False, scope="admin")
def list_models() -> dict[str, Any]:
    """Every model of the catalog and whether battles are drawn with it."""
    context = arena()
    return {"models": [asdict(m) for m in context.db.read(lambda s: models.listed(s, context.catalog))]}


@bp.post("/models/<model>/enable")
@bp.input(ReasonIn, arg_name="body")
@bp.output(StandingOut)
@problems(*_WHO, UnknownModel, Unchanged)
@access(session=False, scope="admin")
def enable(model: str, body: ReasonIn) -> dict[str, Any]:
    """Have a model take part again, whatever kept it out."""
    by, context = operator(), arena()
    return _ruled(context.db.write(lambda s: models.enable(s, context.catalog, by, model, body.reason)))


@bp.post("/models/<model>/disable")
@bp.input(ReasonIn, arg_name="body")
@bp.output(StandingOut)
@problems(*_WHO, UnknownModel, Unchanged)
@access(session=False, scope="admin")
def disable(model: str, body: ReasonIn) -> dict[str, Any]:
    """Have no battle drawn with a model until it is enabled; battles that have begun go on."""
    by, context = operator(), arena()
    return _ruled(context.db.write(lambda s: models.disable(s, context.catalog, by, model, body.reason)))


@bp.post("/models/<model>/time_out")
@bp.input(TimeOutIn, arg_name="body")
@bp.output(StandingOut)
@problems(*_WHO, UnknownModel)
@access(session=False, scope="admin")
def time_out(model: str, body: TimeOutIn) -> dict[str, Any]:
    """Have no battle drawn with a model for so many seconds."""
    by, context = operator(), arena()
    return _ruled(context.db.write(lambda s: models.time_out(s, context.catalog, by, model, body.seconds, body.reason)))


def _ruled(standing: models.Standing) -> dict[str, Any]:
    tell(arena(), "models")
    return asdict(standing)


@bp.post("/battles/<battle_id>/cancel")
@bp.input(ReasonIn, arg_name="body")
@bp.output(StateOut, status_code=202)
@problems(*_WHO, UnknownBattle, BattleOver)
@access(session=False, scope="admin")
def cancel(battle_id: str, body: ReasonIn) -> dict[str, Any]:
    """Stop a battle that waits or runs, whoever has it. Its owner reads the reason: let it name no model."""
    by = operator()
    if not _BATTLE.fullmatch(battle_id):
        raise UnknownBattle("There is no such battle.")
    state = battles.cancel(arena(), by, battle_id, body.reason)
    tell(arena(), "battles")
    return {"id": battle_id, "state": state}


@bp.get("/votes")
@bp.input(VotesQuery, location="query", arg_name="query")
@bp.output(VotesOut)
@problems(*_WHO)
@access(session=False, scope="admin")
def list_votes(query: VotesQuery) -> dict[str, Any]:
    """Votes, newest first, with their models, whether they count and why not."""
    found = arena().db.read(lambda s: votes.listed(s, query.cursor, query.limit, query.owner, query.counted))
    full = len(found) == query.limit
    return {"votes": [_vote(vote) for vote in found], "next": found[-1].id if full else None}


@bp.post("/votes/<int:vote_id>/flag")
@bp.input(ReasonIn, arg_name="body")
@bp.output(VoteRow)
@problems(*_WHO, UnknownVote, Unchanged)
@access(session=False, scope="admin")
def flag(vote_id: int, body: ReasonIn) -> dict[str, Any]:
    """Have a vote not count; the leaderboard is made anew without it."""
    by = operator()
    return _recounted(arena().db.write(lambda s: votes.flag(s, by, _known(vote_id), body.reason)))


@bp.post("/votes/<int:vote_id>/unflag")
@bp.input(ReasonIn, arg_name="body")
@bp.output(VoteRow)
@problems(*_WHO, UnknownVote, Unchanged)
@access(session=False, scope="admin")
def unflag(vote_id: int, body: ReasonIn) -> dict[str, Any]:
    """Take the flag away; the vote counts when nothing else is against it."""
    by = operator()
    return _recounted(arena().db.write(lambda s: votes.unflag(s, by, _known(vote_id), body.reason)))


def _known(vote_id: int) -> int:
    if vote_id > ID_MAX:
        raise UnknownVote()
    return vote_id


def _recounted(vote: Vote) -> dict[str, Any]:
    refit(arena())
    tell(arena(), "votes")
    return _vote(vote)


def _vote(vote: Vote) -> dict[str, Any]:
    return {name: getattr(vote, name) for name in VoteRow.model_fields}


@bp.get("/sessions")
@bp.input(SessionsQuery, location="query", arg_name="query")
@bp.output(SessionsOut)
@problems(*_WHO)
@access(session=False, scope="admin")
def list_sessions(query: SessionsQuery) -> dict[str, Any]:
    """Those who voted, latest first; a page may be short, or even empty, and yet have a `next`."""
    if query.quarantined:
        return {"sessions": [asdict(v) for v in arena().db.read(votes.set_apart)], "next": None}
    found, following = arena().db.read(lambda s: votes.voters(s, query.cursor, query.limit))
    return {"sessions": [asdict(v) for v in found], "next": following}


@bp.post("/sessions/<owner>/quarantine")
@bp.input(ReasonIn, arg_name="body")
@bp.output(SessionChangedOut)
@problems(*_WHO, UnknownSession, Unchanged)
@access(session=False, scope="admin")
def quarantine(owner: str, body: ReasonIn) -> dict[str, Any]:
    """Have no vote of a session count, cast or to be cast; its battles go on as before, and it is not told."""
    by = operator()
    return _moved(owner, arena().db.write(lambda s: votes.quarantine(s, by, _session(owner), body.reason)))


@bp.post("/sessions/<owner>/release")
@bp.input(ReasonIn, arg_name="body")
@bp.output(SessionChangedOut)
@problems(*_WHO, UnknownSession, Unchanged)
@access(session=False, scope="admin")
def release(owner: str, body: ReasonIn) -> dict[str, Any]:
    """Have a session's votes count again, those with nothing else against them."""
    by = operator()
    return _moved(owner, arena().db.write(lambda s: votes.release(s, by, _session(owner), body.reason)))


def _session(owner: str) -> str:
    if not _OWNER.fullmatch(owner):
        raise UnknownSession()
    return owner


def _moved(owner: str, changed: int) -> dict[str, Any]:
    refit(arena())
    tell(arena(), "sessions")
    return {"owner": owner, "votes": changed}
