"""Draining as the runtime sees it: when it is over, and what undoing it says."""

from __future__ import annotations

import pytest

from worker.drain import Drain
from worker.errors import AdminError
from worker.pool.operations import Operations


class Worker:
    """Counts battles and how often it was told that something changed."""

    def __init__(self, running: int) -> None:
        self.running = running
        self.changes = 0
        self.operations = Operations(lambda: 1.0)
        self.drain = Drain(self.operations, lambda: self.running, self._changed)

    def _changed(self) -> None:
        self.changes += 1

    def end_one(self) -> None:
        self.running -= 1
        self.drain.battle_ended()

    def state(self, operation_id: str) -> str:
        found = self.operations.get(operation_id)
        assert found is not None
        return found.state


def test_it_is_over_with_the_last_battle_and_stays_on() -> None:
    worker = Worker(running=2)
    operation = worker.drain.begin(("battles",))
    assert operation.detail == "takes no new battles; 2 battles still to end"
    states = []
    for _ in range(2):
        worker.end_one()
        states.append(worker.state(operation.id))
    assert states == ["running", "done"]
    assert worker.drain.on


def test_an_idle_worker_has_drained_at_once() -> None:
    worker = Worker(running=0)
    operation = worker.drain.begin(())
    assert worker.state(operation.id) == "done"
    assert worker.drain.on


def test_battles_that_end_later_do_not_end_what_has_ended() -> None:
    worker = Worker(running=1)
    first = worker.drain.begin(())
    worker.drain.undo()
    assert not worker.drain.on
    assert worker.state(first.id) == "failed"
    worker.end_one()
    assert worker.state(first.id) == "failed"
    assert worker.state(worker.drain.begin(()).id) == "done"


def test_both_ways_are_refused_twice_and_told_to_the_report() -> None:
    worker = Worker(running=1)
    with pytest.raises(AdminError, match="takes battles already"):
        worker.drain.undo()
    worker.drain.begin(())
    with pytest.raises(AdminError, match=r"is draining \(1 battle still to end\) already.*control resume"):
        worker.drain.begin(())
    worker.end_one()
    with pytest.raises(AdminError, match="has drained already"):
        worker.drain.begin(())
    worker.drain.undo()
    assert worker.changes == 2
