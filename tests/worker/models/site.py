"""A static web server over a folder, as one finds them: with ranges, and ready to cut, stall or refuse."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote


@dataclass
class Site:
    """What the server does, and what it was asked for as ``(path, Range)``."""

    root: Path
    url: str = ""
    ranges: bool = True
    refuses: int = 0
    """The status of every answer; 0: as it comes."""
    cut_at: int | None = None
    """After so many bytes of a file asked for from its beginning the connection ends."""
    stall_at: int | None = None
    """After so many bytes nothing more is sent, and the connection stays."""
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def ranges_of(self, name: str) -> list[str | None]:
        return [wanted for path, wanted in self.asked if path.endswith(f"/{name}")]


def _handler(site: Site) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            path, wanted = unquote(self.path), self.headers.get("Range")
            site.asked.append((path, wanted))
            file = site.root / path.lstrip("/")
            if site.refuses or not file.is_file():
                self.send_response(site.refuses or 404)
                self.send_header("Content-Length", "0")
                return self.end_headers()
            data, at = file.read_bytes(), 0
            if site.ranges and wanted:
                at = int(wanted.removeprefix("bytes=").removesuffix("-"))
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {at}-{len(data) - 1}/{len(data)}")
            else:
                self.send_response(200)
            self.send_header("Content-Length", str(len(data) - at))
            self.end_headers()
            stop = site.stall_at if site.stall_at is not None else site.cut_at
            if at or stop is None or stop >= len(data):
                self.wfile.write(data[at:])
                return None
            self.wfile.write(data[:stop])
            self.wfile.flush()
            if site.stall_at is not None:
                site.over.wait()
            self.close_connection = True
            return None

        def log_message(self, *args: object) -> None:
            pass

    return Handler


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Who hangs up in the middle is part of the tests."""


@contextmanager
def served(root: Path, pem: Path | None = None) -> Iterator[Site]:
    """The folder at ``site.url`` until the end; ``pem``: its key and certificate, for https."""
    site = Site(root)
    server = _Server(("127.0.0.1", 0), _handler(site))
    if pem is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pem)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    site.url = f"{'https' if pem else 'http'}://127.0.0.1:{server.server_port}"
    try:
        yield site
    finally:
        site.over.set()
        server.shutdown()
        server.server_close()
        thread.join()
