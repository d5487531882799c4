from __future__ import annotations

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy.exc import OperationalError


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("get", "/api/nothing", 404, "not_found"),
        ("delete", "/api/leaderboard", 405, "method_not_allowed"),
        ("post", "/health", 405, "method_not_allowed"),
        ("get", "/ws", 400, "bad_request"),
    ],
)
def test_flasks_own_refusals_are_problems_too(
    client: FlaskClient, method: str, path: str, status: int, code: str
) -> None:
    reply = getattr(client, method)(path)
    body = reply.get_json(force=True)
    assert (reply.status_code, body["status"], body["code"]) == (status, status, code)
    assert reply.content_type == "application/problem+json"
    assert body["type"] == f"urn:llm-arena:problem:{code}"
    assert {"title", "detail"} <= set(body)


def test_405_says_what_is_allowed(client: FlaskClient) -> None:
    assert "GET" in client.delete("/api/leaderboard").headers["Allow"]


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (RuntimeError("secret words"), 500, "internal"),
        (OperationalError("secret words", None, Exception("secret words")), 503, "storage_unavailable"),
    ],
)
def test_what_breaks_inside_is_not_told(
    app: Flask, client: FlaskClient, monkeypatch: pytest.MonkeyPatch, error: Exception, status: int, code: str
) -> None:
    def broken() -> None:
        raise error

    monkeypatch.setitem(app.view_functions, "leaderboard.leaderboard", broken)
    reply = client.get("/api/leaderboard")
    assert (reply.status_code, reply.get_json(force=True)["code"]) == (status, code)
    assert "secret" not in reply.text
    assert "Traceback" not in reply.text


def test_a_person_gets_a_page_and_a_program_a_problem(client: FlaskClient) -> None:
    page = client.get("/nothing-here", headers={"Accept": "text/html"})
    assert page.status_code == 404
    program = client.get("/nothing-here", headers={"Accept": "application/json"})
    assert (program.status_code, program.content_type) == (404, "application/problem+json")
