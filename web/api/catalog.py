"""``/api/models``: who takes part. The same for everybody at any time, so it tells nothing of any battle."""

from __future__ import annotations

from typing import Any

from apiflask import APIBlueprint
from flask import Response
from sqlalchemy.orm import Session

from web.api.caching import catalog_tag, etag, revalidated
from web.api.schemas.leaderboard import ModelOut, ModelPageOut, ModelsOut
from web.arena import board
from web.arena.catalogue import Known, known, names
from web.arena.contenders import is_competing, read_contender
from web.arena.pairs import Meetings
from web.context import Arena, arena
from web.errors import UnknownModel
from web.openapi import leads_to, problems, revalidates
from worker.contract.catalog import ModelSpec

bp = APIBlueprint("catalog", __name__, url_prefix="/api/models", tag="Models")


@bp.get("")
@bp.output(ModelsOut)
@revalidates
@leads_to("model_id", "/models/0/id")
def models() -> Response:
    """The contenders.

    With their makers and licences.
    """
    catalog = arena().catalog
    return revalidated(etag("models", catalog_tag(catalog)), lambda: {"models": [_facts(m) for m in catalog.models]})


@bp.get("/<model_id>")
@bp.output(ModelPageOut)
@problems(UnknownModel)
@revalidates
def model(model_id: str) -> Response:
    """One contender.

    What is known of it, its row on every board, and how it fared against each of the others. A model that left the
    catalog still answers while there are votes on it.
    """
    context = arena()
    seen = context.db.read(lambda s: (board.newest_of_all(s), is_competing(s, context.catalog, model_id)))
    tag = etag("model", model_id, seen, context.settings.min_votes, catalog_tag(context.catalog))
    return revalidated(tag, lambda: context.db.read(lambda s: _page(s, context, model_id)))


def _page(session: Session, context: Arena, model_id: str) -> dict[str, Any]:
    found = read_contender(session, context.catalog, model_id)
    called = names(session, context.catalog, [m.b for m in found.met])
    sums = {
        name: sum(getattr(m, name) for m in found.met) for name in ("games", "wins_a", "wins_b", "ties", "both_bad")
    }
    return {
        **_facts(context.catalog.get(model_id) or known(session, context.catalog, [model_id])[model_id]),
        "competing": found.competing,
        "record": _won_and_lost(sums),
        "standings": [
            {
                "category": category,
                **board.rounded(rating),
                "preliminary": rating.votes < context.settings.min_votes,
            }
            for category, rating in found.standings
        ],
        "opponents": [_opponent(called[m.b], m) for m in found.met],
    }


def _opponent(name: str, m: Meetings) -> dict[str, Any]:
    sums = {name: getattr(m, name) for name in ("games", "wins_a", "wins_b", "ties", "both_bad")}
    return {"model": m.b, "name": name, **_won_and_lost(sums), "rate": m.rate_a}


def _won_and_lost(sums: dict[str, int]) -> dict[str, int]:
    return {
        "games": sums["games"],
        "won": sums["wins_a"],
        "lost": sums["wins_b"],
        "ties": sums["ties"],
        "both_bad": sums["both_bad"],
    }


def _facts(of: ModelSpec | Known) -> dict[str, Any]:
    """A ``Known``, whose id is called otherwise, is what is left of a model that the catalog no longer has."""
    told = {name: getattr(of, name) for name in ModelOut.model_fields if name != "id"}
    return {"id": of.id if isinstance(of, ModelSpec) else of.model, **told}
