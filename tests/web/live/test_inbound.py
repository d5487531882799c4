"""A peer's bytes, made by somebody else's framing, in whatever pieces they come."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsproto.connection import Connection, ConnectionType
from wsproto.events import BytesMessage, CloseConnection, Ping, Pong, TextMessage

from web.live.inbound import MAX_MESSAGE_BYTES, Broken, Fragment, Heard, Inbound, Leaving, Pinged, Said, TooBig


def said_by_a_client(*events: object) -> bytes:
    client = Connection(ConnectionType.CLIENT)
    return b"".join(client.send(event) for event in events)  # type: ignore[arg-type]


def heard(data: bytes, size: int = 1 << 20) -> list[Heard]:
    """What is heard when the bytes come ``size`` at a time."""
    inbound = Inbound()
    found: list[Heard] = []
    for start in range(0, len(data), size):
        for what in inbound.feed(data[start : start + size]):
            found.append(what)
            if isinstance(what, Leaving | Broken):
                return found
    return found


@given(st.lists(st.text(max_size=300), max_size=6), st.integers(1, 400))
def test_messages_come_out_whole_however_the_bytes_arrive(texts: list[str], size: int) -> None:
    data = said_by_a_client(*(TextMessage(data=text) for text in texts))
    assert [w.text for w in heard(data, size) if isinstance(w, Said)] == texts


def test_control_frames_may_come_between_the_parts_of_a_message() -> None:
    parts = (TextMessage(data="sub", message_finished=False), Ping(payload=b"?"), TextMessage(data="scribe"))
    assert heard(said_by_a_client(*parts)) == [Fragment(), Pinged(b"?"), Said("subscribe")]


def test_what_is_not_text_says_so_and_pongs_mean_nothing() -> None:
    assert heard(said_by_a_client(Pong(), BytesMessage(data=b"x"))) == [Fragment(), Said("", binary=True)]


@pytest.mark.parametrize(("code", "answer"), [(1000, 1000), (1001, 1001), (4000, 4000)])
def test_a_peer_that_leaves_is_answered_with_its_code(code: int, answer: int) -> None:
    assert heard(said_by_a_client(CloseConnection(code=code))) == [Leaving(answer)]
    assert heard(b"\x88\x80\0\0\0\0") == [Leaving(1000)], "a close frame without a code"


def test_a_message_may_be_as_long_as_the_limit_and_not_a_byte_longer() -> None:
    fits = said_by_a_client(TextMessage(data="x" * MAX_MESSAGE_BYTES))
    assert heard(fits, 4096)[-1] == Said("x" * MAX_MESSAGE_BYTES)
    longer = said_by_a_client(TextMessage(data="é" * (MAX_MESSAGE_BYTES // 2) + "x"))
    assert heard(longer, 4096)[-1] == TooBig()


def test_after_a_message_too_big_only_the_peers_leaving_is_heard() -> None:
    told = heard(said_by_a_client(TextMessage(data="x" * 900_000), TextMessage(data="{}"), CloseConnection(code=1009)))
    assert [what for what in told if what != Fragment()] == [TooBig(), Leaving(1009)]


def test_parts_count_together() -> None:
    part = TextMessage(data="x" * 1000, message_finished=False)
    assert TooBig() in heard(said_by_a_client(*[part] * 70), 999)


@given(st.binary(min_size=1, max_size=2000))
def test_garbage_never_raises(data: bytes) -> None:
    heard(data, 7)
