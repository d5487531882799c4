"""Open battles once more on PostgreSQL, where two transactions at the same moment do not see each other."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.postgres import postgres_url  # noqa: F401
from web.migrate import upgrade
from web.security import COOKIE
from web.settings import WebSettings

pytestmark = pytest.mark.postgres


@pytest.fixture
def settings(settings: WebSettings, postgres_url: str) -> WebSettings:  # noqa: F811
    upgrade(postgres_url)
    off = {n: 0 for n in WebSettings.model_fields if n.startswith(("prompts_per", "requests_per"))}
    return settings.model_copy(update={"database_url": postgres_url, "limits": "on", "open_battles": 3, **off})


def test_of_forty_at_the_same_moment_three_are_opened(app: Flask, client: FlaskClient, worker: None) -> None:
    client.get("/")
    cookie = client.get_cookie(COOKIE)
    assert cookie is not None

    def begin(_: int) -> int:
        with app.test_client() as mine:
            mine.set_cookie(COOKIE, cookie.value)
            return mine.post("/api/battles", json={"prompt": "Why?"}).status_code

    with ThreadPoolExecutor(10) as pool:
        statuses = list(pool.map(begin, range(40)))
    assert (statuses.count(202), statuses.count(429)) == (3, 37)
