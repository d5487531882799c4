# ruff: noqa: N818 - named for what happened, as the codes are
"""Every refusal the web side makes, each with a stable code; their one way onto the wire is :mod:`web.refusing`.

A client decides by ``code``; ``detail`` is for people.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

PROBLEM_TYPE = "urn:llm-arena:problem:"
"""Prefix of every problem's ``type``; the rest is its code."""


class ArenaError(Exception):
    """A refusal. Subclasses fix status, code and title; ``extra`` joins the body, ``headers`` the reply."""

    status = 500
    code = "internal"
    title = "Something went wrong on our side"
    later = False
    """Whether the reply says in ``Retry-After`` when to try again."""

    def __init__(self, detail: str = "", *, headers: Mapping[str, str] | None = None, **extra: Any) -> None:
        super().__init__(detail or self.title)
        self.detail = detail or self.title
        self.headers = dict(headers or {})
        self.extra = extra


class _Later(ArenaError):
    """A refusal that time may cure: carries Retry-After."""

    later = True

    def __init__(self, detail: str = "", *, retry_after_s: float = 10, **extra: Any) -> None:
        super().__init__(detail, headers={"Retry-After": str(max(1, round(retry_after_s)))}, **extra)


class EmptyPrompt(ArenaError):
    status, code, title = 422, "empty_prompt", "The prompt is empty"


class PromptTooLong(ArenaError):
    status, code, title = 422, "prompt_too_long", "The prompt is too long"


class NotJson(ArenaError):
    status, code, title = 400, "not_json", "The body is not JSON"


class InvalidBody(ArenaError):
    status, code, title = 422, "invalid_body", "The body has the wrong form"


class InvalidQuery(ArenaError):
    status, code, title = 422, "invalid_query", "A parameter in the address has the wrong form"


class UnknownBattle(ArenaError):
    """Also the answer about somebody else's battle: whether it exists is nobody's business."""

    status, code, title = 404, "unknown_battle", "There is no such battle of yours"


class FormatMissing(ArenaError):
    """The server lacks the optional package that writes it."""

    status, code, title = 406, "format_missing", "This server cannot write that format"


class UnknownCategory(ArenaError):
    status, code, title = 404, "unknown_category", "There is no such category"


class UnknownModel(ArenaError):
    status, code, title = 404, "unknown_model", "There is no such model"


class UnknownBatch(ArenaError):
    """Also the answer about somebody else's."""

    status, code, title = 404, "unknown_batch", "There is no such batch of yours"


class InvalidLines(ArenaError):
    """``lines`` in the body: of the first lines that are refused, ``line`` (from 1), ``code`` and ``detail``."""

    status, code, title = 422, "invalid_lines", "Some lines of the batch are refused"


class BatchTooLarge(ArenaError):
    status, code, title = 422, "batch_too_large", "A batch may not have so many prompts"


class TooManyBatches(_Later):
    status, code, title = 429, "too_many_batches", "Too many batches are unfinished"


class BatchesOff(ArenaError):
    """A batch's prompts wait in the database, where an arena that stores no texts cannot put them."""

    status, code, title = 403, "batches_off", "This arena takes no batches"


class TurnRunning(ArenaError):
    status, code, title = 409, "turn_running", "This battle's answers are still being written"


class ConversationOver(ArenaError):
    status, code, title = 409, "conversation_over", "This battle has been voted, so nothing more can be asked in it"


class NotContinuable(ArenaError):
    """No turn of it ended well: there is nothing to go on from."""

    status, code, title = 409, "not_continuable", "This battle has no answers to go on from"


class TurnLimit(ArenaError):
    status, code, title = 409, "turn_limit", "This battle has as many turns as there may be"


class ConversationTooLong(ArenaError):
    status, code, title = 422, "conversation_too_long", "The conversation is too long"


class TextsGone(ArenaError):
    status, code, title = 409, "texts_gone", "What was said in this battle is no longer stored"


class NotRetryable(ArenaError):
    status, code, title = 409, "not_retryable", "This cannot be tried again"


class RetryLimit(ArenaError):
    status, code, title = 409, "retry_limit", "This turn has been tried again as often as it may be"


class UnknownContender(ArenaError):
    status, code, title = 422, "unknown_contender", "No such model takes part"


class SameContender(ArenaError):
    status, code, title = 422, "same_contender", "A battle needs two different models"


class SamplingRefused(ArenaError):
    status, code, title = 422, "sampling_refused", "A sampling parameter is beyond its limit"


