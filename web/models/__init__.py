"""The tables."""

from web.models.base import Base, Moment, now
from web.models.battles import Answer, Batch, BatchItem, Battle, Turn, Words
from web.models.catalogue import KnownModel
from web.models.operators import ApiKey, AuditLine, ModelState, Quarantine
from web.models.votes import RATED, PairCount, Rating, RatingSnapshot, Vote

__all__ = [
    "RATED",
    "Answer",
    "ApiKey",
    "AuditLine",
    "Base",
    "Batch",
    "BatchItem",
    "Battle",
    "KnownModel",
    "ModelState",
    "Moment",
    "PairCount",
    "Quarantine",
    "Rating",
    "RatingSnapshot",
    "Turn",
    "Vote",
    "Words",
    "now",
]
