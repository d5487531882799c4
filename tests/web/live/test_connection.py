"""A socket's conversation without a socket: the log is real, the wire is a list of frames."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Sequence
from typing import Any

import msgspec
import pytest
import redis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from wsproto.connection import Connection as Parser
from wsproto.connection import ConnectionType
from wsproto.events import CloseConnection, TextMessage

from web.live import connection as connection_module
from web.live import frames
from web.live import outbox as outbox_module
from web.live.connection import Connection
from web.live.hub import Announced, Hub
from web.live.inbound import Broken, Fragment, Heard, Leaving, Pinged, Said
from web.live.outbox import Outbox
from web.live.visitor import Visitor
from worker.contract import channel
from worker.contract import events as ev
from worker.contract.channel import Frame
from worker.contract.view import fold_all

MINE, FOREIGN = "battle-of-mine", "battle-of-others"


class Wire:
    """Stands for a socket: takes ``room`` bytes, then refuses until somebody makes room."""

    def __init__(self, room: float = float("inf")) -> None:
        self.room = room
        self.parser = Parser(ConnectionType.CLIENT)
        self.messages: list[dict[str, Any]] = []
        self.closed: tuple[int, str | None] | None = None
        self.shut = self.ended = False
        self._partial = ""

    def send(self, data: memoryview, _flags: int = 0) -> int:
        taken = int(min(len(data), self.room))
        if taken == 0:
            raise BlockingIOError
        self.room -= taken
        self.parser.receive_data(bytes(data[:taken]))
        for event in self.parser.events():
            if isinstance(event, TextMessage):
                self._partial += event.data
                if event.message_finished:
                    self.messages.append(json.loads(self._partial))
                    self._partial = ""
            elif isinstance(event, CloseConnection):
                self.closed = (event.code, event.reason)
        return taken

    def shutdown(self, how: int) -> None:
        self.shut = self.shut or how == socket.SHUT_RDWR
        self.ended = self.ended or how == socket.SHUT_WR


class DirectHub(Hub):
    """Announces by hand; everything else is the real hub's interface."""

    def __init__(self) -> None:
        self.followers: dict[str, list[Any]] = {}

    def follow(self, battle: str, follower: Any) -> None:
        self.followers.setdefault(battle, []).append(follower)
        follower.subscribed()

    def leave(self, battle: str, follower: Any) -> None:
        self.followers[battle].remove(follower)


class RealLog:
    def __init__(self, client: redis.Redis) -> None:
        self.client = client
        self.broken = False

    def allows(self, battle: str, owner: str) -> bool:
        return battle.startswith(MINE) and owner == "me"

    def after(self, battle: str, seq: int) -> tuple[str | None, Sequence[Frame], int]:
        if self.broken:
            raise redis.ConnectionError("away")
        epoch, entries = channel.read_log(self.client, battle, seq)
        newest = self.client.hget(channel.meta_key(battle), "seq")
        return epoch, entries, int(newest or 0)

    def snapshot(self, battle: str) -> tuple[ev.BattleView, str, int]:
        epoch, entries, newest = self.after(battle, 0)
        return fold_all(e.event for e in entries), epoch or "", newest


class Side:
    """A connection with everything around it within reach."""

    def __init__(
        self, client: redis.Redis, owner: str | None = "me", room: float = float("inf"), only: str | None = None
    ) -> None:
        self.now = 100.0
        self.wire = Wire(room)
        self.hub = DirectHub()
        self.log = RealLog(client)
        self.redis = client
        self.watched: list[bool] = []
        self.box = Outbox(self.wire, watch=self.watched.append, clock=lambda: self.now)
        self.connection = Connection(
            self.box,
            self.hub,
            self.log,
            Visitor(owner, "192.0.2.1", only),
            clock=lambda: self.now,
            spawn=lambda work: work(),
        )

    def say(self, message: Any) -> None:
        if isinstance(message, bytes):
            self.hear(Said("", binary=True))
        else:
            self.hear(Said(message if isinstance(message, str) else json.dumps(message)))

    def hear(self, what: Heard) -> None:
        self.connection.heard(what)

    def writable(self) -> None:
        """As the reactor does when the socket takes bytes again."""
        self.box.flush()
        self.connection.kick()

    def publish(self, *events: Any, battle: str = MINE, announce: bool = True) -> None:
        _, before = channel.read_log(self.redis, battle)
        channel.publish(self.redis, battle, events)
        if announce:
            _, entries = channel.read_log(self.redis, battle, len(before))
            self.announce(*entries, battle=battle)

    def announce(self, *entries: Frame, battle: str = MINE) -> None:
        for entry in entries:
            told = Announced(entry.epoch, entry.seq, entry.raw, frames.text(entry.raw), self.now)
            for follower in list(self.hub.followers.get(battle, ())):
                follower.announced(told)

    @property
    def types(self) -> list[str]:
        return [m["type"] for m in self.wire.messages]


