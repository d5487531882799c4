"""Frames are checked by somebody else's parser."""

from __future__ import annotations

import pytest
from wsproto.connection import Connection, ConnectionType
from wsproto.events import CloseConnection, Ping, TextMessage

from web.live import frames


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536, 200_000])
def test_a_text_frame_is_one_whole_message(size: int) -> None:
    peer = Connection(ConnectionType.CLIENT)
    peer.receive_data(frames.text(("é" * (size // 2) + "x" * (size % 2)).encode()))
    data = "".join(e.data for e in peer.events() if isinstance(e, TextMessage))
    assert len(data.encode()) == size


def test_a_close_frame_carries_code_and_reason() -> None:
    peer = Connection(ConnectionType.CLIENT)
    peer.receive_data(frames.PING + frames.close(4008, "too slow"))
    ping, closed = list(peer.events())
    assert isinstance(ping, Ping)
    assert isinstance(closed, CloseConnection)
    assert (closed.code, closed.reason) == (4008, "too slow")


def test_a_reason_too_long_is_cut_at_a_character() -> None:
    peer = Connection(ConnectionType.CLIENT)
    peer.receive_data(frames.close(1001, "é" * 200))
    (closed,) = list(peer.events())
    assert isinstance(closed, CloseConnection)
    assert closed.reason == "é" * 61
