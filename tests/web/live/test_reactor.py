"""Real sockets under a real epoll; here with threads, under gunicorn with greenlets."""

from __future__ import annotations

import queue
import socket
from collections.abc import Callable, Iterator

import pytest

from web.live.reactor import Reactor

PATIENCE_S = 10


class Echo:
    """A line that tells all that happens to it."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self.sock = sock
        self.fd = sock.fileno()
        self.told: queue.SimpleQueue[str | bytes] = queue.SimpleQueue()
        self.fails = False

    def readable(self) -> bool:
        if self.fails:
            raise RuntimeError("a line that fails")
        data = self.sock.recv(100)
        self.told.put(data)
        return bool(data)

    def writable(self) -> None:
        self.told.put("writable")

    def tick(self) -> None:
        self.told.put("tick")

    def ended(self) -> None:
        self.sock.close()
        self.told.put("ended")

    def next(self, *ignored: str) -> str | bytes:
        while (what := self.told.get(timeout=PATIENCE_S)) in ignored:
            pass
        return what


@pytest.fixture
def watched() -> Iterator[Callable[[], tuple[Echo, socket.socket]]]:
    reactor = Reactor()
    ends: list[socket.socket] = []

    def make() -> tuple[Echo, socket.socket]:
        ours, theirs = socket.socketpair()
        line = Echo(ours)
        ends.extend((ours, theirs))
        reactor.add(line)
        line.reactor = reactor  # type: ignore[attr-defined]
        return line, theirs

    yield make
    reactor.stop()
    for end in ends:
        end.close()


def test_what_comes_is_read_and_the_end_is_noticed(watched: Callable[[], tuple[Echo, socket.socket]]) -> None:
    line, peer = watched()
    peer.send(b"one")
    assert line.next("tick") == b"one"
    peer.send(b"two")
    assert line.next("tick") == b"two"
    peer.close()
    assert (line.next("tick"), line.next("tick")) == (b"", "ended")


def test_room_to_write_is_told_only_to_who_asked(watched: Callable[[], tuple[Echo, socket.socket]]) -> None:
    line, peer = watched()
    line.reactor.writing(line.fd, True)  # type: ignore[attr-defined]
    assert line.next("tick") == "writable"
    line.reactor.writing(line.fd, False)  # type: ignore[attr-defined]
    peer.send(b"x")
    assert line.next("tick", "writable") == b"x"
    assert line.next("writable") == "tick"


def test_a_line_that_fails_is_dropped_and_the_others_stay(
    watched: Callable[[], tuple[Echo, socket.socket]], caplog: pytest.LogCaptureFixture
) -> None:
    (bad, bad_peer), (good, good_peer) = watched(), watched()
    bad.fails = True
    bad_peer.send(b"x")
    assert bad.next("tick") == "ended"
    good_peer.send(b"y")
    assert good.next("tick") == b"y"
    assert "a socket is dropped" in caplog.text
    caplog.clear()


def test_every_line_gets_its_tick(watched: Callable[[], tuple[Echo, socket.socket]]) -> None:
    lines = [watched()[0] for _ in range(40)]
    assert [line.next() for line in lines] == ["tick"] * 40
