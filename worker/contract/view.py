"""What a battle looks like after a run of events: the one pure reducer behind snapshots, pages and tests.

The browser's store folds the same events the same way; ``tests/worker/contract/test_view.py`` holds the shared cases.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, assert_never

from msgspec.structs import replace

from worker.contract import events as ev
from worker.contract.events import BattleView, SideView, StoredEvent, TurnView

_FRESH: dict[str, Any] = {
    "queued": None,
    "loading": None,
    "votable": False,
    "error": None,
    "cancelled_by": None,
    "cancel_reason": None,
}
"""What the beginning of a turn, or of another try at one, undoes."""


def fold(view: BattleView, event: StoredEvent) -> BattleView:
    """The view after ``event``. Total: an event that makes no sense in this state changes nothing it should not."""
    match event:
        case ev.TurnStarted(turn=turn, prompt=prompt):
            if any(t.turn == turn for t in view.turns):
                return view
            return replace(
                view,
                state="queued",
                turns=(*view.turns, TurnView(turn=turn, prompt=prompt)),
                **_FRESH,
            )
        case ev.TurnRetried(turn=turn, retry=retry, sides=sides):
            last = view.turns[-1] if view.turns else None
            if last is None or last.turn != turn or last.retry >= retry:
                return view
            again = replace(last, retry=retry, **dict.fromkeys(sides, SideView()))
            return replace(view, state="queued", turns=(*view.turns[:-1], again), **_FRESH)
        case ev.BattleQueued():
            return replace(view, queued=event)
        case ev.BattleLoading():
            return replace(view, queued=None, loading=event)
        case ev.SideStarted(side=side):
            running = replace(view, state="running", queued=None, loading=None)
            return _with_side(running, side, lambda s: replace(s, status="streaming"))
        case ev.SideDelta(side=side, text=text):
            running = replace(view, state="running", queued=None, loading=None)
            return _with_side(running, side, lambda s: replace(s, text=s.text + text, status="streaming"))
        case ev.SideDone(side=side, finish_reason=reason):
            return _with_side(view, side, lambda s: replace(s, status="done", finish_reason=reason))
        case ev.SideFailed(side=side, error=error):
            return _with_side(view, side, lambda s: replace(s, status="failed", finish_reason="failed", error=error))
        case ev.BattleRestarted(attempt=attempt):
            cleared = replace(view, state="queued", attempt=attempt, queued=None, loading=None, votable=False)
            return _with_side(_with_side(cleared, "a", lambda _: SideView()), "b", lambda _: SideView())
        case ev.BattleVotable():
            return replace(view, state="finished", votable=True)
        case ev.BattleVoted(winner=winner):
            return replace(view, winner=winner, votable=False)
        case ev.BattleRevealed(models=models):
            return replace(view, models=models)
        case ev.BattleFailed(error=error, votable=votable):
            return replace(view, state="failed", queued=None, loading=None, votable=votable, error=error)
        case ev.BattleCancelled(by=by, reason=reason, votable=votable):
            ended = replace(view, state="cancelled", queued=None, loading=None, votable=votable)
            return replace(ended, cancelled_by=by, cancel_reason=reason or None)
        case _:  # pragma: no cover
            assert_never(event)


def fold_all(events: Iterable[StoredEvent], view: BattleView | None = None) -> BattleView:
    """The view after all ``events``, merging runs of deltas first so that a long log folds in linear time."""
    state = view or BattleView()
    for event in merge_deltas(events):
        state = fold(state, event)
    return state


def merge_deltas(events: Iterable[StoredEvent]) -> list[StoredEvent]:
    """Join deltas of one side that no event but the other side's deltas stands between; the fold is unchanged."""
    merged: list[StoredEvent] = []
    open_parts: dict[str, list[str]] = {}

    def flush() -> None:
        for side, parts in open_parts.items():
            merged.append(ev.SideDelta(side=side, text="".join(parts)))  # type: ignore[arg-type]
        open_parts.clear()

    for event in events:
        if isinstance(event, ev.SideDelta):
            open_parts.setdefault(event.side, []).append(event.text)
        else:
            flush()
            merged.append(event)
    flush()
    return merged


def _with_side(view: BattleView, side: str, change) -> BattleView:  # type: ignore[no-untyped-def]
    if not view.turns:
        return view
    last = view.turns[-1]
    updated = replace(last, **{side: change(getattr(last, side))})
    return replace(view, turns=(*view.turns[:-1], updated))
