"""One socket's conversation, independent of the socket: what it says is answered here, what it follows is pumped here.

A client may only ask to observe. Whatever it says outside the closed set ends the connection with a code that tells
it not to come back; whatever fails on our side ends it with one that tells it to.
"""

from __future__ import annotations

import logging
import threading
import time
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
from web.live.outbox import Outbox
from worker.contract import events as ev
from worker.contract.events import CloseCode

log = logging.getLogger(__name__)

HEARTBEAT_S = 20.0
PEER_SILENT_S = 60.0
BLOCKED_S = 10.0
LINGER_S = 5.0
MAX_BATTLES = 16
RATE, RATE_WINDOW_S = 60, 10.0
"""Messages a client may send within the window."""


class Connection:
    """Made once the handshake is done; ``owner`` is None for a socket without a session."""

    def __init__(
        self,
        outbox: Outbox,
        hub: Hub,
        authority: Authority,
        owner: str | None,
        *,
        clock: Callable[[], float] = time.monotonic,
        spawn: Callable[[Callable[[], None]], Any] | None = None,
    ) -> None:
        self.outbox = outbox
        self._hub = hub
        self._authority = authority
        self._owner = owner
        self._clock = clock
        self._spawn = spawn or _spawn
        self._lock = threading.Lock()
        self._followers: dict[str, BattleFollower] = {}
        self._pumping = False
        self._closing_since: float | None = None
        self._heard = clock()
        self._pinged = clock()
        self._pings = 0
        self._allowance = Allowance(RATE, RATE_WINDOW_S, clock)

    # ── what the client says ─────────────────────────────────────────────────────────────────────────────────────

    def greet(self, agreed: bool) -> None:
        """The first message. ``agreed``: the subprotocol was negotiated; without it the connection ends."""
        if not agreed:
            self.refuse("version", f"Speak the subprotocol {ev.SUBPROTOCOL}.", CloseCode.VERSION)
            return
        self.send(ev.Hello(protocol=ev.SUBPROTOCOL, heartbeat_s=HEARTBEAT_S, server_time=time.time()))

    def heard(self) -> None:
        """The peer sent some bytes, of whatever meaning."""
        self._heard = self._clock()

    def handle(self, raw: str | bytes) -> None:
        """Answer one message of the client."""
        if self.closing:
            return
        if not self._allowance.spend():
            self.refuse("limited", "Too many messages.", CloseCode.LIMITED, retryable=True)
            return
        try:
            message = ev.decode_client(raw) if isinstance(raw, str) else None
        except msgspec.DecodeError:
            message = None
        match message:
            case ev.Subscribe():
                self._subscribe(message)
            case ev.Unsubscribe(battle=battle):
                self._unsubscribe(battle)
            case ev.Ping(n=n):
                self.send(ev.Pong(n=n))
            case ev.Pong():
                pass
            case _:
                self.refuse("bad_message", "This message is not understood.", CloseCode.BAD_MESSAGE)

    def _subscribe(self, wish: ev.Subscribe) -> None:
        if self._owner is None:
            self.refuse("session", "There is no session; reload the page.", CloseCode.SESSION, battle=wish.battle)
            return
        try:
            allowed = self._authority.allows(wish.battle, self._owner)
        except (RedisError, SQLAlchemyError) as error:
            self._give_up(error)
            return
        if not allowed:
            text = "There is no such battle of yours."
            self.refuse("unknown_battle", text, CloseCode.UNKNOWN, battle=wish.battle)
            return
        self._unsubscribe(wish.battle)
        follower = BattleFollower(
            wish.battle, self._authority, self.outbox, self.kick, epoch=wish.epoch, after=wish.after
        )
        with self._lock:
            full = len(self._followers) >= MAX_BATTLES
            if not full:
                self._followers[wish.battle] = follower
        if full:
            self.refuse("limited", "Too many battles on one socket.", CloseCode.LIMITED, retryable=True)
            return
        self._hub.follow(wish.battle, follower)

    def _unsubscribe(self, battle: str) -> None:
        with self._lock:
            follower = self._followers.pop(battle, None)
        if follower is not None:
            self._hub.leave(battle, follower)

    # ── what we say ──────────────────────────────────────────────────────────────────────────────────────────────

    def send(self, message: msgspec.Struct) -> None:
        """Queue one message about this connection."""
        self.outbox.offer(frames.text(ev.encode(message)))
        self.kick()

    def refuse(
        self, code: str, message: str, close_code: int, *, battle: str | None = None, retryable: bool = False
    ) -> None:
        """Say why, then close."""
        self.send(ev.Error(code=code, message=message, retryable=retryable, battle=battle))
        self.close(close_code, code)

    def close(self, code: int, reason: str = "", *, drop_queued: bool = False) -> None:
        """Begin the end: a close frame after what is queued; the peer has :data:`LINGER_S` to answer it."""
        if self._closing_since is None:
            self._closing_since = self._clock()
            self.outbox.finish(frames.close(code, reason), drop_queued=drop_queued)
            self.kick()

    def linger(self) -> None:
        """Somebody else sent the close frame; the peer has as long to answer it."""
        self._closing_since = self._closing_since or self._clock()

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

    # ── the pump ─────────────────────────────────────────────────────────────────────────────────────────────────

    def kick(self) -> None:
        """Have somebody pump if there is anything to pump; a socket at rest has no thread."""
        with self._lock:
            if self._pumping or not self._work_waits():
                return
            self._pumping = True
        self._spawn(self._pump)

    def _work_waits(self) -> bool:
        if self.outbox.dead:
            return False
        behind = not self.closing and any(f.is_behind for f in self._followers.values())
        return behind or self.outbox.pending

    def _pump(self) -> None:
        while True:
            with self._lock:
                if not self._work_waits():
                    self._pumping = False
                    return
                behind = [] if self.closing else [f for f in self._followers.values() if f.is_behind]
            try:
                self._pump_once(behind)
            except UnknownBattle:
                self.refuse("unknown_battle", "There is no such battle of yours.", CloseCode.UNKNOWN)
            except (RedisError, SQLAlchemyError) as error:
                self._give_up(error)

    def _pump_once(self, behind: list[BattleFollower]) -> None:
        if self.outbox.pending:
            self.outbox.wait_writable(1.0)
            self.outbox.flush()
            return
        for follower in behind:
            follower.catch_up()
            if self.outbox.pending:
                return

    def _give_up(self, error: Exception) -> None:
        log.warning("a socket is sent away: %s", type(error).__name__)
        with self._lock:
            followers, self._followers = self._followers, {}
        for battle, follower in followers.items():
            self._hub.leave(battle, follower)
        self.refuse("unavailable", "Try again in a moment.", CloseCode.OVERLOAD, retryable=True)


def _spawn(work: Callable[[], None]) -> None:
    threading.Thread(target=work, name="live-pump", daemon=True).start()
