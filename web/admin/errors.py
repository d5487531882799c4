# ruff: noqa: N818 - named for what happened, as the codes are
"""Refusals that only operators meet."""

from __future__ import annotations

from web.errors import ArenaError, KeyNeeded, _Later


class NotSignedIn(KeyNeeded):
    code, title = "not_signed_in", "Please sign in with an operator's key"


class UnknownVote(ArenaError):
    status, code, title = 404, "unknown_vote", "There is no such vote"


class UnknownSession(ArenaError):
    status, code, title = 404, "unknown_session", "Nobody of that name has begun a battle or voted"


class UnknownWorker(ArenaError):
    status, code, title = 404, "unknown_worker", "There is no such worker"


class Unchanged(ArenaError):
    """Asked for what is so already; nothing was done, and nothing is in the audit log."""

    status, code, title = 409, "unchanged", "It is so already"


class BattleOver(ArenaError):
    status, code, title = 409, "battle_over", "This battle is over"


class CommandRefused(ArenaError):
    """Every worker that was asked refused; ``answers`` has each one's reason."""

    status, code, title = 409, "command_refused", "The worker refused"


class WorkerSilent(_Later):
    """``done``: ``no`` when the command was taken back in time, ``unknown`` when a worker had taken it."""

    status, code, title = 504, "worker_silent", "The worker did not answer in time"
