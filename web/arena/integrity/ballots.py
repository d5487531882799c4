"""Votes in columns, as the rules about voters read them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from web.arena.integrity.sequential import Bools, Floats, Ints


@dataclass(frozen=True, slots=True)
class Ballots:
    """Votes, one entry each, in any order.

    ``at``: seconds of any one clock; ``a``, ``b``: index ``models``; ``score``: a's, 0, 0.5 or 1; ``session`` and
    ``place``: numbers from 0, a place of -1 is not known; ``out``: does not count for a reason of its own; ``trusted``:
    an operator has said that its session is all right.
    """

    models: tuple[str, ...]
    id: Ints
    at: Floats
    a: Ints
    b: Ints
    score: Floats
    session: Ints
    place: Ints
    out: Bools
    trusted: Bools

    def take(self, chosen: Ints | Bools) -> Ballots:
        """Some of them, or all in another order."""
        return Ballots(
            self.models,
            id=self.id[chosen],
            at=self.at[chosen],
            a=self.a[chosen],
            b=self.b[chosen],
            score=self.score[chosen],
            session=self.session[chosen],
            place=self.place[chosen],
            out=self.out[chosen],
            trusted=self.trusted[chosen],
        )

    def places(self) -> Ints:
        """Numbers of the places; where one is not known the session is a place of its own."""
        size = int(self.session.max(initial=-1)) + 1
        return np.where(self.place >= 0, self.place + size, self.session)

    def on(self, model: int) -> Bools:
        """Those on battles of a model."""
        return np.asarray((self.a == model) | (self.b == model))
