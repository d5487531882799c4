"""Every place whose states are looked at, by eye or by axe: a running arena, and boards before and after many votes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ops import boards
from ops.states import STATES, Past, State, live

if TYPE_CHECKING:
    from playwright.sync_api import Browser

WITHOUT_ENGLISH = {"history-empty", "shared", "leaderboard", "model", "about", "notice", "not-found"}
"""States of the running arena that are reached without a word of English; those of the boards are, all of them."""


@dataclass(frozen=True)
class Sites:
    """Their addresses, and what was lived through in the first."""

    arena: str
    full: str
    empty: str
    past: Past

    def states(self) -> list[tuple[str, State]]:
        """All there are, each with the address it is a state of."""
        places = ((self.arena, STATES), (self.full, boards.FULL), (self.empty, boards.EMPTY))
        return [(url, state) for url, states in places for state in states]

    def documents(self) -> list[tuple[str, State]]:
        """Those that can be reached in another language."""
        return [(url, state) for url, state in self.states() if url != self.arena or state.name in WITHOUT_ENGLISH]


@contextlib.contextmanager
def sites(browser: Browser, arena: str, folder: Path) -> Iterator[Sites]:
    """All of them, while the block runs: the arena at ``arena``, and the boards, whose data lie in ``folder``."""
    context = browser.new_context()
    past = live(context.new_page(), arena)
    context.close()
    with boards.served(folder / "full", votes=True) as full, boards.served(folder / "empty", votes=False) as empty:
        yield Sites(arena, full, empty, past)
