"""Keys that the database knows, and clients that use them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
from flask import Flask
from flask.testing import FlaskClient

from tests.web.admin.worker import Stub
from web.admin import keys
from web.context import Arena


class Bearer:
    """A program with a key and no cookies. ``id``: the key's."""

    def __init__(self, app: Flask, token: str) -> None:
        self.token = token
        self.id = token.split("_")[1]
        self._client = app.test_client(use_cookies=False)

    def get(self, path: str, **more: Any) -> Any:
        return self._client.get(path, headers={"Authorization": f"Bearer {self.token}"}, **more)

    def post(self, path: str, **more: Any) -> Any:
        return self._client.post(path, headers={"Authorization": f"Bearer {self.token}"}, **more)


@pytest.fixture
def make_key(app: Flask, arena: Arena) -> Callable[..., Bearer]:
    def go(*scopes: str, **limits: int) -> Bearer:
        _, token = arena.db.write(lambda s: keys.create(s, "a program", scopes, limits))
        return Bearer(app, token)

    return go


@pytest.fixture
def admin(make_key: Callable[..., Bearer]) -> Bearer:
    return make_key("admin")


@pytest.fixture
def browser(app: Flask, admin: Bearer) -> FlaskClient:
    """An operator's browser, signed in with ``admin``'s key."""
    client = app.test_client()
    assert client.post("/api/admin/session", json={"key": admin.token}).status_code == 201
    return client


@pytest.fixture
def stub(redis_client: redis.Redis) -> Iterator[Callable[..., Stub]]:
    """Workers that answer as told."""
    made: list[Stub] = []

    def go(name: str = "w1", **answers: Any) -> Stub:
        made.append(Stub(redis_client, name, answers))
        return made[-1]

    yield go
    for one in made:
        one.stop()
