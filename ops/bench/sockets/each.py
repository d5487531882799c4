"""What the hub is compared with: flask-sock as its documentation shows it, and one Redis connection per socket.

The same handshake checks, the same log, the same exactly-once resume (``channel.follow`` subscribes, replays, goes
live); only nothing is shared: each socket decodes and frames every message for itself.
"""

from __future__ import annotations

import contextlib
import json
from types import SimpleNamespace

import redis
from flask import Flask, request
from flask_sock import Sock

from web.security import Sessions
from web.settings import WebSettings
from worker.contract import channel
from worker.contract.events import SUBPROTOCOL


def create_app() -> Flask:
    app = Flask(__name__)
    settings = WebSettings.from_env()
    app.extensions["arena"] = SimpleNamespace(settings=settings)  # for the server's bounds, which both have
    sessions = Sessions(settings.signing_key())
    app.config["SOCK_SERVER_OPTIONS"] = {"subprotocols": [SUBPROTOCOL]}
    sock = Sock(app)

    @app.before_request
    def uncompressed() -> None:
        request.environ.pop("HTTP_SEC_WEBSOCKET_EXTENSIONS", None)

    @sock.route("/ws")  # type: ignore[untyped-decorator]
    def follow(ws) -> None:  # type: ignore[no-untyped-def]
        assert sessions.owner(request.cookies.get("arena_session"))
        wish = json.loads(ws.receive())
        ws.send(json.dumps({"type": "resumed", "battle": wish["battle"], "epoch": "0", "seq": 0}))
        with redis.Redis.from_url(settings.redis_url) as own, contextlib.suppress(OSError):  # until the viewer is gone
            for frame in channel.follow(own, wish["battle"]):
                ws.send(frame.raw.decode())

    return app