class BadCursor(ArenaError):
    status, code, title = 422, "bad_cursor", "This cursor is none of ours"


class NotVoted(ArenaError):
    status, code, title = 409, "not_voted", "This battle has not been voted yet"


class CommentTooLong(ArenaError):
    status, code, title = 422, "comment_too_long", "The comment is too long"


class UnknownShare(ArenaError):
    status, code, title = 404, "unknown_share", "Nothing is shared here, or no longer"


class NotVotable(ArenaError):
    status, code, title = 409, "not_votable", "This battle cannot be voted"


class AlreadyVoted(ArenaError):
    status, code, title = 409, "already_voted", "This battle has been voted already"


class CrossOrigin(ArenaError):
    status, code, title = 403, "cross_origin", "This request comes from another site"


class KeyNeeded(ArenaError):
    status, code, title = 401, "key_needed", "This needs a key"

    def __init__(self, detail: str = "", **extra: Any) -> None:
        super().__init__(detail, headers={"WWW-Authenticate": "Bearer"}, **extra)


class BadKey(KeyNeeded):
    """Unknown, revoked or misspelt; which of them is nobody's business."""

    code, title = "bad_key", "This key opens nothing"


class ScopeMissing(ArenaError):
    status, code, title = 403, "scope_missing", "This key does not open this"


class BadHandshake(ArenaError):
    status, code, title = 400, "bad_handshake", "This is not a websocket handshake"


class Busy(_Later):
    status, code, title = 429, "busy", "Too many battles are waiting"


class TooManyConnections(_Later):
    status, code, title = 429, "too_many_connections", "Too many connections"


class TooManyTickets(_Later):
    status, code, title = 429, "too_many_tickets", "Too many tickets"


class RateLimited(_Later):
    """``limit`` in the body is the name of the limit that was met, such as ``prompts_per_minute``."""

    status, code, title = 429, "rate_limited", "Too many requests"


class IdempotencyInFlight(_Later):
    status, code, title = 409, "idempotency_in_flight", "The request with this Idempotency-Key is still being answered"


class IdempotencyMismatch(ArenaError):
    status, code, title = 422, "idempotency_mismatch", "This Idempotency-Key belongs to another request"


class NotReplayable(ArenaError):
    """The request succeeded, with an answer that is not kept: a stream, or one too long."""

    status, code, title = 409, "not_replayable", "The answer to this Idempotency-Key cannot be given again"


class BadIdempotencyKey(ArenaError):
    status, code, title = 422, "bad_idempotency_key", "This Idempotency-Key has the wrong form"


class ChallengeNeeded(ArenaError):
    """``challenge`` in the body is what to answer first."""

    status, code, title = 403, "challenge_needed", "The first battle needs an answer to a challenge"


class UnknownHost(ArenaError):
    status, code, title = 421, "unknown_host", "This arena has another name"


class BodyTooSlow(ArenaError):
    status, code, title = 408, "body_too_slow", "The body took too long to arrive"


class NoRoom(_Later):
    status, code, title = 503, "no_room", "There is no room for another connection"


class BadTicket(ArenaError):
    """Used, expired or never issued; which of them is nobody's business."""

    status, code, title = 403, "bad_ticket", "This ticket opens nothing"


class PromptRefused(ArenaError):
    """``reason`` is a word of a closed set; which part of the text it was is not told."""

    status, code, title = 422, "prompt_refused", "This prompt is not taken here"

    def __init__(self, detail: str = "", *, reason: str = "refused") -> None:
        super().__init__(detail, field="prompt", reason=reason)


class ModerationUnavailable(_Later):
    status, code, title = 503, "moderation_unavailable", "Prompts cannot be looked at now"


class NoWorker(_Later):
    status, code, title = 503, "no_worker", "No model is ready to answer"


class StorageUnavailable(_Later):
    status, code, title = 503, "storage_unavailable", "The arena cannot reach its storage"


class NotReady(_Later):
    status, code, title = 503, "not_ready", "The arena is not ready yet"


HTTP_PROBLEMS = {
    400: ("bad_request", "The request makes no sense"),
    404: ("not_found", "There is nothing at this address"),
    405: ("method_not_allowed", "This address does not know this method"),
    413: ("body_too_large", "The body is too large"),
    414: ("address_too_long", "The address is too long"),
    415: ("not_json", "The body is not JSON"),
    431: ("headers_too_large", "The headers are too large"),
}
"""Code and title of refusals that the HTTP layer makes, before any view is asked."""
