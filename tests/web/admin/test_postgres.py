"""Rulings, keys and the log once more on PostgreSQL, where locks, counts and sizes of numbers are others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from flask.testing import FlaskClient

from tests.postgres import postgres_url  # noqa: F401
from tests.web.admin.conftest import Bearer
from tests.web.helpers import MODELS
from web.migrate import upgrade
from web.settings import WebSettings

pytestmark = pytest.mark.postgres
WHY = {"reason": "a good reason"}


@pytest.fixture
def settings(settings: WebSettings, postgres_url: str) -> WebSettings:  # noqa: F811
    upgrade(postgres_url)
    return settings.model_copy(update={"database_url": postgres_url})


def test_an_operators_day(
    admin: Bearer, client: FlaskClient, begin: Callable[..., str], finish: Callable[..., Any]
) -> None:
    def vote() -> None:
        battle = begin()
        finish(battle)
        assert client.post(f"/api/battles/{battle}/vote", json={"winner": "b"}).status_code == 201

    def ruled(path: str) -> Any:
        reply = admin.post(f"/api/admin/{path}", json=WHY)
        assert reply.status_code in (200, 202), reply.text
        return reply.get_json()

    vote()
    (cast,) = admin.get("/api/admin/votes").get_json()["votes"]
    assert ruled(f"votes/{cast['id']}/flag")["counted"] is False
    assert ruled(f"sessions/{cast['owner']}/quarantine")["votes"] == 1
    vote()
    (person,) = admin.get("/api/admin/sessions").get_json()["sessions"]
    assert (person["votes"], person["counted"], person["reason"]) == (2, 0, "a good reason")
    assert ruled(f"sessions/{cast['owner']}/release")["votes"] == 1
    assert ruled(f"votes/{cast['id']}/unflag")["counted"] is True
    assert ruled(f"models/{MODELS[0]}/disable")["takes_part"] is False
    assert ruled(f"battles/{begin()}/cancel")["state"] == "cancelled"
    actions = [line["action"] for line in admin.get("/api/admin/audit").get_json()["lines"]]
    assert actions == [
        "battle.cancel",
        "model.disable",
        "vote.unflag",
        "session.release",
        "session.quarantine",
        "vote.flag",
        "key.create",
    ]
    for path in (f"votes/{2**31 - 1}/flag", f"votes/{2**70}/flag", f"sessions/{'0' * 64}/release"):
        assert admin.post(f"/api/admin/{path}", json=WHY).status_code == 404
    assert admin.get(f"/api/admin/audit?cursor={'9' * 18}.").status_code == 200
