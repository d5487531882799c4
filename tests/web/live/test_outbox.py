from __future__ import annotations

import socket
from collections.abc import Iterator
from itertools import count

import pytest

from web.live.outbox import Outbox

FRAME = b"x" * 1000


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Our end, with a small buffer, and the peer's."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    yield ours, theirs
    ours.close()
    theirs.close()


def drain(theirs: socket.socket, box: Outbox) -> bytes:
    """Read everything the box still has for the peer."""
    got = b""
    theirs.setblocking(False)
    while True:
        try:
            chunk = theirs.recv(65536)
            if not chunk:
                return got
            got += chunk
        except BlockingIOError:
            if not box.pending:
                return got
        box.flush()


def fill(box: Outbox) -> int:
    """Offer frames until the socket is full; how many were taken."""
    for n in count(1):
        assert box.offer(FRAME, droppable=True)
        if box.pending:
            return n
    raise AssertionError


def test_what_the_socket_takes_is_sent_at_once(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    box = Outbox(ours)
    assert box.offer(b"hello")
    assert not box.pending
    assert theirs.recv(100) == b"hello"


def test_a_stalled_reader_never_makes_the_sender_wait_nor_the_box_grow(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = pair
    box = Outbox(ours, limit=10_000)
    taken = fill(box)
    offered = [box.offer(FRAME, droppable=True) for _ in range(100)]
    assert 0 < offered.count(True) <= 10
    assert not any(offered[offered.count(True) :])
    assert drain(theirs, box) == FRAME * (taken + offered.count(True))
    assert box.offer(FRAME, droppable=True)


def test_frames_arrive_whole_and_in_order_however_often_the_socket_refuses(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = pair
    box = Outbox(ours)
    frames = [bytes([n]) * 3000 for n in range(200)]
    for frame in frames:
        assert box.offer(frame)
    assert drain(theirs, box) == b"".join(frames)


def test_it_knows_since_when_the_socket_refuses(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    now = [0.0]
    box = Outbox(ours, clock=lambda: now[0])
    assert box.blocked_since is None
    now[0] = 5.0
    fill(box)
    now[0] = 9.0
    box.offer(FRAME)
    box.flush()
    assert box.blocked_since == 5.0
    drain(theirs, box)
    assert box.blocked_since is None


def test_the_last_frame_follows_one_that_was_begun_but_not_those_that_wait(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = pair
    box = Outbox(ours)
    taken = fill(box)
    box.offer(b"dropped" * 100)
    box.finish(b"END", drop_queued=True)
    assert not box.offer(b"too late")
    got = drain(theirs, box)
    assert got.endswith(b"END")
    assert b"dropped" not in got
    assert len(got) - 3 in (1000 * taken, 1000 * (taken - 1))


def test_a_broken_socket_takes_nothing_more(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    theirs.close()
    box = Outbox(ours)
    while box.offer(FRAME):
        assert not box.pending
    assert box.dead
    assert not box.offer(FRAME)


def test_the_last_frame_ends_the_peers_reading(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    box = Outbox(ours)
    box.finish(b"END")
    box.hang_up()
    assert (theirs.recv(10), theirs.recv(10)) == (b"END", b"")


def test_hanging_up_waits_for_what_is_on_its_way(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    box = Outbox(ours)
    taken = fill(box)
    box.finish(b"END")
    box.hang_up()
    assert drain(theirs, box) == FRAME * taken + b"END"
    theirs.setblocking(True)
    assert theirs.recv(10) == b""


def test_it_asks_to_be_told_when_there_is_room_and_only_then(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, theirs = pair
    asked: list[bool] = []
    box = Outbox(ours, watch=asked.append)
    box.offer(b"fits")
    assert asked == []
    fill(box)
    box.offer(FRAME)
    assert asked == [True]
    drain(theirs, box)
    assert asked == [True, False]


def test_aborting_wakes_the_reader(pair: tuple[socket.socket, socket.socket]) -> None:
    ours, _ = pair
    Outbox(ours).abort()
    assert ours.recv(10) == b""
