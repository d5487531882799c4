"""What ``/metrics`` tells, and whom."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families
from pydantic import SecretStr

from tests.web import helpers
from web.context import Arena
from web.metrics import metrics_of
from web.settings import WebSettings

ADMIN = {"Authorization": "Bearer the-admin-key"}
Series = dict[tuple[str, tuple[tuple[str, str], ...]], float]


@pytest.fixture
def settings(settings: WebSettings) -> WebSettings:
    return settings.model_copy(update={"admin_key": SecretStr("the-admin-key"), "private_port": 8000})


def scraped(client: FlaskClient) -> Series:
    reply = client.get("/metrics", headers=ADMIN)
    assert reply.status_code == 200, reply.text
    families = text_string_to_metric_families(reply.text)
    return {(s.name, tuple(sorted(s.labels.items()))): s.value for family in families for s in family.samples}


def value(series: Series, name: str, **labels: str) -> float:
    return series[name, tuple(sorted(labels.items()))]


class _Accepted:
    """A socket that came in by the private port."""

    def getsockname(self) -> tuple[str, int]:
        return "127.0.0.1", 8000


def test_it_needs_the_admin_key_or_the_private_listener(client: FlaskClient) -> None:
    refused = client.get("/metrics")
    assert (refused.status_code, refused.get_json()["code"]) == (401, "key_needed")
    assert client.get("/metrics", headers={"Authorization": "Bearer wrong"}).status_code == 401
    assert client.get("/metrics", headers=ADMIN).status_code == 200
    assert client.get("/metrics", environ_overrides={"gunicorn.socket": _Accepted()}).status_code == 200


def test_requests_are_counted_by_route_and_not_by_path(client: FlaskClient) -> None:
    for battle in ("one-battle", "other-battle"):
        client.get(f"/api/battles/{battle}")
    client.get("/nowhere-at-all")
    series = scraped(client)
    route = "/api/battles/<battle_id>"
    assert value(series, "arena_http_requests_total", method="GET", route=route, status="404") == 2
    assert value(series, "arena_http_requests_total", method="GET", route="none", status="404") == 1
    assert value(series, "arena_http_request_seconds_count", method="GET", route=route) == 2
    assert value(series, "arena_refusals_total", code="unknown_battle") == 2


def test_an_odd_method_makes_no_series_of_its_own(client: FlaskClient) -> None:
    client.open("/health", method="BREW")
    assert value(scraped(client), "arena_http_requests_total", method="other", route="none", status="405") == 1


def test_battles_their_endings_and_votes_are_counted(
    client: FlaskClient, begin: Callable[..., str], finish: Callable[..., Any], records: Any
) -> None:
    done, lost = begin(), begin()
    records.finished(finish(done))  # once more, as after a records worker that died before it could say so
    records.failed(f"{lost}.1")
    vote = {"winner": "tie"}
    for _ in range(2):
        client.post(f"/api/battles/{done}/vote", json=vote)
    series = scraped(client)
    assert value(series, "arena_turns_begun_total") == 2
    assert value(series, "arena_turns_ended_total", state="finished") == 1
    assert value(series, "arena_turns_ended_total", state="failed") == 1
    assert value(series, "arena_votes_total", winner="tie") == 1
    assert value(series, "arena_votes_total", winner="a") == 0


def test_workers_are_summed_and_models_are_not_named(client: FlaskClient, redis_client: Any, arena: Arena) -> None:
    helpers.report_worker(redis_client, "w1", running=2, waiting=3)
    helpers.report_worker(redis_client, "w2", running=1, waiting=0, accepting=False)
    client.get("/api/models")
    text = client.get("/metrics", headers=ADMIN).text
    series = scraped(client)
    assert value(series, "arena_workers", accepting="yes") == 1
    assert value(series, "arena_workers", accepting="no") == 1
    assert value(series, "arena_workers_battles", state="running") == 3
    assert value(series, "arena_workers_battles", state="waiting") == 3
    assert value(series, "arena_workers_queue_bound") == 100
    assert value(series, "arena_queue_messages", queue="battles") == 0
    assert not [model for model in arena.catalog.ids if model in text]


def test_connections_are_gauged(app: Flask, client: FlaskClient) -> None:
    metrics_of(app).lines(5, 2)
    series = scraped(client)
    assert value(series, "arena_connections", kind="websocket") == 3
    assert value(series, "arena_connections", kind="event_stream") == 2


def test_without_redis_it_says_so_and_tells_the_rest(
    client: FlaskClient, app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = helpers.unreachable_redis()
    monkeypatch.setattr(metrics_of(app), "_redis", gone)
    series = scraped(client)
    assert value(series, "arena_redis_up") == 0
    assert value(series, "arena_turns_begun_total") == 0
    gone.close()
