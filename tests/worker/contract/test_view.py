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
    st.builds(ev.BattleFailed, error=st.just(Failure("internal", "no"))),
    st.builds(ev.BattleCancelled, by=st.sampled_from(("user", "operator"))),
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
