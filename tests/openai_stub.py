"""A real HTTP server that speaks OpenAI's chat API as a test scripts it, and says what it saw."""

from __future__ import annotations

import json
import select
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

USAGE = {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}
Reply = Callable[["Call"], None]


def delta(text: str | None = None, finish: str | None = None) -> dict[str, Any]:
    """A chunk as servers send them, with more in it than anybody reads."""
    message: dict[str, Any] = {} if text is None else {"content": text}
    choice = {"index": 0, "delta": message, "logprobs": None, "finish_reason": finish}
    return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "choices": [choice], "usage": None}


def usage(**counts: int) -> dict[str, Any]:
    return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "choices": [], "usage": {**USAGE, **counts}}


@dataclass
class Call:
    """One ``POST /chat/completions``: what was asked, and the means to answer it step by step."""

    handler: BaseHTTPRequestHandler
    body: dict[str, Any]
    authorization: str | None
    gone: threading.Event = field(default_factory=threading.Event)
    """Set when the client has closed the connection."""

    def fail(self, status: int, error: object, kind: str = "application/json") -> None:
        content = error.encode() if isinstance(error, str) else json.dumps(error).encode()
        self._head(status, {"Content-Type": kind, "Content-Length": str(len(content))})
        self.handler.wfile.write(content)

    def begin(self, kind: str = "text/event-stream") -> None:
        self._head(200, {"Content-Type": kind, "Transfer-Encoding": "chunked"})

    def begin_until_close(self) -> None:
        """As HTTP/1.0 had it: nothing but the end of the connection tells the end."""
        self.handler.close_connection = True
        self._head(200, {"Content-Type": "text/event-stream", "Connection": "close"})

    def send(self, *chunks: dict[str, Any] | str, chunked: bool = True) -> None:
        for chunk in chunks:
            data = f"data: {chunk if isinstance(chunk, str) else json.dumps(chunk)}\n\n".encode()
            self.handler.wfile.write(b"%x\r\n%s\r\n" % (len(data), data) if chunked else data)
        self.handler.wfile.flush()

    def end(self) -> None:
        self.send("[DONE]")
        self.handler.wfile.write(b"0\r\n\r\n")

    def hang_up(self) -> None:
        self.handler.close_connection = True
        self.handler.connection.shutdown(socket.SHUT_RDWR)

    def wait_until_gone(self) -> None:
        """Blocks until the client hangs up (or, should it never, until the test's own limit has long passed)."""
        if select.select([self.handler.connection], [], [], 30)[0] and not self.handler.connection.recv(1):
            self.gone.set()
        self.handler.close_connection = True

    def _head(self, status: int, headers: dict[str, str]) -> None:
        self.handler.send_response(status)
        for name, value in headers.items():
            self.handler.send_header(name, value)
        self.handler.end_headers()


def answer(*texts: str, finish: str = "stop") -> Reply:
    """A well-behaved answer."""

    def reply(call: Call) -> None:
        call.begin()
        call.send(delta(""), *(delta(t) for t in texts), delta(finish=finish), usage())
        call.end()

    return reply


def refuse(status: int, error: object) -> Reply:
    return lambda call: call.fail(status, error)


@dataclass
class Stub:
    """``models``: what ``GET /models`` lists, or (status, content). ``reply`` answers every chat request."""

    url: str = ""
    models: list[str] | tuple[int, str] = field(default_factory=lambda: ["far-9000"])
    reply: Reply = field(default_factory=lambda: answer("Hello", " there"))
    calls: list[Call] = field(default_factory=list)
    listings: list[str | None] = field(default_factory=list)
    """The ``Authorization`` of each ``GET /models``."""


@contextmanager
def serving() -> Iterator[Stub]:
    """A stub at ``stub.url``, gone afterwards."""
    stub = Stub()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            stub.listings.append(self.headers["Authorization"])
            if isinstance(stub.models, tuple):
                status, text = stub.models
            else:
                status, text = 200, json.dumps({"object": "list", "data": [{"id": m} for m in stub.models]})
            self.send_response(status if self.path == "/v1/models" else 404)
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            call = Call(self, body, self.headers["Authorization"])
            stub.calls.append(call)
            if self.path != "/v1/chat/completions":
                call.fail(404, {})
            else:
                stub.reply(call)

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        request_queue_size = 128

        def handle_error(self, *_: object) -> None:
            """The client hung up in the middle; some tests are about that."""

    server = Server(("127.0.0.1", 0), Handler)
    stub.url = f"http://127.0.0.1:{server.server_port}/v1"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield stub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
