"""Websocket frames as bytes. A server's frames are unmasked, so one encoding serves every viewer of a battle."""

from __future__ import annotations

import struct

_TEXT, _CLOSE, _PING, _PONG = 0x81, 0x88, 0x89, 0x8A


def text(payload: bytes) -> bytes:
    """One whole text message."""
    return _head(_TEXT, len(payload)) + payload


def close(code: int, reason: str = "") -> bytes:
    """The frame that begins the end; ``reason`` is cut to what a control frame holds."""
    payload = struct.pack("!H", code) + reason.encode()[:123].decode(errors="ignore").encode()
    return _head(_CLOSE, len(payload)) + payload


def pong(payload: bytes) -> bytes:
    """The answer to a peer's ping, with what it said (125 bytes at most)."""
    return _head(_PONG, len(payload)) + payload


PING = bytes((_PING, 0))
"""Asks the peer's websocket library, not its program, for a sign of life."""


def _head(opcode: int, length: int) -> bytes:
    if length < 126:
        return bytes((opcode, length))
    if length < 65536:
        return struct.pack("!BBH", opcode, 126, length)
    return struct.pack("!BBQ", opcode, 127, length)
