"""One socket's conversation, independent of the socket: what it says is answered here, what it follows is told here.

A client may only ask to observe. Whatever it says outside the closed set ends the connection with a code that tells
it not to come back; whatever fails on our side ends it with one that tells it to. Nothing here waits, except what is
handed to ``spawn``: reading the log and the database.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import msgspec
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from web.errors import UnknownBattle
from web.live import frames
from web.live.allowance import Allowance
from web.live.follow import Authority, BattleFollower
from web.live.hub import Hub
from web.live.inbound import Broken, Heard, Leaving, Pinged, Said, TooBig
from web.live.outbox import Outbox
from web.live.visitor import Visitor
from worker.contract import events as ev
from worker.contract.events import CloseCode

log = logging.getLogger(__name__)

HEARTBEAT_S = 20.0
PEER_SILENT_S = 60.0
BLOCKED_S = 10.0
LINGER_S = 5.0
MAX_BATTLES = 16
RATE, RATE_WINDOW_S = 60, 10.0
"""Frames a client may send within the window, control frames and parts of messages included."""
MAX_EPOCH_CHARS = 64
HEARD_OUT = 4000
"""Frames we take apart after our close frame, in search of the peer's."""


class Connection:
    """Made once the handshake is done."""

    __slots__ = ("_allowance", "_authority", "_busy", "_clock", "_closing_since", "_followers", "_heard", "_hub",
                 "_ignored", "_lock", "_pinged", "_pings", "_spawn", "_visitor", "_wishes", "outbox")  # fmt: skip

    def __init__(
        self,
        outbox: Outbox,
        hub: Hub,
        authority: Authority,
        visitor: Visitor,
        *,
        spawn: Callable[[Callable[[], None]], Any],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.outbox = outbox
        self._hub = hub
        self._authority = authority
        self._visitor = visitor
        self._spawn = spawn
        self._clock = clock
        self._lock = threading.Lock()
        self._followers: dict[str, BattleFollower] = {}
        self._wishes: deque[ev.Subscribe | ev.Unsubscribe] = deque()
        self._busy = False
        self._closing_since: float | None = None
        self._heard = self._pinged = clock()
        self._pings = self._ignored = 0
        self._allowance = Allowance(RATE, RATE_WINDOW_S, clock)

    # ── what the client says ─────────────────────────────────────────────────────────────────────────────────────

    def greet(self, agreed: bool) -> None:
        """The first message. ``agreed``: the subprotocol was negotiated; without it the connection ends."""
        if agreed:
            self.send(ev.Hello(protocol=ev.SUBPROTOCOL, heartbeat_s=HEARTBEAT_S, server_time=time.time()))
        else:
            self.refuse("version", f"Speak the subprotocol {ev.SUBPROTOCOL}.", CloseCode.VERSION)

    def heard(self, what: Heard) -> None:
        """Answer one thing the client sent."""
        self._heard = self._clock()
        if self.closing:
            self._hear_out(what)
            return
        match what:
            case Leaving(code=code):
                self.close(code)
                self.outbox.hang_up()
            case Broken(code=code, reason=reason):
                self.refuse("bad_message", f"This is {reason}.", code)
                self.outbox.hang_up()
            case TooBig():
                self.refuse("too_big", "This message is too big.", CloseCode.TOO_BIG)
            case _ if not self._allowance.spend():
                self.refuse("limited", "Too many messages.", CloseCode.LIMITED, retryable=True)
            case Pinged(payload=payload):
                self.outbox.offer(frames.pong(payload), droppable=True)
            case Said(text=text, binary=binary):
                self._said(text, binary)

    def _hear_out(self, what: Heard) -> None:
        """After our close frame only the peer's counts: it may have much on its way, and a browser takes a line that
        ends before its own close frame is out for a broken one."""
        self._ignored += 1
        if isinstance(what, Leaving | Broken) or self._ignored > HEARD_OUT:
            self.outbox.hang_up()

    def _said(self, text: str, binary: bool) -> None:
        try:
            message = None if binary else ev.decode_client(text)
        except msgspec.DecodeError:
            message = None
        match message:
            case ev.Subscribe() | ev.Unsubscribe():
                self._wishes.append(message)
                self.kick()
            case ev.Ping(n=n):
                self.send(ev.Pong(n=n))
            case ev.Pong():
                pass
            case _:
                self.refuse("bad_message", "This message is not understood.", CloseCode.BAD_MESSAGE)

    def _grant(self, wish: ev.Subscribe | ev.Unsubscribe) -> None:
        self._unsubscribe(wish.battle)
        if isinstance(wish, ev.Unsubscribe) or not self._may_follow(wish.battle):
            return
        known = wish.epoch is not None and len(wish.epoch) <= MAX_EPOCH_CHARS
        follower = BattleFollower(
            wish.battle, self._authority, self.outbox, self.kick, epoch=wish.epoch if known else None, after=wish.after
        )
        with self._lock:
            taken = len(self._followers) < MAX_BATTLES and not self.closing
            if taken:
                self._followers[wish.battle] = follower
        if taken:
            self._hub.follow(wish.battle, follower)
        else:
            self.refuse("limited", "Too many battles on one socket.", CloseCode.LIMITED, retryable=True)

    def _may_follow(self, battle: str) -> bool:
        owner, only = self._visitor.owner, self._visitor.only
        if owner is None:
            self.refuse("session", "There is no session; reload the page.", CloseCode.SESSION, battle=battle)
        elif only is not None and battle != only:
            text = "The ticket of this socket is for another battle."
            self.refuse("forbidden", text, CloseCode.FORBIDDEN, battle=battle)
        elif not self._authority.allows(battle, owner):
            text = "There is no such battle of yours."
            self.refuse("unknown_battle", text, CloseCode.UNKNOWN, battle=battle)
        else:
            return True
        return False

    def _unsubscribe(self, battle: str) -> None:
        with self._lock:
            follower = self._followers.pop(battle, None)
        if follower is not None:
            self._hub.leave(battle, follower)

    # ── what we say ──────────────────────────────────────────────────────────────────────────────────────────────

    def send(self, message: msgspec.Struct) -> None:
        """Send or queue one message about this connection."""
        self.outbox.offer(frames.text(ev.encode(message)))

    def refuse(
        self, code: str, message: str, close_code: int, *, battle: str | None = None, retryable: bool = False
    ) -> None:
        """Say why, then close."""
        if not self.closing:
            self.send(ev.Error(code=code, message=message, retryable=retryable, battle=battle))
            self.close(close_code, code)

    def close(self, code: int, reason: str = "", *, drop_queued: bool = False) -> None:
        """Begin the end: a close frame after what is queued; the peer has :data:`LINGER_S` to go."""
        if self._closing_since is None:
            self._closing_since = self._clock()
            self.outbox.finish(frames.close(code, reason), drop_queued=drop_queued)

    @property
    def hung_up(self) -> bool:
        """Whether what the peer says means nothing at all any more."""
        return self.outbox.hung_up

    @property
    def closing(self) -> bool:
        return self._closing_since is not None

    def goodbye(self, reconnect_after_ms: int) -> None:
        """The server is going away."""
        self.send(ev.Bye(reconnect_after_ms=reconnect_after_ms))
        self.close(CloseCode.GOING_AWAY, "going away")

    def release(self) -> None:
        """The socket is gone: follow nothing more."""
        self.outbox.dead = True
        with self._lock:
            followers, self._followers = self._followers, {}
            self._closing_since = self._closing_since or self._clock()
        for battle, follower in followers.items():
            self._hub.leave(battle, follower)

    def tick(self) -> None:
        """About once a second: heartbeat, and an end to those that are stuck or gone."""
        now = self._clock()
        blocked = self.outbox.blocked_since
        if self._closing_since is not None:
            if now - self._closing_since > LINGER_S:
                self.outbox.abort()
        elif blocked is not None and now - blocked > BLOCKED_S:
            self.close(CloseCode.SLOW, "too slow", drop_queued=True)
        elif now - self._heard > PEER_SILENT_S:
            self.close(CloseCode.HEARTBEAT, "silent")
        elif self._ping_is_due(now) and not self.outbox.pending:
            self._pinged = now
            self._pings += 1
            self.outbox.offer(frames.PING)
            self.send(ev.Ping(n=self._pings))

    def _ping_is_due(self, now: float) -> bool:
        """After silence on either side: a client that only listens to a long stream must be asked, or it seems gone."""
        said_nothing = now - self.outbox.last_sent >= HEARTBEAT_S
        heard_nothing = now - max(self._heard, self._pinged) >= HEARTBEAT_S
        return said_nothing or heard_nothing

    # ── what takes time ──────────────────────────────────────────────────────────────────────────────────────────

    def kick(self) -> None:
        """Have somebody do what there is to do; a socket at rest, or one that takes no bytes, occupies nobody."""
        with self._lock:
            if self._busy or self._next() is None:
                return
            self._busy = True
        self._spawn(self._work)

    def _next(self) -> Callable[[], None] | None:
        if self.outbox.dead or self.closing:
            return None
        if self._wishes:
            return self._grant_next
        if self.outbox.pending:
            return None
        return next((f.catch_up for f in self._followers.values() if f.is_behind), None)

    def _grant_next(self) -> None:
        self._grant(self._wishes.popleft())

    def _work(self) -> None:
        while True:
            with self._lock:
                step = self._next()
                if step is None:
                    self._busy = False
                    return
            try:
                step()
            except UnknownBattle:
                self.refuse("unknown_battle", "There is no such battle of yours.", CloseCode.UNKNOWN)
            except (RedisError, SQLAlchemyError) as error:
                self._give_up(error)
            except Exception:
                log.exception("a socket is sent away")
                self._give_up(None)

    def _give_up(self, error: Exception | None) -> None:
        if error is not None:
            log.warning("a socket is sent away: %s", type(error).__name__)
        with self._lock:
            followers, self._followers = self._followers, {}
        for battle, follower in followers.items():
            self._hub.leave(battle, follower)
        self.refuse("unavailable", "Try again in a moment.", CloseCode.OVERLOAD, retryable=True)
