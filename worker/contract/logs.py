"""What every process writes to its log: one line per event, as text for people or as JSON for collectors.

Everybody logs by the standard library; this module decides how a line looks and what is bound to it. Only the names in
``FIELDS`` can be on a line beside time, level, logger and event, so nobody's session, address, prompt or answer gets
there by being bound somewhere. Other people's loggers are never heard below INFO: Celery's pool and redis-py write
whole messages, prompts included, at DEBUG.
"""

from __future__ import annotations

import contextlib
import logging
import sys
import threading
import types
from collections.abc import Callable, Iterator, Mapping, MutableMapping
from datetime import UTC, datetime
from typing import Any, Literal, TextIO

import msgspec
from structlog.contextvars import bind_contextvars, bound_contextvars, clear_contextvars, get_contextvars

Style = Literal["text", "json"]
Level = Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"]

OURS = ("web", "worker")
"""Packages whose loggers may go below INFO."""
_QUIET = ("alembic", "werkzeug", "httpx", "httpx2", "urllib3")
"""Said at every question about the schema, or with a request's whole address: heard from WARNING on."""
BOUND = ("request", "task", "battle", "attempt", "side")
"""What is bound to all lines of a request or a task, where known."""
FIELDS = (*BOUND, "method", "route", "status", "code", "ms", "worker")
REQUEST_HEADER = "arena_request"
"""Header of a Celery message: the id of the request that caused it."""


def install(style: Style = "text", level: str = "INFO", stream: TextIO | None = None) -> None:
    """Make this process log so, to ``stream`` (standard error). Replaces what was installed before."""
    handler = _Handler(stream)
    handler.setFormatter(formatter(style))
    handler.addFilter(_heard)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    wanted = logging.getLevelNamesMapping()[level.upper()]
    root.setLevel(max(wanted, logging.INFO))
    for name in OURS:
        logging.getLogger(name).setLevel(wanted)
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(wanted, logging.WARNING))
    logging.captureWarnings(True)
    sys.excepthook = _uncaught
    threading.excepthook = _uncaught_in_thread


def level_of(settings: Any, asked: int | None) -> str:
    """The level for a Celery worker: ``ARENA_LOG_LEVEL`` where it is set, else its own ``--loglevel`` if given."""
    if asked and "log_level" not in settings.model_fields_set:
        return logging.getLevelName(asked)
    return str(settings.log_level)


def formatter(style: Style) -> logging.Formatter:
    """One line per event (and its traceback, which never shows variables)."""
    return _Formatter(_json if style == "json" else _text)


def bind(**facts: Any) -> None:
    """From now on these are on every line of this request or task; names are of ``BOUND``."""
    bind_contextvars(**facts)


def bound(**facts: Any) -> contextlib.AbstractContextManager[None]:
    """:func:`bind` for the time of a block."""
    return bound_contextvars(**facts)


def unbind() -> None:
    """Nothing is bound any more."""
    clear_contextvars()


def request_id() -> str:
    """That of the request we work for; empty when there is none."""
    return str(get_contextvars().get("request", ""))


def carry(headers: MutableMapping[str, Any]) -> None:
    """Put the request's id on a message that is about to be sent."""
    if known := request_id():
        headers[REQUEST_HEADER] = known


@contextlib.contextmanager
def carried(headers: Mapping[str, Any], **facts: Any) -> Iterator[None]:
    """Bind what a message brought along, and ``facts``, for the time of a block; None is left out."""
    known = {"request": headers.get(REQUEST_HEADER), **facts}
    with bound_contextvars(**{name: value for name, value in known.items() if value}):
        yield


def _heard(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.INFO or record.name.partition(".")[0] in OURS


class _Formatter(logging.Formatter):
    """``ProcessorFormatter`` would do the same at three times the cost, which every request pays."""

    def __init__(self, render: Callable[[dict[str, Any]], str]) -> None:
        super().__init__()
        self._render = render

    def format(self, record: logging.LogRecord) -> str:
        known: dict[str, Any] = {**get_contextvars(), **_task(record), **getattr(record, "fields", {})}
        event = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
            **{name: known[name] for name in FIELDS if known.get(name) is not None},
        }
        if record.exc_info and record.exc_info[0] is not None:
            event["exception"] = self.formatException(record.exc_info)
        return self._render(event)


def _task(record: logging.LogRecord) -> dict[str, str]:
    """The task that a line of Celery's main thread speaks of."""
    data = getattr(record, "data", None)
    task = data.get("id") if isinstance(data, dict) else None
    return {"task": task} if isinstance(task, str) and "task" not in get_contextvars() else {}


def _json(event: dict[str, Any]) -> str:
    return msgspec.json.encode(event, enc_hook=str).decode()


def _text(event: dict[str, Any]) -> str:
    after = f"\n{event['exception']}" if "exception" in event else ""
    facts = "".join(f" {name}={event[name]}" for name in FIELDS if name in event)
    return f"{event['time']} {event['level'].upper():<8} {event['logger']}: {event['event']}{facts}{after}"


class _Handler(logging.StreamHandler[TextIO]):
    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 (the base class's name)
        """A line that cannot be written is named; logging itself would print its arguments."""
        with contextlib.suppress(Exception):
            sys.__stderr__.write(f"a log line of {record.name} could not be written\n")  # type: ignore[union-attr]


def _uncaught(kind: type[BaseException], error: BaseException, trace: types.TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        sys.__excepthook__(kind, error, trace)
        return
    logging.getLogger("arena").critical("an exception ended the process", exc_info=(kind, error, trace))


def _uncaught_in_thread(args: threading.ExceptHookArgs) -> None:
    if args.exc_value is None or args.exc_type is SystemExit:
        return
    facts = (args.exc_type, args.exc_value, args.exc_traceback)
    logging.getLogger("arena").error("an exception ended a thread", exc_info=facts)
