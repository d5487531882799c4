"""One Redis subscriber per process, fanned out to every socket that follows a battle.

The connection is driven by hand instead of through redis-py's PubSub: one thread (a greenlet under gunicorn) reads,
others only write SUBSCRIBE and UNSUBSCRIBE. Redis confirms every subscription, also each one made anew after the line
broke, and a confirmation is what makes followers read the log: from there on nothing can be missed.
"""

from __future__ import annotations

import logging
import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import redis
from redis.exceptions import RedisError

from web.live import frames
from worker.contract.channel import channel_key, parse_announcement

log = logging.getLogger(__name__)

PING_AFTER_S = 15.0
DEAD_AFTER_S = 30.0
TURN_S = 0.005
"""After this long without a pause everybody else of the process gets a turn: the line may never run dry."""


@dataclass(slots=True)
class Announced:
    """One stored event, made ready once for all who follow its battle.

    ``raw``: its JSON; ``frame``: the same as a websocket frame; ``at``: when it came, of the monotonic clock.
    """

    epoch: str
    seq: int
    raw: bytes
    frame: bytes
    at: float


class Follower(Protocol):
    """What the hub tells. Called from the hub's thread: must not wait for anything."""

    def subscribed(self) -> None:
        """From now on every announcement arrives; whatever was published before is in the log."""

    def announced(self, told: Announced) -> None:
        """One stored event."""


class Hub:
    """Starts with the first follower. Thread-safe."""

    def __init__(self, redis_url: str, key: Callable[[str], str] = channel_key) -> None:
        """``key``: the channel of what is followed, which ends in its id."""
        self._key = key
        self._prefix = key("")
        self._pool = redis.ConnectionPool.from_url(
            redis_url,
            protocol=2,
            socket_timeout=None,
            socket_connect_timeout=2.0,
            **({} if redis_url.startswith("unix:") else {"socket_keepalive": True}),
            health_check_interval=0,
        )
        self._lock = threading.RLock()
        self._followers: dict[str, set[Follower]] = {}
        self._confirmed: set[str] = set()
        self._connection: Any = None
        self._thread: threading.Thread | None = None
        self._stopped = threading.Event()
        self._heard = self._pinged = time.monotonic()

    def follow(self, battle: str, follower: Follower) -> None:
        """Tell ``follower`` of this battle until :meth:`leave`; ``subscribed`` comes first."""
        with self._lock:
            self._start()
            group = self._followers.setdefault(battle, set())
            group.add(follower)
            if len(group) == 1:
                self._send("SUBSCRIBE", self._key(battle))
            confirmed = battle in self._confirmed
        if confirmed:
            follower.subscribed()

    def leave(self, battle: str, follower: Follower) -> None:
        """Undo :meth:`follow`; leaving twice does nothing."""
        with self._lock:
            group = self._followers.get(battle)
            if group is None or follower not in group:
                return
            group.discard(follower)
            if not group:
                del self._followers[battle]
                self._confirmed.discard(battle)
                self._send("UNSUBSCRIBE", self._key(battle))

    def tick(self) -> None:
        """Notice a line that died without saying so. Call about once a second."""
        now = time.monotonic()
        with self._lock:
            if self._connection is None:
                return
            if now - self._heard > DEAD_AFTER_S:
                self._connection.disconnect()
            elif now - max(self._heard, self._pinged) > PING_AFTER_S:
                self._pinged = now
                self._send("PING")

    def stop(self) -> None:
        """End the reader; followers hear nothing more."""
        self._stopped.set()
        with self._lock:
            if self._connection is not None:
                self._connection.disconnect()
        if self._thread is not None:
            self._thread.join(5)
        self._pool.disconnect()

    def _start(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="live-hub", daemon=True)
            self._thread.start()

    def _send(self, *command: str) -> None:
        """Under the lock. A line that breaks here is mended, with all subscriptions, by the reader."""
        if self._connection is None:
            return
        try:
            self._connection.send_command(*command, check_health=False)
        except (RedisError, OSError):
            self._connection.disconnect()

    def _run(self) -> None:
        failures = 0
        while not self._stopped.is_set():
            try:
                connection = self._connect()
                failures = 0
                self._listen(connection)
            except (RedisError, OSError) as error:
                if self._stopped.is_set():
                    return
                log.warning("the live line to Redis broke: %s", type(error).__name__)
            except Exception:
                log.exception("the live line failed; followers read the log once it is back")
            finally:
                self._drop()
            failures += 1
            self._stopped.wait(min(0.1 * 2**failures, 5.0) * random.uniform(0.5, 1.0))  # noqa: S311

    def _listen(self, connection: Any) -> None:
        turn = time.monotonic()
        while not self._stopped.is_set():
            self._dispatch(connection.read_response())
            if self._heard - turn > TURN_S:
                time.sleep(0)
                turn = time.monotonic()

    def _connect(self) -> Any:
        connection: Any = self._pool.make_connection()
        connection.connect()
        with self._lock:
            self._heard = time.monotonic()
            self._connection = connection
            if self._followers:
                self._send("SUBSCRIBE", *(self._key(battle) for battle in self._followers))
        return connection

    def _drop(self) -> None:
        with self._lock:
            connection, self._connection = self._connection, None
            self._confirmed.clear()
        if connection is not None:
            connection.disconnect()

    def _dispatch(self, message: Any) -> None:
        self._heard = time.monotonic()
        if not isinstance(message, list) or len(message) != 3:
            return
        kind, channel, data = message
        battle = channel.decode().removeprefix(self._prefix) if isinstance(channel, bytes) else ""
        if kind == b"message":
            frame = parse_announcement(data)
            told = Announced(frame.epoch, frame.seq, frame.raw, frames.text(frame.raw), self._heard)
            for follower in self._of(battle):
                follower.announced(told)
        elif kind == b"subscribe":
            with self._lock:
                group = self._of(battle)
                if group:
                    self._confirmed.add(battle)
            for follower in group:
                follower.subscribed()

    def _of(self, battle: str) -> list[Follower]:
        with self._lock:
            return list(self._followers.get(battle, ()))
