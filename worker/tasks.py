"""The worker's Celery tasks: decode, run, return. What a battle is lives in battle.py."""

from __future__ import annotations

from typing import Any, NoReturn

from celery.exceptions import Ignore, Reject
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError

from worker.celery import app
from worker.contract.channel import StaleAttempt
from worker.contract.chats import ChatOver
from worker.contract.jobs import (
    QUEUE_BATTLES,
    RUN_BATTLE,
    RUN_CHAT,
    BattleResult,
    decode_chat,
    decode_job,
    private,
    queue_of,
)
from worker.stopping import HandedBack


@app.task(name=RUN_BATTLE, bind=True, acks_late=True, Request="worker.request:PrivateRequest")  # type: ignore[untyped-decorator]
def run_battle(self: Any, job: dict[str, Any]) -> BattleResult:
    """Run one turn; the result goes to queue ``records`` by the link the sender attached."""
    try:
        result: BattleResult = app.arena.run_battle(decode_job(job))
    except HandedBack as back:
        _hand_on(self, back.to)
    except RedisError as error:  # nothing can be told or kept; the battle is not at fault
        raise Reject(type(error).__name__, requeue=True) from None
    except StaleAttempt:
        raise Ignore from None
    return result


@app.task(name=RUN_CHAT, bind=True, acks_late=True, Request="worker.request:PrivateRequest")  # type: ignore[untyped-decorator]
def run_chat(self: Any, job: dict[str, Any]) -> None:
    """Answer one request of ``/v1``; what becomes of it is told on the chat's own log and kept nowhere else."""
    try:
        app.arena.run_chat(decode_chat(job))
    except HandedBack as back:
        _hand_on(self, back.to)
    except RedisError as error:
        raise Reject(type(error).__name__, requeue=True) from None
    except ChatOver:
        raise Ignore from None


def _hand_on(task: Any, to: str | None) -> NoReturn:
    """Out of this worker's hands: into another one's queue, or into the common one."""
    came_by = (task.request.delivery_info or {}).get("routing_key", QUEUE_BATTLES)
    if to is None and came_by == QUEUE_BATTLES:
        raise Reject("handed back", requeue=True)
    try:
        task.signature_from_request(queue=queue_of(to)).apply_async(**private("job"))
    except (OperationalError, RedisError) as error:  # the reconciler finds it in a queue that nobody reads
        raise Reject(type(error).__name__, requeue=True) from None
    raise Ignore
