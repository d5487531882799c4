"""Whoever still watches a battle that its owner deletes, through a real web process."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from ops.client import Client
from tests.sockets import Web, close_code, receive, subscribe, web_process
from tests.web import helpers
from worker.contract import channel
from worker.contract import events as ev


@pytest.fixture(scope="module")
def web(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    with web_process(redis_url, Path(tmp_path_factory.mktemp("web"))) as made:
        yield made


def test_every_page_that_shows_a_deleted_battle_is_told_that_it_is_gone(web: Web, redis_client: redis.Redis) -> None:
    helpers.report_worker(redis_client)
    client = Client(web.url)
    battle = client.start("A private question?")
    socket = client.connect()
    subscribe(socket, battle)
    receive(socket, "snapshot")
    cookie = "; ".join(f"{c.name}={c.value}" for c in client.cookies)
    request = urllib.request.Request(f"{web.url}/api/battles/{battle}/events", headers={"Cookie": cookie})
    with urllib.request.urlopen(request, timeout=20) as stream:
        while b"snapshot" not in stream.readline():
            pass
        channel.publish(redis_client, battle, [ev.SideDelta("a", "a private answer")], 1)
        assert client.request("DELETE", f"/api/battles/{battle}") is None
        assert receive(socket, "error")["code"] == "unknown_battle"
        assert close_code(socket) == ev.CloseCode.UNKNOWN
        assert stream.read() is not None, "the stream ends by itself"
    everything = b"".join(redis_client.dump(key) or b"" for key in redis_client.keys(f"*{battle}*"))
    assert b"private" not in everything
    socket.shutdown()
    assert "Traceback" not in web.process.text()
