"""Which items of batches begin next, and the moment at which one does."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import exists, select, update
from sqlalchemy.orm import Session

from web.arena.batches import in_flight, unbegun
from web.errors import ArenaError
from web.models import Batch, BatchItem, Battle


@dataclass(frozen=True, slots=True)
class Next:
    """An item whose battle may begin now."""

    batch: Batch
    number: int
    prompt: str


def next_items(session: Session, at_once: int, most: int) -> list[Next]:
    """Items to begin: of each batch so many that ``at_once`` of it are in flight, the oldest batches first."""
    waiting = select(BatchItem.batch_id).where(unbegun()).distinct()
    open_ones = select(Batch).where(Batch.id.in_(waiting), Batch.cancelled_at.is_(None))
    batches = session.scalars(open_ones.order_by(Batch.created_at).limit(max(most, 1))).all()
    found: list[Next] = []
    for batch in batches:
        running = len(list(in_flight(session, batch.id)))
        room = min(at_once - running, most - len(found))
        if room > 0:
            items = select(BatchItem.number, BatchItem.prompt).where(BatchItem.batch_id == batch.id, unbegun())
            rows = session.execute(items.order_by(BatchItem.number).limit(room))
            found += [Next(batch, number, prompt or "") for number, prompt in rows]
    return found


class NotWaiting(Exception):  # noqa: N818
    """The item has begun already, or its batch was cancelled."""


def claim(session: Session, item: Next, battle_id: str) -> None:
    """Tie the battle to its item, in the transaction that stores the battle. Raises NotWaiting."""
    goes_on = exists().where(Batch.id == item.batch.id, Batch.cancelled_at.is_(None))
    claimed = session.execute(
        update(BatchItem)
        .where(BatchItem.batch_id == item.batch.id, BatchItem.number == item.number, unbegun(), goes_on)
        .values(battle_id=battle_id, prompt=None)
        .returning(BatchItem.number)
        .execution_options(synchronize_session=False)
    )
    if claimed.first() is None:
        raise NotWaiting()
    session.execute(
        update(Battle)
        .where(Battle.id == battle_id)
        .values(batch_id=item.batch.id)
        .execution_options(synchronize_session=False)
    )


def refuse(session: Session, item: Next, error: ArenaError) -> None:
    """The item can never begin: what was allowed when it was taken in is not any more."""
    session.execute(
        update(BatchItem)
        .where(BatchItem.batch_id == item.batch.id, BatchItem.number == item.number, unbegun())
        .values(error={"code": error.code, "message": error.detail, "retryable": False}, prompt=None)
    )
