"""The live side: one Redis subscriber per process, one reactor for all its sockets, event streams beside them."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask

    from web.context import Arena


def init_app(app: Flask, arena: Arena, counted: Callable[[int, int], None]) -> None:
    """Register ``/ws``. Nothing runs until the first socket opens. ``counted``: see :class:`web.live.house.House`."""
    from web.live import socket
    from web.live.house import House

    house = House(arena, counted)
    app.extensions["arena_live"] = house
    socket.init_app(app, arena, house)
