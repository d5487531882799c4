"""Going on with a battle before its vote: another turn with the same pair, or the newest turn once more.

Both are decided in one transaction that locks the battle, so of two at the same moment one begins and the other finds a
turn running. Like a battle's beginning they are committed first and queued after.

What nobody is stuck in: a turn that failed or was stopped can be tried again, or left behind by another prompt, or (if
an earlier one ended well) the battle can be voted as it was before it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from web.arena.admission import admit_pair
from web.arena.asking import check_prompt
from web.arena.battles import Begun, line_up
from web.arena.integrity.noting import of_prompt
from web.arena.lining import Asked, read_asked
from web.arena.stopping import UNFINISHED
from web.arena.transcript import Said, keep_text, said_in, said_live
from web.arena.views import owned
from web.context import Arena
from web.errors import (
    ConversationOver,
    ConversationTooLong,
    NotContinuable,
    NotRetryable,
    RetryLimit,
    TextsGone,
    TurnLimit,
    TurnRunning,
)
from web.models import Answer, Battle, Turn, Words, now
from web.moderation import screen
from web.settings import WebSettings
from worker.contract import channel, residency
from worker.contract.events import SIDES, Side
from worker.contract.jobs import ended_well
from worker.contract.residency import Residency

Also = Callable[[Session, str], None]
"""Run with the battle's id in the transaction that puts a turn in line; what it raises undoes both."""
_Change = Callable[[Session, WebSettings, Battle, int, Said], Asked]
"""What becomes of a locked battle, given how many attempts its log knows of and what that still holds."""


def ask(arena: Arena, owner: str | None, battle_id: str, prompt: str, *, also: Also | None = None) -> Begun:
    """Put one more prompt before the same pair; each side is told the earlier turns with its own answers.

    Raises UnknownBattle, TurnRunning, ConversationOver, NotContinuable, TurnLimit, ConversationTooLong, TextsGone, and
    the errors of a prompt and of admission.
    """
    check_prompt(prompt, arena.settings.prompt_max_chars)
    screen(arena.settings, prompt)
    noted = of_prompt(prompt, arena.catalog, arena.settings.signing_key())
    return _put(arena, owner, battle_id, partial(_next_turn, prompt=prompt, noted=noted), also)


def retry(
    arena: Arena, owner: str | None, battle_id: str, side: Side | None = None, *, also: Also | None = None
) -> Begun:
    """Answer the newest turn once more: both sides, or only the ``side`` that failed where the other one stands.

    A side that did not fail is never tried alone: how long it takes would tell which model it is. Raises UnknownBattle,
    TurnRunning, ConversationOver, NotRetryable, RetryLimit, TextsGone, and the errors of admission.
    """
    return _put(arena, owner, battle_id, partial(_again, side=side), also)


def _put(arena: Arena, owner: str | None, battle_id: str, change: _Change, also: Also | None) -> Begun:
    """Make the change and put what it asks for in line."""
    reports, attempts = _admitted(arena, owner, battle_id)
    live = said_live(arena.redis, arena.settings, battle_id)

    def store(session: Session) -> Asked:
        asked = change(session, arena.settings, _locked(session, owner, battle_id), attempts, live)
        if also is not None:
            also(session, battle_id)
        return asked

    asked = arena.db.write(store)
    line_up(arena, asked, reports)
    return Begun(battle_id, turn=asked.turn, retry=asked.retry)


def _admitted(arena: Arena, owner: str | None, battle_id: str) -> tuple[list[Residency], int]:
    """Whether somebody takes this pair now, as the workers report; how many attempts its log knows of."""
    battle = arena.db.read(lambda s: _open(owned(s, battle_id, owner)))
    reports = residency.read(arena.redis)
    admit_pair(reports, battle.model_a, battle.model_b)
    return reports, channel.newest_attempt(arena.redis, battle_id)


def _open(battle: Battle) -> Battle:
    if battle.voted_at is not None:
        raise ConversationOver()
    if battle.state in UNFINISHED:
        raise TurnRunning()
    return battle


