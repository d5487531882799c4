"""Clients that are slow on purpose, or say too much, against gunicorn as shipped: they go, everybody else is served."""

from __future__ import annotations

import http.client
import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sockets import Web, web_process

CROWD = 50


@pytest.fixture(scope="module")
def web(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    """A process that gives a head and a body one second each."""
    folder = Path(tmp_path_factory.mktemp("web"))
    with web_process(redis_url, folder, ARENA_HEAD_TIMEOUT_S="1", ARENA_BODY_TIMEOUT_S="1") as made:
        yield made


def dial(web: Web) -> socket.socket:
    line = socket.create_connection(("127.0.0.1", web.port), timeout=30)
    line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return line


def dribble(line: socket.socket, start: bytes, piece: bytes) -> bytes:
    """Send ``start``, then ``piece`` ten times a second until the other side has closed; what it said before that."""
    line.sendall(start)
    line.settimeout(0.1)
    heard = b""
    give_up = time.monotonic() + 30
    while time.monotonic() < give_up:
        try:
            line.sendall(piece)
            data = line.recv(4096)
        except TimeoutError:
            continue
        except OSError:
            return heard
        if not data:
            return heard
        heard += data
    raise AssertionError("the connection stayed open")


HEAD = b"POST /api/battles HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


def test_a_head_that_never_ends_is_cut_off(web: Web) -> None:
    with dial(web) as line:
        assert dribble(line, b"GET / HTTP/1.1\r\n", b"X: y\r\n") == b""


def test_one_that_says_nothing_is_cut_off(web: Web) -> None:
    with dial(web) as line:
        assert line.recv(1) == b""


def test_the_second_head_on_a_connection_has_no_longer_than_the_first(web: Web) -> None:
    with dial(web) as line:
        assert dribble(line, b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n", b"G").startswith(b"HTTP/1.1 200")


@pytest.mark.parametrize(
    ("rest", "piece"),
    [(b"Content-Length: 5000\r\n\r\n", b" "), (b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n")],
)
def test_a_body_that_never_ends_is_refused_and_cut_off(web: Web, rest: bytes, piece: bytes) -> None:
    with dial(web) as line:
        heard = dribble(line, HEAD + rest, piece)
    head, _, body = heard.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 408")
    assert json.loads(body)["code"] == "body_too_slow"
    assert b"frame-ancestors 'none'" in head


def test_a_crowd_of_slow_clients_keeps_nobody_else_waiting(web: Web) -> None:
    crowd = [dial(web) for _ in range(CROWD)]
    starts = [b"GET / HTTP/1.1\r\n", HEAD + b"Content-Length: 5000\r\n\r\n"]
    threads = [
        threading.Thread(target=dribble, args=(line, starts[n % 2], (b"X: y\r\n", b" ")[n % 2]))
        for n, line in enumerate(crowd)
    ]
    for thread in threads:
        thread.start()
    served = 0
    while any(t.is_alive() for t in threads):
        assert web.healthy
        served += 1
    assert served > 1, "others were served while the crowd dribbled"
    for thread, line in zip(threads, crowd, strict=True):
        thread.join()
        line.close()


@pytest.mark.parametrize(
    ("head", "status", "code"),
    [
        (b"GET /" + b"x" * 5000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", 414, "address_too_long"),
        (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X: y\r\n" * 60 + b"\r\n", 431, "headers_too_large"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"y" * 9000 + b"\r\n\r\n", 431, "headers_too_large"),
        (b"nonsense\r\n\r\n", 400, "bad_request"),
        (b"GET / HTTP/1.1\r\nHost: x\r\nBad Name: y\r\n\r\n", 400, "bad_request"),
        (b"POST /api/battles HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
         400, "bad_request"),
    ],
)  # fmt: skip
def test_what_is_too_large_or_no_http_is_refused_in_our_words(web: Web, head: bytes, status: int, code: str) -> None:
    with dial(web) as line:
        line.sendall(head)
        answer = http.client.HTTPResponse(line)
        answer.begin()
        problem = json.loads(answer.read())
        assert (answer.status, problem["code"]) == (status, code)
        assert answer.headers["Content-Security-Policy"]
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert b"nonsense" not in json.dumps(problem).encode()
        assert line.recv(1) == b"", "the connection is closed"


def test_a_body_over_the_bound_is_not_read(web: Web) -> None:
    with dial(web) as line:
        line.sendall(HEAD + b"Content-Length: 100000000\r\n\r\n")
        answer = http.client.HTTPResponse(line)
        answer.begin()
        assert (answer.status, json.loads(answer.read())["code"]) == (413, "body_too_large")


def test_a_reader_that_is_merely_slow_still_gets_all(web: Web) -> None:
    with dial(web) as line:
        line.sendall(b"GET /openapi.json HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        whole = b""
        while data := line.recv(997):
            whole += data
    head, _, body = whole.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
    assert len(body) == length


def test_a_refused_body_that_goes_on_dribbling_is_cut_off_quietly(web: Web) -> None:
    logged = len(web.process.text())
    refused = b"POST /api/battles HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 5000\r\n\r\n"
    with dial(web) as line:
        heard = dribble(line, refused, b" ")
    assert heard.startswith(b"HTTP/1.1 400")
    assert heard.count(b"HTTP/1.1") == 1, "one request, one answer"
    assert "Traceback" not in web.process.text()[logged:]
