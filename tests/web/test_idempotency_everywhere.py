"""Every POST takes an Idempotency-Key, without exception: it is replayed, refused, or told to come back."""

from __future__ import annotations

import re
import threading
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask, Response
from flask.testing import FlaskClient
from pydantic import SecretStr

from web.settings import WebSettings

ADMIN = "an operator's key, for tests only"


@pytest.fixture
def settings(settings: WebSettings) -> WebSettings:
    return settings.model_copy(update={"admin_key": SecretStr(ADMIN)})


def posts(app: Flask) -> Iterator[tuple[str, str]]:
    """Every route that takes POST: its endpoint, and an address of that form."""
    for rule in app.url_map.iter_rules():
        if "POST" in (rule.methods or ()):
            yield rule.endpoint, re.sub(r"<int:[^>]*>", "1", re.sub(r"<[^:>]*>", "abcdefgh", rule.rule))


def test_every_post_is_answered_again_and_not_done_again(app: Flask, client: FlaskClient) -> None:
    """Whatever a view does and whoever may ask: it is stood in for, so that its door alone is looked at."""
    found = list(posts(app))
    assert len(found) > 25
    for endpoint, path in found:
        done: list[str] = []
        inside: list[Any] = []
        key = {"Idempotency-Key": str(uuid.uuid4()), "Authorization": f"Bearer {ADMIN}"}

        def send(body: Any, path: str = path, key: dict[str, str] = key) -> Any:
            return client.post(path, json=body, headers=key)

        def deed(done: list[str] = done, inside: list[Any] = inside, send: Any = send, **_: Any) -> Response:
            done.append("done")
            if len(done) == 1:
                twin = threading.Thread(target=lambda: inside.append(send({"n": 1})))  # with a context of its own
                twin.start()
                twin.join()
            return Response('{"done": true}', 201, content_type="application/json")

        app.view_functions[endpoint] = deed
        first, again, other = send({"n": 1}), send({"n": 1}), send({"n": 2})
        told = (path, first.status_code, first.text[:200])
        assert first.status_code == 201, told
        assert code(inside[0]) == (409, "idempotency_in_flight"), told
        assert inside[0].headers.get("Retry-After") == "1", told
        assert (again.status_code, again.data, again.headers.get("Idempotency-Replayed")) == (
            201,
            first.data,
            "true",
        ), told
        assert code(other) == (422, "idempotency_mismatch"), told
        assert done == ["done"], told


def code(reply: Any) -> tuple[int, str]:
    """Under ``/v1`` refusals have OpenAI's form."""
    body = reply.get_json(force=True)
    return reply.status_code, body["error"]["code"] if "error" in body else body["code"]