def _locked(session: Session, owner: str | None, battle_id: str) -> Battle:
    session.get(Battle, battle_id, with_for_update=True)
    return _open(owned(session, battle_id, owner))


# ── another turn ─────────────────────────────────────────────────────────────────────────────────────────────────


def _next_turn(
    session: Session,
    settings: WebSettings,
    battle: Battle,
    attempts: int,
    live: Said,
    prompt: str,
    noted: dict[str, Any],
) -> Asked:
    if not battle.votable:
        raise NotContinuable("None of its turns ended well. Try it again, or begin a new battle.")
    if battle.turns >= settings.max_turns:
        raise TurnLimit(f"A battle has at most {settings.max_turns} turns.", limit=settings.max_turns)
    _check_length(session, settings, battle.id, prompt)
    battle.turns += 1
    at = now()
    session.add(
        Turn(
            battle_id=battle.id,
            turn=battle.turns,
            prompt_chars=len(prompt),
            features=noted,
            created_at=at,
            asked_at=at,
            before=max(battle.attempt, attempts),
        )
    )
    session.flush()
    keep_text(session, settings, battle.id, battle.turns, "prompt", prompt)
    return _queued(session, battle, {**live, (battle.turns, "prompt"): prompt})


def _check_length(session: Session, settings: WebSettings, battle_id: str, prompt: str) -> None:
    before = session.scalar(select(func.sum(Turn.prompt_chars)).where(Turn.battle_id == battle_id)) or 0
    length, limit = before + len(prompt), settings.conversation_max_chars
    if length > limit:
        raise ConversationTooLong(
            f"The prompts of this battle would have {length} characters together; the limit is {limit}.",
            field="prompt",
            limit=limit,
            length=length,
        )


# ── the same turn again ──────────────────────────────────────────────────────────────────────────────────────────


def _again(
    session: Session, settings: WebSettings, battle: Battle, attempts: int, live: Said, side: Side | None
) -> Asked:
    turn = session.get_one(Turn, (battle.id, battle.turns))
    if not turn.votable and battle.error is not None and not battle.error.get("retryable", True):
        raise NotRetryable("Trying it again would end the same way. Ask something else.")
    if turn.asked_again >= settings.max_retries:
        raise RetryLimit(f"A turn is tried again at most {settings.max_retries} times.", limit=settings.max_retries)
    if side is not None:
        _check_alone(session, turn, side, live)
    turn.trying = side or "ab"
    turn.retries += 1
    turn.votable = False
    turn.before = max(battle.attempt, attempts)
    turn.asked_at = now()
    for tried in turn.trying:
        key = {"battle_id": battle.id, "turn": turn.turn}
        session.execute(delete(Answer).filter_by(**key, side=tried))
        session.execute(delete(Words).filter_by(**key, part=tried))
    return _queued(session, battle, live)


def _check_alone(session: Session, turn: Turn, side: Side, live: Said) -> None:
    said = {**live, **said_in(session, turn.battle_id)}
    ends = {s: _ended_well(session, turn, s, said) for s in SIDES}
    other = next(s for s in SIDES if s != side)
    if ends[side] or not ends[other]:
        raise NotRetryable("Only a side that failed while the other ended well is tried alone.", field="side")


def _ended_well(session: Session, turn: Turn, side: Side, said: Mapping[tuple[int, str], str]) -> bool:
    answer = session.get(Answer, (turn.battle_id, turn.turn, side))
    return answer is not None and ended_well(answer.finish_reason, said.get((turn.turn, side), ""))


def _queued(session: Session, battle: Battle, live: Said) -> Asked:
    """Back into line. Raises TextsGone, which undoes all of it."""
    battle.state = "queued"
    battle.votable = False
    battle.finished_at = battle.error = battle.cancelled_by = battle.cancel_reason = None
    session.flush()
    asked = read_asked(session, battle.id, live)
    if asked is None:
        raise TextsGone()
    return asked