@pytest.fixture
def side(redis_client: redis.Redis) -> Side:
    return Side(redis_client)


@pytest.fixture
def begun(side: Side) -> Side:
    side.publish(ev.TurnStarted(1, "Why?"), ev.SideStarted("a"), ev.SideDelta("a", "Be"))
    return side


def test_hello_comes_first_and_only_in_our_protocol(side: Side) -> None:
    side.connection.greet(agreed=True)
    assert (side.types, side.wire.messages[0]["protocol"]) == (["hello"], "arena.v1")


def test_without_our_protocol_there_is_no_conversation(side: Side) -> None:
    side.connection.greet(agreed=False)
    assert (side.types, side.wire.closed) == (["error"], (4505, "version"))


def test_subscribing_gives_a_snapshot_then_live_events(begun: Side) -> None:
    begun.say({"type": "subscribe", "battle": MINE})
    begun.publish(ev.SideDelta("a", "cause"))
    snapshot, delta = begun.wire.messages
    assert (snapshot["type"], snapshot["seq"], snapshot["view"]["turns"][0]["a"]["text"]) == ("snapshot", 3, "Be")
    assert (delta["seq"], delta["battle"], delta["text"]) == (4, MINE, "cause")


def test_resuming_gives_what_was_missed_merged(begun: Side) -> None:
    epoch, _ = channel.read_log(begun.redis, MINE)
    begun.publish(ev.SideDelta("a", "cause"), ev.SideDelta("a", "!"), ev.SideDelta("b", "No"))
    begun.say({"type": "subscribe", "battle": MINE, "epoch": epoch, "after": 3})
    resumed, batch = begun.wire.messages
    assert (resumed["type"], resumed["seq"]) == ("resumed", 3)
    assert (batch["type"], batch["seq"], batch["n"]) == ("batch", 6, 3)
    assert [(e["side"], e["text"]) for e in batch["events"]] == [("a", "cause!"), ("b", "No")]


def test_resuming_with_nothing_missed_says_so(begun: Side) -> None:
    epoch, _ = channel.read_log(begun.redis, MINE)
    begun.say({"type": "subscribe", "battle": MINE, "epoch": epoch, "after": 3})
    assert begun.types == ["resumed"]


@pytest.mark.parametrize("cursor", [{"epoch": "other", "after": 3}, {"after": 3}, {"epoch": "same", "after": 99}])
def test_a_cursor_that_is_not_of_this_log_gets_a_snapshot(begun: Side, cursor: dict[str, Any]) -> None:
    epoch, _ = channel.read_log(begun.redis, MINE)
    if cursor.get("epoch") == "same":
        cursor = {**cursor, "epoch": epoch}
    begun.say({"type": "subscribe", "battle": MINE, **cursor})
    assert (begun.types, begun.wire.messages[0]["seq"]) == (["snapshot"], 3)


def test_what_was_sent_is_not_sent_again(begun: Side) -> None:
    begun.say({"type": "subscribe", "battle": MINE})
    _, entries = channel.read_log(begun.redis, MINE)
    begun.announce(*entries)
    assert begun.types == ["snapshot"]


def test_a_gap_is_filled_from_the_log(begun: Side) -> None:
    begun.say({"type": "subscribe", "battle": MINE})
    begun.publish(ev.SideDelta("a", "1"), announce=False)
    begun.publish(ev.SideDelta("a", "2"))
    _, batch = begun.wire.messages
    assert (batch["type"], batch["seq"], batch["n"], batch["events"][0]["text"]) == ("batch", 5, 2, "12")


def test_a_log_that_began_anew_gets_a_snapshot(begun: Side) -> None:
    begun.say({"type": "subscribe", "battle": MINE})
    begun.redis.flushall()
    begun.publish(ev.TurnStarted(1, "Again?"))
    assert begun.types == ["snapshot", "snapshot"]
    assert begun.wire.messages[1]["epoch"] != begun.wire.messages[0]["epoch"]


@pytest.mark.parametrize(
    "said",
    ["{", "7", '"x"', "{}", b"\x00", {"type": "vote", "battle": MINE}, {"type": "subscribe"},
     {"type": "subscribe", "battle": "../x"}, {"type": "subscribe", "battle": MINE, "after": -1}],
)  # fmt: skip
def test_anything_outside_the_closed_set_ends_it_for_good(side: Side, said: Any) -> None:
    side.say(said)
    assert (side.types, side.wire.closed) == (["error"], (4500, "bad_message"))
    side.say({"type": "ping", "n": 1})
    assert side.types == ["error"]


