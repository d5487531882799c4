"""One chat from its job to the reply: whole, or streamed as it comes; made, or kept from before.

A stream's reply begins with the first text, so that what fails before it has a status of its own; a caller who has to
wait longer than :data:`HEAD_S` for that gets the head and comments, and then an error can only come as an event.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Iterator

from flask import Response
from redis.exceptions import RedisError

from web.arena.admission import admit_alone
from web.context import Arena
from web.errors import ArenaError, BadKey, StorageUnavailable
from web.metrics import metrics
from web.openai import cache, wire
from web.openai.caller import Caller
from web.openai.calls import Call, CallerGone, Calls
from web.openai.refusals import error_of
from worker.contract import residency
from worker.contract.chats import ChatDelta, ChatDone, ChatEvent, ChatFailed
from worker.contract.jobs import ChatJob

log = logging.getLogger(__name__)

HEAD_S = 10.0
BEAT_S = 15.0
"""A stream on which nothing is said for this long says that it is still there."""
GONE = 499


class Answers:
    """Gives the answer to one job."""

    def __init__(self, arena: Arena, calls: Calls, job: ChatJob, form: wire.Form, caller: Caller) -> None:
        self._arena = arena
        self._calls = calls
        self._job = job
        self._form = form
        self._caller = caller
        self._name = cache.name_of(arena, job.side)
        self._text: list[str] = []

    def reply(self) -> Response:
        """Raises the refusal that the chat's failure is, while nothing has been said."""
        kept = self._kept()
        response = self._from_cache(kept) if kept is not None else self._made()
        response.headers["Cache-Control"] = "no-store, no-transform"
        if self._name is not None:
            response.headers[cache.HEADER] = "miss" if kept is None else "hit"
            metrics().cached(kept is not None)
        return response

    def _kept(self) -> cache.Kept | None:
        return None if self._name is None else cache.find(self._arena, self._name, time.time())

    def _from_cache(self, kept: cache.Kept) -> Response:
        if self._job.stream:
            said = [
                self._form.first(),
                *([self._form.more(kept.text)] if kept.text else ()),
                self._form.last(kept.done),
            ]
            return _stream(iter(said))
        return self._whole(kept.text, kept.done)

    def _made(self) -> Response:
        reports = residency.read(self._arena.redis)
        admit_alone(reports, self._job.side.model)
        call = self._calls.open(self._job, self._caller, reports)
        try:
            if not self._job.stream:
                return self._complete(call)
            begun = call.next(HEAD_S)
        except CallerGone:
            call.close()
            return Response(status=GONE)
        except BaseException:
            call.close()
            raise
        if begun and isinstance(begun[0], ChatFailed):
            call.close()
            raise error_of(begun[0])
        return _stream(_Body(call, self._pieces(call, begun)))

    # ── whole ────────────────────────────────────────────────────────────────────────────────────────────────────

    def _complete(self, call: Call) -> Response:
        with contextlib.closing(call):
            while True:
                for event in call.next():
                    match event:
                        case ChatDelta(text=text):
                            self._text.append(text)
                        case ChatFailed():
                            raise error_of(event)
                        case ChatDone():
                            self._keep(event)
                            return self._whole("".join(self._text), event)

    def _whole(self, text: str, done: ChatDone) -> Response:
        return Response(wire.encode(self._form.whole(text, done)), content_type="application/json")

    # ── streamed ─────────────────────────────────────────────────────────────────────────────────────────────────

    def _pieces(self, call: Call, begun: list[ChatEvent]) -> Iterator[bytes]:
        yield self._form.first()
        try:
            events = begun
            while True:
                for event in events:
                    match event:
                        case ChatDelta(text=text):
                            self._text.append(text)
                            yield self._form.more(text)
                        case ChatFailed():
                            yield wire.broken(error_of(event))
                            return
                        case ChatDone():
                            self._keep(event)
                            yield self._form.last(event)
                            return
                events = call.next(BEAT_S)
                if not events:
                    yield wire.STILL_HERE
        except CallerGone:
            return
        except BadKey as error:
            yield wire.broken(error)
        except RedisError as error:
            log.error("chat %s: its log cannot be read: %s", self._job.id, type(error).__name__)
            yield wire.broken(StorageUnavailable())
        except Exception as error:  # noqa: BLE001 (the head has been sent; the text may hold the prompt)
            log.error("chat %s: %s", self._job.id, type(error).__name__)
            yield wire.broken(ArenaError())

    def _keep(self, done: ChatDone) -> None:
        if self._name is not None:
            try:
                cache.keep(self._arena, self._name, time.time(), self._text, done)
            except RedisError as error:
                log.warning("an answer could not be kept: %s", type(error).__name__)


class _Body:
    """Closed by the server whatever happens, also when not a byte of it was asked for."""

    def __init__(self, call: Call, pieces: Iterator[bytes]) -> None:
        self._call = call
        self._pieces = pieces

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._pieces:
            self._call.writing_since = time.monotonic()
            yield piece
            self._call.writing_since = None

    def close(self) -> None:
        self._call.close()


def _stream(pieces: Iterator[bytes] | _Body) -> Response:
    return Response(pieces, content_type="text/event-stream", headers={"X-Accel-Buffering": "no"})
