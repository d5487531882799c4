"""The reducer: what a page shows after a run of events."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from worker.contract import events as ev
from worker.contract.events import BattleView, Failure, StoredEvent
from worker.contract.view import fold, fold_all, merge_deltas

STORED = st.one_of(
    st.builds(ev.TurnStarted, turn=st.integers(1, 3), prompt=st.text(max_size=5)),
    st.builds(ev.BattleQueued, position=st.integers(1, 9), eta_s=st.none() | st.floats(0, 9)),
    st.builds(ev.BattleLoading, fraction=st.floats(0, 1), eta_s=st.none()),
    st.builds(ev.SideStarted, side=st.sampled_from(ev.SIDES)),
    st.builds(ev.SideDelta, side=st.sampled_from(ev.SIDES), text=st.text(max_size=5)),
    st.builds(ev.SideDelta, side=st.sampled_from(ev.SIDES), text=st.text(max_size=5)),
    st.builds(ev.SideDone, side=st.sampled_from(ev.SIDES), finish_reason=st.sampled_from(("stop", "length"))),
    st.builds(ev.SideFailed, side=st.sampled_from(ev.SIDES), error=st.just(Failure("internal", "no"))),
    st.builds(ev.BattleRestarted, attempt=st.integers(2, 4)),
    st.just(ev.BattleVotable()),
    st.builds(ev.BattleVoted, winner=st.sampled_from(("a", "b", "tie", "both_bad"))),
    st.builds(ev.BattleFailed, error=st.just(Failure("internal", "no")), votable=st.booleans()),
    st.builds(
        ev.BattleCancelled,
        by=st.sampled_from(("user", "operator")),
        reason=st.sampled_from(("", "too late")),
        votable=st.booleans(),
    ),
    st.builds(
        ev.TurnRetried,
        turn=st.integers(1, 3),
        retry=st.integers(1, 3),
        sides=st.sampled_from((("a",), ("b",), ("a", "b"))),
    ),
)


@given(st.lists(STORED, max_size=40))
def test_merging_deltas_never_changes_the_view(events: list[StoredEvent]) -> None:
    view = BattleView()
    for event in events:
        view = fold(view, event)
    assert fold_all(events) == view
    assert len(merge_deltas(events)) <= len(events)


@given(st.lists(STORED, max_size=20))
def test_events_survive_the_wire(events: list[StoredEvent]) -> None:
    assert [ev.decode_event(ev.encode(e)) for e in events] == events


def test_a_battle_told_from_prompt_to_vote() -> None:
    view = fold_all(
        [
            ev.TurnStarted(1, "why?"),
            ev.BattleQueued(2, 4.0),
            ev.BattleLoading(0.5),
            ev.SideStarted("a"),
            ev.SideDelta("a", "be"),
            ev.SideDelta("b", "no"),
            ev.SideDelta("a", "cause"),
            ev.SideDone("a", "stop"),
            ev.SideDone("b", "length"),
            ev.BattleVotable(),
        ]
    )
    assert (view.state, view.votable, view.queued, view.loading) == ("finished", True, None, None)
    assert (view.turns[0].a.text, view.turns[0].b.finish_reason) == ("because", "length")


def test_a_restart_forgets_the_text_of_the_turn_it_restarts() -> None:
    view = fold_all(
        [ev.TurnStarted(1, "why?"), ev.SideDelta("a", "old"), ev.BattleRestarted(2), ev.SideDelta("a", "n")]
    )
    assert (view.attempt, view.turns[0].a.text, view.turns[0].b.text) == (2, "n", "")


def test_a_retry_forgets_only_the_sides_it_names() -> None:
    ended = [ev.TurnStarted(1, "why?"), ev.SideDelta("a", "well"), ev.SideDone("a", "stop")]
    broke = [ev.SideDelta("b", "ha"), ev.SideFailed("b", Failure("internal", "no"))]
    view = fold_all([*ended, *broke, ev.BattleFailed(Failure("internal", "no")), ev.TurnRetried(1, 1, ("b",))])
    assert (view.state, view.error, view.turns[0].retry) == ("queued", None, 1)
    assert (view.turns[0].a.text, view.turns[0].a.status) == ("well", "done")
    assert view.turns[0].b == ev.SideView()
    assert fold(view, ev.TurnRetried(1, 1, ("a", "b"))) == view, "what was told before changes nothing"


def test_a_failed_turn_leaves_the_earlier_ones_votable() -> None:
    view = fold_all([ev.TurnStarted(1, "why?"), ev.BattleVotable(), ev.TurnStarted(2, "and?")])
    assert (view.state, view.votable) == ("queued", False)
    failed = fold(view, ev.BattleFailed(Failure("context_overflow", "no"), votable=True))
    assert (failed.state, failed.votable) == ("failed", True)
    stopped = fold(view, ev.BattleCancelled("operator", "Maintenance.", votable=True))
    assert (stopped.cancelled_by, stopped.cancel_reason, stopped.votable) == ("operator", "Maintenance.", True)
    again = fold(stopped, ev.TurnStarted(3, "so?"))
    assert (again.cancelled_by, again.cancel_reason) == (None, None)
