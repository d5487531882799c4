"""What a peer's bytes mean: wsproto takes the frames apart, here they become messages of bounded size."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

from wsproto.frame_protocol import Frame, FrameProtocol, Opcode, ParseFailed

MAX_MESSAGE_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class Said:
    """One whole message; ``binary`` ones have no meaning here."""

    text: str
    binary: bool = False


@dataclass(frozen=True, slots=True)
class Pinged:
    payload: bytes


@dataclass(frozen=True, slots=True)
class Leaving:
    """The peer closes; ``code`` is what to answer."""

    code: int


@dataclass(frozen=True, slots=True)
class Broken:
    """Nothing after this can be understood; ``code`` says why."""

    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class TooBig:
    """A message went past the limit. What follows is still understood, but no message comes of it."""


@dataclass(frozen=True, slots=True)
class Fragment:
    """A part of a message still growing, or a pong: means nothing, but was sent, and counts."""


Heard = Said | Pinged | Leaving | Broken | TooBig | Fragment
_PART = Fragment()


class Inbound:
    """Never holds more than one message of :data:`MAX_MESSAGE_BYTES` and what one read brought."""

    __slots__ = ("_binary", "_parts", "_protocol", "_size", "_spoilt")

    def __init__(self) -> None:
        self._protocol = FrameProtocol(client=False, extensions=[])
        self._parts: list[str] = []
        self._size = 0
        self._binary = False
        self._spoilt = False

    def feed(self, data: bytes) -> Iterator[Heard]:
        """What ``data`` completes. Stop feeding after Leaving and Broken."""
        self._protocol.receive_bytes(data)
        try:
            for frame in self._protocol.received_frames():
                heard = self._frame(frame)
                yield heard
                if isinstance(heard, Leaving | Broken):
                    return
        except ParseFailed as error:
            yield Broken(int(error.code), "not a websocket frame")

    def _frame(self, frame: Frame) -> Heard:
        if frame.opcode is Opcode.CLOSE:
            code = frame.payload[0]
            return Leaving(1000 if code == 1005 else int(code))
        if frame.opcode is Opcode.PING:
            return Pinged(bytes(cast(bytes, frame.payload)))
        if frame.opcode is Opcode.PONG:
            return _PART
        return self._message(frame)

    def _message(self, frame: Frame) -> Heard:
        if self._spoilt:
            return _PART
        payload = frame.payload
        self._size += len(payload.encode() if isinstance(payload, str) else payload)
        if self._size > MAX_MESSAGE_BYTES:
            self._parts, self._spoilt = [], True
            return TooBig()
        if isinstance(payload, str):
            self._parts.append(payload)
        else:
            self._binary = True
        if not frame.message_finished:
            return _PART
        said = Said("".join(self._parts), self._binary)
        self._parts, self._size, self._binary = [], 0, False
        return said
