"""Commanding the workers: to one or to all of them, within a few seconds or a refusal that says what is certain."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from web.access import Key
from web.admin.errors import CommandRefused, UnknownWorker, WorkerSilent
from web.context import Arena
from web.errors import NoWorker
from worker.contract import commands, residency
from worker.contract.commands import Command, Request

_NOT_TAKEN = "did not take the command in time; nothing was done"
_TAKEN = "took the command and has not answered; its operations will tell"
_AGAIN_S = 5.0
_SLICE_S = 2.0
"""Redis is never asked to hold a connection for longer than this: the client itself gives up after 5 s."""


def ask(arena: Arena, by: Key, command: Command, worker: str | None = None) -> list[dict[str, Any]]:
    """What each worker answered, as ``{"worker": name, **answer}``, ``{"error": why}`` for those that refused.

    ``worker``: only that one. Raises NoWorker when none is there, UnknownWorker, CommandRefused when all refused and
    WorkerSilent when none answered.
    """
    names = _addressed(arena, worker)
    give_up = time.monotonic() + commands.ANSWER_S
    sent = {name: commands.send(arena.redis, name, Request(by.id, command)) for name in names}
    answers = [_answer(arena, name, made, give_up) for name, made in sent.items()]
    told = [a for a in answers if "silent" not in a]
    if not told:
        taken = any(a["silent"] for a in answers)
        raise WorkerSilent(
            f"{answers[0]['worker']} {answers[0]['error']}.", retry_after_s=_AGAIN_S, done="unknown" if taken else "no"
        )
    if all("error" in a for a in told):
        raise CommandRefused(str(told[0]["error"]), answers=_plain(answers))
    return _plain(answers)


def _addressed(arena: Arena, worker: str | None) -> list[str]:
    alive = [report.worker for report in residency.read(arena.redis)]
    if worker is not None and worker not in alive:
        there = ", ".join(alive) or "none"
        raise UnknownWorker(f"No worker of that name is there; there are: {there}.", workers=alive)
    if not alive:
        raise NoWorker("No worker is there to be asked.", retry_after_s=_AGAIN_S)
    return alive if worker is None else [worker]


def _answer(arena: Arena, worker: str, made: str, give_up: float) -> dict[str, Any]:
    """``silent``: whether a worker had taken it, in place of an answer."""
    while (left := give_up - time.monotonic()) > 0:
        said = commands.receive(arena.redis, made, min(left, _SLICE_S))
        if said is not None:
            return {"worker": worker, **said.body}
    taken = not commands.withdraw(arena.redis, made)
    return {"worker": worker, "error": _TAKEN if taken else _NOT_TAKEN, "silent": taken}


def _plain(answers: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{name: value for name, value in a.items() if name != "silent"} for a in answers]
