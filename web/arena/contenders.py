"""One contender: what is known of it, how it fared, and against whom. Models that left the catalog stay."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from web.arena import pairs
from web.arena.excluded import models_out
from web.arena.pairs import Meetings
from web.errors import UnknownModel
from web.models import Rating, RatingSnapshot
from worker.contract.catalog import Catalog


@dataclass(frozen=True, slots=True)
class Contender:
    """``standings``: its row by category; ``met``: its meetings with itself as ``a``, most games first."""

    model: str
    competing: bool
    standings: tuple[tuple[str, Rating], ...]
    met: tuple[Meetings, ...]


def is_competing(session: Session, catalog: Catalog, model: str) -> bool:
    """Whether battles are drawn with it: in the catalog, and not taken out by an operator."""
    return model in catalog.ids and model not in models_out(session)


def read_contender(session: Session, catalog: Catalog, model: str) -> Contender:
    """Raises UnknownModel for one that is not in the catalog and never had a counted vote."""
    met = sorted((m.seen_from(model) for m in pairs.read(session, model)), key=lambda m: (-m.games, m.b))
    newest = select(func.max(RatingSnapshot.id)).group_by(RatingSnapshot.board)
    rows = session.execute(
        select(RatingSnapshot.board, Rating)
        .join(Rating, Rating.snapshot_id == RatingSnapshot.id)
        .where(RatingSnapshot.id.in_(newest), Rating.model == model)
        .order_by(RatingSnapshot.id)
    )
    standings = tuple((board, rating) for board, rating in rows)
    if catalog.get(model) is None and not met and not standings:
        raise UnknownModel(f"There is no model {model[:40]!r}.")
    return Contender(model, is_competing(session, catalog, model), standings, tuple(met))
