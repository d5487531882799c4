from __future__ import annotations

import logging
import queue
import threading

import pytest

from web.live.crew import Crew

PATIENCE_S = 10


def test_no_more_work_at_a_time_than_there_are_hands_and_everything_gets_done() -> None:
    crew, gate, done = Crew(hands=3), threading.Semaphore(0), queue.SimpleQueue[int]()
    at_once, most, lock = [0], [0], threading.Lock()

    def job(n: int) -> None:
        with lock:
            at_once[0] += 1
            most[0] = max(most[0], at_once[0])
        gate.acquire()
        with lock:
            at_once[0] -= 1
        done.put(n)

    for n in range(20):
        crew(lambda n=n: job(n))  # type: ignore[misc]
    gate.release(20)
    assert sorted(done.get(timeout=PATIENCE_S) for _ in range(20)) == list(range(20))
    assert most[0] <= 3


def test_first_come_first_served() -> None:
    crew, done = Crew(hands=1), queue.SimpleQueue[int]()
    for n in range(50):
        crew(lambda n=n: done.put(n))  # type: ignore[misc]
    assert [done.get(timeout=PATIENCE_S) for _ in range(50)] == list(range(50))


def test_a_job_that_fails_takes_nobody_with_it(caplog: pytest.LogCaptureFixture) -> None:
    crew, done = Crew(hands=1), queue.SimpleQueue[str]()
    with caplog.at_level(logging.CRITICAL):
        crew(lambda: 1 / 0)
        crew(lambda: done.put("done"))
        assert done.get(timeout=PATIENCE_S) == "done"
