"""What all commands share: reaching the runtime, reading words, turning refusals into answers, the audit log."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any

from worker import audit
from worker.contract.audit import AuditEntry, Outcome
from worker.contract.events import REASON_MAX
from worker.errors import AdminError
from worker.pool.operations import Operation
from worker.runtime import Runtime

log = logging.getLogger(__name__)

Answer = dict[str, Any]
LONGEST_WORD = 200


def inspected(state: Any, look: Callable[[Runtime], Answer]) -> Answer:
    """What ``look`` found on the runtime's loop, or ``{"error": why}``."""
    try:
        runtime = _runtime(state)
        return runtime.on_loop(lambda: look(runtime))
    except AdminError as error:
        return {"error": str(error)}
    except Exception:
        log.exception("an inspect command failed")
        return {"error": "this is a defect of the worker; its log has the traceback"}


def commanded(state: Any, command: str, arguments: Mapping[str, object], do: Callable[[Runtime], Operation]) -> Answer:
    """``{"ok": what happens, "operation": id}`` or ``{"error": why}``; written to the audit log either way.

    ``do`` runs in Celery's main loop; it goes to the runtime's loop itself.
    """
    runtime: Runtime | None = None
    operation: Operation | None = None
    outcome: Outcome = "refused"
    try:
        runtime = _runtime(state)
        operation = do(runtime)
        outcome, detail = "ok", operation.detail
    except AdminError as error:
        detail = str(error)
    except Exception:
        log.exception("command %s failed", command)
        outcome, detail = "failed", "this is a defect of the worker; its log has the traceback"
    said = {name: _clipped(value) for name, value in arguments.items() if value not in ("", None)}
    made = operation.id if operation else None
    by = getattr(state, "asked_by", None)  # Celery knows no names
    entry = AuditEntry(time.time(), state.hostname, command, said, outcome, detail, made, by)
    audit.record(entry, runtime.audit if runtime else None)
    if operation is None:
        return {"error": detail}
    return {"ok": f"{detail} (operation {operation.id})", "operation": operation.id}


def named(value: object, usage: str) -> str:
    """The word an argument holds. Raises AdminError with the ``usage`` when there is none."""
    if value == "" or value is None:
        raise AdminError(f"say which: celery -A worker {usage}")
    if not isinstance(value, str) or not value.strip():
        raise AdminError(f"{_clipped(value)} is not a name; celery -A worker {usage}")
    if len(value) > LONGEST_WORD or not value.isprintable():
        raise AdminError(f"that is no name; celery -A worker {usage}")
    return value.strip()


def reasoned(value: object) -> str:
    """The words an operator gives for what they do, on one line; ``reason=words`` is understood too.

    Raises AdminError for what is no text, or too long for whoever is to read it.
    """
    if not isinstance(value, str):
        raise AdminError(f"{_clipped(value)} is no reason; write it as text")
    words = " ".join("".join(c if c.isprintable() else " " for c in value.removeprefix("reason=")).split())
    if len(words) > REASON_MAX:
        raise AdminError(f"the reason has {len(words)} characters; at most {REASON_MAX} can be shown")
    return words


def counted(value: object, usage: str) -> int:
    """The whole number an argument holds; Celery's command line passes text, programs may pass numbers."""
    if value == "" or value is None:
        raise AdminError(f"say how many: celery -A worker {usage}")
    word = str(value).strip() if isinstance(value, (str, int)) and not isinstance(value, bool) else ""
    if not (word.isascii() and word.isdigit() and len(word) < 10):
        raise AdminError(f"{_clipped(value)!r} is not a whole number; celery -A worker {usage}")
    return int(word)


def one_of(value: object, choices: tuple[str, ...], usage: str) -> str:
    """The word an argument holds, in lower case, when it is one of ``choices``."""
    word = value.strip().lower() if isinstance(value, str) else ""
    if word not in choices:
        raise AdminError(f"{_clipped(value)!r} is none of {', '.join(choices)}; celery -A worker {usage}")
    return word


def _runtime(state: Any) -> Runtime:
    runtime: Runtime | None = getattr(state.app, "arena", None)
    if runtime is None or not runtime.up:
        raise AdminError("the worker is still starting; try again in a moment")
    return runtime


def _clipped(value: object) -> str:
    text = str(value)
    return text if len(text) <= LONGEST_WORD else text[:LONGEST_WORD] + "…"
