"""How many battles of one session or key may wait or be answered at the same time.

Counted in the database, in the transaction that opens one, rather than with a counter in Redis: battles end in several
processes, some of which die, and a counter that misses one end refuses its session for good. The database knows.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable

from sqlalchemy import bindparam, func, select
from sqlalchemy.orm import Session

from web.errors import RateLimited
from web.limits.rules import amount
from web.models import Battle

NAME = "open_battles"
OPEN = ("queued", "running")
_RETRY_S = 5.0
_OPEN_OF = select(func.count()).where(
    Battle.owner == bindparam("owner"), Battle.state.in_(OPEN), Battle.batch_id.is_(None)
)


def within_limit(owner: str | None) -> Callable[[Session, str], None] | None:
    """What to run once a battle of ``owner`` has been opened, in its transaction; None when there is no limit.

    It raises RateLimited, which undoes the transaction. Battles of a batch have limits of their own.
    """
    most = amount(NAME)
    return (lambda session, _battle: check(session, owner, most)) if owner is not None and most else None


def check(session: Session, owner: str, most: int) -> None:
    """Raises RateLimited when ``owner`` has more than ``most`` open battles, the one of this transaction included."""
    if session.get_bind().dialect.name == "postgresql":
        # Two at the same moment would not see each other; SQLite has one writer anyway.
        session.execute(select(func.pg_advisory_xact_lock(zlib.crc32(owner.encode()))))
    session.flush()  # the one that is being opened counts
    if (session.connection().scalar(_OPEN_OF, {"owner": owner}) or 0) > most:
        raise RateLimited(
            f"At most {most} battles at the same time. Wait for one to end.", retry_after_s=_RETRY_S, limit=NAME
        )
