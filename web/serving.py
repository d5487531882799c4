"""gunicorn's log in the arena's form. The access line is the app's own (see ``web.tracking``); gunicorn has none."""

from __future__ import annotations

import logging
from typing import Any

from gunicorn import glogging

from web.production import Misconfigured, load
from worker.contract import logs


class Logger(glogging.Logger):  # type: ignore[misc]
    """gunicorn's ``logger_class``."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        try:
            settings = load()
        except Misconfigured as error:
            raise SystemExit(f"Error: {error.format_message()}") from None
        logs.install(settings.log_format, settings.log_level)
        self.error_log.handlers.clear()
        self.error_log.propagate = True
        self.error_log.filters[:] = [without_request]


def without_request(record: logging.LogRecord) -> bool:
    """Takes out of gunicorn's lines what a client sent: the start of a body that came where a request was due."""
    text = record.msg if isinstance(record.msg, str) else ""
    if text.startswith("Invalid request"):
        record.msg, record.args = "a request could not be read as HTTP and was refused", ()
    elif text.startswith("Error handling request"):
        record.msg, record.args = "an error ended a request", ()
    return True
