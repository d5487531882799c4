"""``/api/admin``: what operators rule about models, votes, sessions and battles. Every change is in the audit log."""

from __future__ import annotations

import re
from collections.abc import Callable
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
    """Every model of the catalog and whether battles are drawn with it; and why the file as it is now is not used."""
    context = arena()
    standings = context.db.read(lambda s: models.listed(s, context.catalog))
    return {"models": [asdict(m) for m in standings], "catalog_refused": context.catalogs.refused}


def _of_model(name: str, rule: Callable[..., models.Standing], what: str, about: str = "") -> None:
    @bp.post(f"/models/<model>/{name}", endpoint=name)
    @bp.input(ReasonIn, arg_name="body")
    @bp.output(StandingOut)
    @bp.doc(summary=what, description=about)
    @problems(*_WHO, UnknownModel, Unchanged)
    @access(session=False, scope="admin")
    def ruling(model: str, body: ReasonIn) -> dict[str, Any]:
        by, context = operator(), arena()
        return _ruled(context.db.write(lambda s: rule(s, context.catalog, by, model, body.reason)))


_of_model("enable", models.enable, "Have a model take part again, whatever kept it out")
_of_model(
    "disable", models.disable, "Have no battle drawn with a model until it is enabled", "Battles that have begun go on."
)


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


def _of_vote(name: str, rule: Callable[..., Vote], what: str) -> None:
    @bp.post(f"/votes/<int:vote_id>/{name}", endpoint=name)
    @bp.input(ReasonIn, arg_name="body")
    @bp.output(VoteRow)
    @bp.doc(summary=what)
    @problems(*_WHO, UnknownVote, Unchanged)
    @access(session=False, scope="admin")
    def ruling(vote_id: int, body: ReasonIn) -> dict[str, Any]:
        by = operator()
        return _recounted(arena().db.write(lambda s: rule(s, by, _known(vote_id), body.reason)))


_of_vote("flag", votes.flag, "Have a vote not count; the leaderboard is made anew without it")
_of_vote("unflag", votes.unflag, "Take the flag away; the vote counts when nothing else is against it")


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


def _of_session(name: str, rule: Callable[..., int], what: str, about: str = "") -> None:
    @bp.post(f"/sessions/<owner>/{name}", endpoint=name)
    @bp.input(ReasonIn, arg_name="body")
    @bp.output(SessionChangedOut)
    @bp.doc(summary=what, description=about)
    @problems(*_WHO, UnknownSession, Unchanged)
    @access(session=False, scope="admin")
    def ruling(owner: str, body: ReasonIn) -> dict[str, Any]:
        by, context = operator(), arena()
        key = context.settings.signing_key()
        return _moved(owner, context.db.write(lambda s: rule(s, by, _session(owner), body.reason, key)))


_of_session(
    "quarantine",
    votes.quarantine,
    "Have no vote of a session count, cast or to be cast",
    "Also those of battles it has deleted. Its battles go on as before, and it is not told.",
)
_of_session("release", votes.release, "Have a session's votes count again, those with nothing else against them")


def _session(owner: str) -> str:
    if not _OWNER.fullmatch(owner):
        raise UnknownSession()
    return owner


def _moved(owner: str, changed: int) -> dict[str, Any]:
    refit(arena())
    tell(arena(), "sessions")
    return {"owner": owner, "votes": changed}