@pytest.mark.parametrize("battle", [FOREIGN, "no-such-battle"])
def test_foreign_and_unknown_battles_are_the_same_to_a_stranger(side: Side, battle: str) -> None:
    side.say({"type": "subscribe", "battle": battle})
    assert side.wire.closed == (4504, "unknown_battle")
    assert {k: v for k, v in side.wire.messages[0].items() if k != "battle"} == {
        "type": "error", "code": "unknown_battle", "message": "There is no such battle of yours.",
    }  # fmt: skip


def test_without_a_session_nothing_can_be_followed(redis_client: redis.Redis) -> None:
    side = Side(redis_client, owner=None)
    side.say({"type": "subscribe", "battle": MINE})
    assert side.wire.closed == (4501, "session")


def test_a_ticket_is_for_its_battle_only(redis_client: redis.Redis) -> None:
    side = Side(redis_client, only=MINE)
    side.publish(ev.TurnStarted(1, "Why?"))
    side.say({"type": "subscribe", "battle": MINE})
    assert side.types == ["snapshot"]
    side.say({"type": "subscribe", "battle": f"{MINE}-too"})
    assert side.wire.closed == (4503, "forbidden")


def test_an_epoch_too_long_to_be_one_of_ours_gets_a_snapshot(begun: Side) -> None:
    begun.say({"type": "subscribe", "battle": MINE, "epoch": "e" * 60_000, "after": 3})
    assert begun.types == ["snapshot"]


def test_ping_frames_are_answered_but_a_flood_of_them_is_not(redis_client: redis.Redis) -> None:
    side = Side(redis_client, room=0)
    for _ in range(50):
        side.hear(Pinged(b"x" * 125))
    assert side.box._bytes <= 50 * 127
    for _ in range(5000):
        side.hear(Pinged(b"x" * 125))
    assert side.box._bytes < 8000
    side.wire.room = float("inf")
    side.writable()
    assert side.wire.closed == (4029, "limited")


def test_a_client_that_closes_is_answered_with_its_own_code(side: Side) -> None:
    side.hear(Leaving(1000))
    side.hear(Said('{"type": "ping"}'))
    assert (side.types, side.wire.closed, side.wire.ended) == ([], (1000, ""), True)


def test_after_a_refusal_the_line_ends_when_the_peer_has_closed_or_gone_on_for_long(redis_client: redis.Redis) -> None:
    for last_word in (Leaving(4500), Broken(1002, "nonsense")):
        side = Side(redis_client)
        side.say("nonsense")
        for _ in range(100):
            side.say("nonsense")
        assert (side.wire.closed, side.wire.ended) == ((4500, "bad_message"), False)
        side.hear(last_word)
        assert side.wire.ended
    endless = Side(redis_client)
    for _ in range(connection_module.HEARD_OUT + 2):
        endless.say("nonsense")
    assert endless.wire.ended


def test_a_socket_that_takes_nothing_occupies_nobody_and_holds_a_bounded_amount(redis_client: redis.Redis) -> None:
    """However much is published: what it lacks stays in the log, and it comes merged once there is room."""
    side = Side(redis_client)
    side.publish(ev.TurnStarted(1, "Why?"))
    side.say({"type": "subscribe", "battle": MINE})
    side.wire.room = 0
    at_work: list[Callable[[], None]] = []
    side.connection._spawn = at_work.append
    for n in range(400):
        side.publish(ev.SideDelta("a", f"{n} " * 200))
    assert at_work == [], "nobody is at work for a socket that is stuck"
    assert side.box._bytes <= outbox_module.LIMIT_BYTES
    side.connection._spawn = lambda work: work()
    side.wire.room = float("inf")
    side.writable()
    assert side.types[-1] == "batch"
    told = "".join(e["text"] for m in side.wire.messages[1:] for e in m.get("events", [m]))
    assert told == "".join(f"{n} " * 200 for n in range(400))


def test_ping_is_answered(side: Side) -> None:
    side.say({"type": "ping", "n": 7})
    side.say({"type": "pong"})
    assert side.wire.messages == [{"type": "pong", "n": 7}]


def test_after_unsubscribing_nothing_comes(begun: Side) -> None:
    begun.say({"type": "subscribe", "battle": MINE})
    begun.say({"type": "unsubscribe", "battle": MINE})
    begun.say({"type": "unsubscribe", "battle": MINE})
    begun.publish(ev.SideDelta("a", "x"))
    assert (begun.types, begun.hub.followers[MINE]) == (["snapshot"], [])


def test_subscribing_again_begins_again(begun: Side) -> None:
    begun.say({"type": "subscribe", "battle": MINE})
    begun.say({"type": "subscribe", "battle": MINE})
    begun.publish(ev.SideDelta("a", "x"))
    assert begun.types == ["snapshot", "snapshot", "side.delta"]


