"""The live side: one Redis subscriber per process, one bounded outbox per socket."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask import Flask

    from web.context import Arena


def init_app(app: Flask, arena: Arena) -> None:
    """Register ``/ws``. Nothing runs until the first socket opens."""
    from web.live import socket

    socket.init_app(app, arena)
