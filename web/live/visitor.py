"""Who follows, and how many lines one of them may hold: a line costs little, but somebody else must still get one."""

from __future__ import annotations

import ipaddress
import threading
from collections import Counter
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Visitor:
    """``owner``: the session's or key's hash, None without one. ``only``: the one battle a ticket is for.

    ``key``: the id of the key behind it all, None where there is a session.
    """

    owner: str | None
    address: str
    only: str | None = None
    key: str | None = None


class Caps:
    """How many lines each session and each address holds. Thread-safe."""

    def __init__(self, per_session: int, per_address: int) -> None:
        self._most = {"session": per_session, "address": per_address}
        self._held: Counter[tuple[str, str]] = Counter()
        self._lock = threading.Lock()

    def enter(self, visitor: Visitor) -> str | None:
        """Count one more line; or ``session`` or ``address``, whichever has enough, and nothing is counted."""
        keys = _keys(visitor)
        with self._lock:
            for key in keys:
                if self._held[key] >= self._most[key[0]]:
                    return key[0]
            self._held.update(keys)
        return None

    def leave(self, visitor: Visitor) -> None:
        """Undo one :meth:`enter` that was let in."""
        with self._lock:
            for key in _keys(visitor):
                self._held[key] -= 1
                if self._held[key] <= 0:
                    del self._held[key]


def _keys(visitor: Visitor) -> list[tuple[str, str]]:
    keys = [("address", household(visitor.address))]
    return [("session", visitor.owner), *keys] if visitor.owner else keys


def household(address: str) -> str:
    """What one visitor can hardly have many of: an IPv4 address, or a whole /64 of IPv6."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(ip, ipaddress.IPv6Address):
        return str(ip.ipv4_mapped or ipaddress.ip_network((ip, 64), strict=False))
    return str(ip)
