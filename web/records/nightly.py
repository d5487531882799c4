"""The nightly purge, and the nightly judgement of all votes, on threads that nothing waits for."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

from web.context import Arena
from web.records.integrity import Integrity
from web.retention import Purged, purge_if_due

log = logging.getLogger(__name__)

LOOK_S = 300.0
"""How often it is asked whether the night's work has been done."""


def purge_always(leave: threading.Event, arena: Callable[[], Arena], purged: Callable[[Purged], None]) -> None:
    """Until ``leave``: look, and delete what is due. Never raises; what failed is tried again at the next look."""
    while True:
        try:
            if (done := purge_if_due(arena())) is not None:
                purged(done)
        except Exception as error:  # noqa: BLE001 (a database's message may hold parameters)
            log.error("old texts could not be deleted: %s; it is tried again", type(error).__name__)
        if leave.wait(LOOK_S):
            return


def judge_always(leave: threading.Event, integrity: Callable[[], Integrity]) -> None:
    """Until ``leave``: look, and judge all votes when it is due. Never raises either."""
    while not leave.wait(LOOK_S):
        try:
            if (found := integrity().nightly()) is not None:
                log.info("all votes are judged: %d moved, %d sessions apart", len(found.differ), len(found.apart))
        except Exception as error:  # noqa: BLE001 (likewise)
            log.error("votes could not be judged: %s; it is tried again", type(error).__name__)
