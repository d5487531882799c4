"""Who the contenders were. Nothing here may be called for a battle that has no stored vote."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec.structs import replace
from sqlalchemy import select
from sqlalchemy.orm import Session

from web.arena.catalogue import facts_of
from web.models import Answer, Battle, Rating, RatingSnapshot, Turn
from worker.contract.catalog import Catalog
from worker.contract.events import ModelFacts, RevealedModels


def reveal(session: Session, catalog: Catalog, battle: Battle) -> RevealedModels:
    """Both models with this battle's figures (of the last turn that ended well) and their current rating."""
    good = select(Turn.turn).where(Turn.battle_id == battle.id, Turn.votable.is_(True))
    answers = session.scalars(
        select(Answer).where(Answer.battle_id == battle.id, Answer.turn.in_(good)).order_by(Answer.turn)
    )
    last = {answer.side: answer for answer in answers}
    ratings = current_ratings(session, (battle.model_a, battle.model_b))
    return RevealedModels(
        a=_facts(facts_of(session, catalog, battle.model_a), last.get("a"), ratings.get(battle.model_a)),
        b=_facts(facts_of(session, catalog, battle.model_b), last.get("b"), ratings.get(battle.model_b)),
    )


def current_ratings(session: Session, models: Iterable[str]) -> dict[str, float]:
    """Ratings on the newest board of all votes, of those models that are on it."""
    newest = (
        select(RatingSnapshot.id)
        .where(RatingSnapshot.board == "overall")
        .order_by(RatingSnapshot.id.desc())
        .limit(1)
        .scalar_subquery()
    )
    rows = session.execute(
        select(Rating.model, Rating.rating).where(Rating.snapshot_id == newest, Rating.model.in_(list(models)))
    )
    return {model: round(rating, 1) for model, rating in rows}


def _facts(known: ModelFacts, answer: Answer | None, rating: float | None) -> ModelFacts:
    if answer is None:
        return replace(known, rating=rating)
    return replace(
        known,
        rating=rating,
        completion_tokens=answer.completion_tokens,
        first_token_s=None if answer.first_token_s is None else round(answer.first_token_s, 2),
        tokens_per_s=tokens_per_s(answer),
    )


def tokens_per_s(answer: Answer) -> float | None:
    """Decode speed, after the first token; None when there are too few tokens to tell."""
    if answer.first_token_s is None or answer.completion_tokens < 2:
        return None
    spent = answer.duration_s - answer.first_token_s
    return round((answer.completion_tokens - 1) / spent, 1) if spent > 0 else None