def test_too_many_battles_or_messages_mean_come_back_later(side: Side, redis_client: redis.Redis) -> None:
    for n in range(connection_module.MAX_BATTLES + 1):
        side.say({"type": "subscribe", "battle": f"{MINE}-{n}"})
    assert side.wire.closed == (4029, "limited")
    talker = Side(redis_client)
    for n in range(connection_module.RATE + 1):
        talker.say({"type": "ping", "n": n})
    assert talker.wire.closed == (4029, "limited")
    patient = Side(redis_client)
    for n in range(3 * connection_module.RATE):
        patient.now += 1
        patient.say({"type": "ping", "n": n})
    assert patient.wire.closed is None


def test_storage_that_is_away_means_come_back_later(begun: Side) -> None:
    begun.log.broken = True
    begun.say({"type": "subscribe", "battle": MINE})
    assert (begun.types, begun.wire.closed) == (["error"], (1013, "unavailable"))
    assert begun.wire.messages[0]["retryable"] is True


def test_silence_is_broken_by_a_ping(side: Side) -> None:
    side.now += 19
    side.connection.tick()
    assert side.types == []
    side.now += 1
    side.connection.tick()
    side.connection.tick()
    assert side.wire.messages == [{"type": "ping", "n": 1}]


def test_a_listener_to_a_long_stream_is_asked_whether_it_is_there(side: Side) -> None:
    for _ in range(30):
        side.now += 1
        side.connection.send(ev.Pong(n=0))  # something flows all the time
        side.connection.tick()
    assert [m for m in side.wire.messages if m["type"] == "ping"] == [{"type": "ping", "n": 1}]


def test_a_peer_that_is_silent_even_to_pings_is_gone(side: Side) -> None:
    side.now += 59
    side.hear(Fragment())
    side.now += 60
    side.connection.tick()
    assert side.wire.closed is None
    side.now += 1
    side.connection.tick()
    assert side.wire.closed == (4009, "silent")
    side.now += connection_module.LINGER_S + 1
    side.connection.tick()
    assert side.wire.shut


def test_a_reader_that_takes_nothing_for_ten_seconds_is_sent_away(redis_client: redis.Redis) -> None:
    side = Side(redis_client, room=20)
    side.connection.greet(agreed=True)
    assert side.watched == [True]
    side.now += 9.5
    side.hear(Fragment())
    side.connection.tick()
    assert not side.connection.closing
    side.now += 1
    side.connection.tick()
    side.wire.room = 10_000
    side.writable()
    assert (side.types, side.wire.closed) == (["hello"], (4008, "too slow"))
    assert side.watched == [True, False]


def test_going_away_says_when_to_come_back(side: Side) -> None:
    side.connection.goodbye(1234)
    assert (side.wire.messages, side.wire.closed) == (
        [{"type": "bye", "reconnect_after_ms": 1234}],
        (1001, "going away"),
    )


def test_release_leaves_every_battle(begun: Side) -> None:
    begun.say({"type": "subscribe", "battle": MINE})
    begun.connection.release()
    assert begun.hub.followers[MINE] == []


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("publish"), st.sampled_from("ab"), st.text("xyz ", min_size=1, max_size=40)),
        st.tuples(st.just("lost"), st.sampled_from("ab"), st.text("xyz ", min_size=1, max_size=40)),
        st.tuples(st.just("room"), st.integers(1, 900), st.just("")),
    ),
    max_size=60,
)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(STEPS)
def test_however_slow_the_reader_and_whatever_is_lost_the_text_is_whole_and_nothing_comes_twice(
    redis_client: redis.Redis, steps: list[tuple[str, Any, str]]
) -> None:
    redis_client.flushall()
    side = Side(redis_client, room=500)
    side.box._limit = 300
    side.publish(ev.TurnStarted(1, "Why?"))
    side.say({"type": "subscribe", "battle": MINE})
    for what, one, text in [*steps, ("publish", "a", "end")]:
        if what == "room":
            side.wire.room += one
            side.writable()
        else:
            side.publish(ev.SideDelta(one, text), announce=what == "publish")
    side.wire.room = float("inf")
    side.writable()
    _, entries = channel.read_log(redis_client, MINE)
    expected = fold_all(e.event for e in entries)
    view, last = ev.BattleView(), 0
    for message in side.wire.messages:
        if message["type"] == "snapshot":
            view, last = msgspec.convert(message["view"], ev.BattleView), message["seq"]
        elif message["type"] == "batch":
            assert message["seq"] - message["n"] == last
            view = fold_all(msgspec.convert(message["events"], list[ev.StoredEvent]), view)
            last = message["seq"]
        else:
            assert message["seq"] == last + 1
            view, last = fold_all([ev.decode_event(json.dumps(message))], view), message["seq"]
    assert view == expected
    assert last == entries[-1].seq
