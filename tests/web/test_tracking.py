"""Every request has an id that can be followed, and one line that tells nothing about anybody."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from ipaddress import ip_network
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.web import helpers
from web.settings import WebSettings

CANARY = "canary-19ae"


@pytest.fixture
def settings(settings: WebSettings) -> WebSettings:
    return settings.model_copy(update={"trusted_proxies": (ip_network("10.0.0.0/8"),)})


def lines(caplog: pytest.LogCaptureFixture) -> list[dict[str, Any]]:
    return [r.fields for r in caplog.records if r.name == "web.access"]  # type: ignore[attr-defined]


def test_a_request_gets_an_id_of_its_own(client: FlaskClient) -> None:
    ids = {client.get("/health").headers["X-Request-Id"] for _ in range(3)}
    assert len(ids) == 3
    assert all(re.fullmatch(r"[0-9a-f]{16}", each) for each in ids)


def test_a_proxy_of_ours_may_give_the_id_and_nobody_else(client: FlaskClient) -> None:
    given = {"X-Request-Id": "proxy-given.0001"}

    def heard(address: str, headers: dict[str, str] = given) -> str:
        return client.get("/health", headers=headers, environ_base={"REMOTE_ADDR": address}).headers["X-Request-Id"]

    assert heard("10.1.2.3") == "proxy-given.0001"
    assert heard("192.0.2.7") != "proxy-given.0001"
    assert heard("10.1.2.3", {"X-Request-Id": f'"{CANARY} x"'}) != f'"{CANARY} x"'


def test_refusals_have_an_id_too(client: FlaskClient) -> None:
    for path in ("/nowhere", "/api/battles/unknown-battle"):
        assert client.get(path).headers["X-Request-Id"]


def test_the_access_line_has_the_route_and_nothing_that_was_typed(
    client: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    client.get(f"/api/models?q={CANARY}", headers={"Referer": CANARY, "User-Agent": CANARY})
    client.get(f"/{CANARY}")
    client.get("/api/battles/unknown-battle")
    for line in lines(caplog):
        assert line.pop("ms") >= 0
    assert lines(caplog) == [
        {"method": "GET", "route": "/api/models", "status": 200, "code": None},
        {"method": "GET", "route": "none", "status": 404, "code": "not_found"},
        {"method": "GET", "route": "/api/battles/<battle_id>", "status": 404, "code": "unknown_battle"},
    ]
    assert CANARY not in caplog.text
    assert "127.0.0.1" not in caplog.text


def test_machines_that_ask_all_the_time_are_heard_at_debug_only(
    client: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    client.get("/health")
    assert lines(caplog) == []


def test_the_id_travels_with_the_job(client: FlaskClient, begin: Callable[..., str], redis_client: Any) -> None:
    given = {"X-Request-Id": "proxy-given.0002"}
    helpers.report_worker(redis_client)
    reply = client.post(
        "/api/battles", json={"prompt": "why?"}, headers=given, environ_base={"REMOTE_ADDR": "10.1.2.3"}
    )
    assert reply.status_code == 202
    (message,) = helpers.queued(redis_client)
    assert message["headers"]["arena_request"] == "proxy-given.0002"
    assert "traceparent" not in message["headers"]
