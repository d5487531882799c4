"""The event stream and the ticket without a server: what they refuse, and what the document says of them.

How streams behave on the wire is in ``tests/integration/test_events.py``.
"""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
from flask import Flask
from flask.testing import FlaskClient


def test_the_document_knows_both(client: FlaskClient) -> None:
    paths = client.get("/openapi.json").get_json()["paths"]
    stream = paths["/api/battles/{battle_id}/events"]["get"]["responses"]
    assert list(stream["200"]["content"]) == ["text/event-stream"]
    for status in ("403", "404", "429", "503"):
        assert list(stream[status]["content"]) == ["application/problem+json"]
    assert "201" in paths["/api/battles/{battle_id}/ticket"]["post"]["responses"]


@pytest.mark.parametrize(("method", "path"), [("GET", "events"), ("POST", "ticket")])
def test_both_are_for_the_owner_only(app: Flask, begin: Callable[..., str], method: str, path: str) -> None:
    battle = begin()
    stranger = app.test_client()
    stranger.get("/")
    for url in (f"/api/battles/{battle}/{path}", f"/api/battles/no-such-battle/{path}"):
        reply = stranger.open(url, method=method)
        assert (reply.status_code, reply.get_json(force=True)["code"]) == (404, "unknown_battle")


@pytest.mark.parametrize(("method", "path"), [("GET", "events"), ("POST", "ticket")])
def test_neither_is_for_pages_of_another_site(
    client: FlaskClient, begin: Callable[..., str], method: str, path: str
) -> None:
    reply = client.open(f"/api/battles/{begin()}/{path}", method=method, headers={"Origin": "https://evil.example"})
    assert (reply.status_code, reply.get_json(force=True)["code"]) == (403, "cross_origin")


def test_a_stream_that_nobody_reads_is_let_go(client: FlaskClient, app: Flask, begin: Callable[..., str]) -> None:
    house = app.extensions["arena_live"]
    reply = client.get(f"/api/battles/{begin()}/events", buffered=False)
    assert (reply.status_code, reply.mimetype, len(house)) == (200, "text/event-stream", 1)
    reply.close()
    assert len(house) == 0


def test_who_comes_while_the_process_goes_away_is_told_to_come_back(
    client: FlaskClient, app: Flask, begin: Callable[..., str]
) -> None:
    """A refusal would be an end; what it says is when to come back."""
    battle = begin()
    app.extensions["arena_live"].shutdown()
    reply = client.get(f"/api/battles/{battle}/events")
    said = json.loads(reply.text.partition("data: ")[2])
    assert (reply.status_code, said["type"], said["reconnect_after_ms"] > 0) == (200, "bye", True)
    assert len(app.extensions["arena_live"]) == 0
