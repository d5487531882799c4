"""A line holds what may be on it and nothing else, however it came about."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from worker.contract import logs

CANARY = "canary-4be1"


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """Where this process logs, as JSON at DEBUG, for the time of a test."""
    root, hooks = logging.getLogger(), (logs.sys.excepthook, logs.threading.excepthook)
    names = ("", *logs.OURS, *logs._QUIET)
    before, levels = list(root.handlers), {name: logging.getLogger(name).level for name in names}
    heard = io.StringIO()
    logs.install("json", "DEBUG", heard)
    yield heard
    logging.captureWarnings(False)
    logs.unbind()
    root.handlers[:] = before
    logs.sys.excepthook, logs.threading.excepthook = hooks
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_says_when_how_grave_who_what_and_what_it_is_about(stream: io.StringIO) -> None:
    with logs.bound(battle="b-1", attempt=2, side="a", request="r-1", task="b-1.1"):
        logging.getLogger("worker.thing").debug("it %s", "happened")
    (line,) = lines(stream)
    assert line.pop("time").endswith("+00:00")
    assert line == {
        "level": "debug",
        "logger": "worker.thing",
        "event": "it happened",
        "request": "r-1",
        "task": "b-1.1",
        "battle": "b-1",
        "attempt": 2,
        "side": "a",
    }


def test_what_is_bound_under_another_name_is_on_no_line(stream: io.StringIO) -> None:
    with logs.bound(owner=CANARY, prompt=CANARY):
        logging.getLogger("web.thing").info("said", extra={"fields": {"address": CANARY, "status": 200}})
    (line,) = lines(stream)
    assert line["status"] == 200
    assert CANARY not in stream.getvalue()


def test_other_peoples_loggers_are_not_heard_below_info(stream: io.StringIO) -> None:
    pool = logging.getLogger("celery.pool")
    assert not pool.isEnabledFor(logging.DEBUG)
    pool.debug("TaskPool: Apply %s", CANARY)
    loud = logging.getLogger("loud.library")
    loud.setLevel(logging.DEBUG)
    try:
        loud.debug(CANARY)
        loud.info("fine")
    finally:
        loud.setLevel(logging.NOTSET)
    assert [line["event"] for line in lines(stream)] == ["fine"]


def test_a_traceback_shows_no_variables(stream: io.StringIO) -> None:
    def fails(prompt: str) -> None:
        raise ValueError(len(prompt))

    try:
        fails(CANARY)
    except ValueError:
        logging.getLogger("web.thing").exception("it failed")
    (line,) = lines(stream)
    assert "in fails" in line["exception"]
    assert CANARY not in stream.getvalue()


def test_a_line_that_cannot_be_written_does_not_show_its_arguments(
    stream: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = io.StringIO()
    monkeypatch.setattr(logs.sys, "__stderr__", told)
    handler = next(h for h in logging.getLogger().handlers if isinstance(h, logs._Handler))
    handler.emit(logging.LogRecord("web.thing", logging.INFO, "", 0, "%d", (CANARY,), None))
    assert told.getvalue() == "a log line of web.thing could not be written\n"
    assert stream.getvalue() == ""


def test_celerys_own_lines_name_their_task(stream: io.StringIO) -> None:
    data = {"id": "b-1.1", "name": "worker.run_battle", "args": CANARY}
    logging.getLogger("celery.app.trace").info("Task %(name)s[%(id)s] received", data, extra={"data": data})
    (line,) = lines(stream)
    assert line["task"] == "b-1.1"
    assert CANARY not in stream.getvalue()


def test_as_text_the_same_facts_are_on_one_line() -> None:
    record = logging.LogRecord("web.access", logging.INFO, "", 0, "request", (), None)
    record.fields = {"method": "GET", "status": 200}
    text = logs.formatter("text").format(record)
    assert text.endswith("INFO     web.access: request method=GET status=200")


def test_a_message_carries_the_request_that_caused_it_and_its_task_is_bound_to_it() -> None:
    headers: dict[str, Any] = {}
    with logs.bound(request="r-1"):
        logs.carry(headers)
    assert logs.request_id() == ""
    with logs.carried(headers, task="t-1", battle=None):
        assert logs.get_contextvars() == {"request": "r-1", "task": "t-1"}
    assert logs.get_contextvars() == {}
