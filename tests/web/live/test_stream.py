"""An event stream without a server: its sink, its cursor, and a reader that stalls."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from web.live import sse
from web.live.hub import Announced
from web.live.stream import EventSink, EventStream, cursor
from web.live.visitor import Visitor
from worker.contract import events as ev


def announced(seq: int, raw: bytes = b"{}") -> Announced:
    return Announced("feed", seq, raw, b"", 0.0)


@pytest.mark.parametrize(
    ("given", "found"),
    [("feed:7", ("feed", 7)), (":0", ("", 0)), (None, None), ("", None), ("7", None), ("FEED:1", None),
     ("feed:-1", None), ("feed:1\n", None), ("feed:" + "9" * 30, None)],
)  # fmt: skip
def test_a_cursor_is_ours_or_none(given: str | None, found: Any) -> None:
    assert cursor(given) == found


def test_an_event_has_the_place_it_leads_to() -> None:
    sink = EventSink()
    sink.tell(announced(3, b'{"seq":3}'))
    sink.retell(ev.Resumed(battle="b", epoch="feed", seq=3), "feed", 5)
    sink.retell(ev.Batch(battle="b", seq=5, n=2, events=[ev.BattleVotable()]), "feed", 5)
    ids = [line for line in sink.take().decode().split("\n") if line.startswith("id: ")]
    assert ids == ["id: feed:3", "id: feed:3", "id: feed:5"]
    assert (sink.pending, sink.take()) == (False, b"")


def test_it_refuses_what_it_has_no_room_for() -> None:
    sink = EventSink(limit=100)
    assert sink.tell(announced(1, b"x" * 500)), "one always fits"
    assert not sink.tell(announced(2))
    sink.take()
    assert sink.tell(announced(2))


@pytest.mark.parametrize(
    ("event", "over"),
    [
        (ev.BattleFailed(ev.Failure("internal", "x")), True),
        (ev.BattleCancelled("user"), True),
        (ev.BattleVotable(), False),
        (ev.SideDelta("a", '"type":"battle.failed"'), False),
    ],
)
def test_it_knows_the_last_event_told_live_or_in_a_batch(event: ev.StoredEvent, over: bool) -> None:
    live, caught_up = EventSink(), EventSink()
    live.tell(announced(2, b'{"battle":"b","seq":2,' + ev.encode(event)[1:]))
    caught_up.retell(ev.Batch(battle="b", seq=2, n=1, events=[event]), "feed", 2)
    assert (live.over, caught_up.over) == (over, over)


class Quiet:
    """Stands for the house: nobody is ever told anything."""

    authority: Any = None

    def __init__(self) -> None:
        self.hub = self
        self.left: list[Any] = []

    def follow(self, battle: str, follower: Any) -> None: ...

    def leave(self, *who: Any) -> None:
        self.left.append(who)


def test_a_reader_that_takes_nothing_for_ten_seconds_is_broken_off() -> None:
    ours, theirs = socket.socketpair()
    now, house = [0.0], Quiet()
    open_ = EventStream(house, Visitor("me", ""), "b", None, ours, clock=lambda: now[0])  # type: ignore[arg-type]
    pieces = iter(open_)
    assert next(pieces) == b"retry: 2000\n\n"  # the server now writes it, and does not come back for more
    now[0] = sse.BLOCKED_S
    open_.tick()
    ours.send(b"still open")
    now[0] += 0.1
    open_.tick()
    with pytest.raises(BrokenPipeError):
        ours.send(b"closed")
    pieces.close()  # type: ignore[attr-defined]
    assert len(house.left) == 2, "the hub and the house"
    ours.close()
    theirs.close()


def test_a_goodbye_ends_it() -> None:
    open_ = EventStream(Quiet(), Visitor("me", ""), "b", None)  # type: ignore[arg-type]
    pieces = iter(open_)
    next(pieces)
    open_.goodbye(1234)
    assert b"".join(pieces) == b'retry: 1234\ndata: {"type":"bye","reconnect_after_ms":1234}\n\n'
