from __future__ import annotations

from types import SimpleNamespace

import pytest
import redis
from flask.testing import FlaskClient
from pydantic import SecretStr

from tests.web.helpers import MODELS, report_worker
from web.records.alive import beat
from web.settings import WebSettings


@pytest.fixture
def settings(settings: WebSettings) -> WebSettings:
    return settings.model_copy(update={"private_port": 5999, "admin_key": SecretStr("let-me-in")})


def arriving_on(port: int) -> dict[str, object]:
    return {"gunicorn.socket": SimpleNamespace(getsockname=lambda: ("127.0.0.1", port))}


def test_health_tells_the_public_nothing_of_what_is_loaded(client: FlaskClient, worker: None) -> None:
    assert client.get("/health").get_json() == {"status": "healthy", "available_models": list(MODELS)}


@pytest.mark.parametrize(
    ("headers", "port", "told"),
    [
        ({"Authorization": "Bearer let-me-in"}, 80, True),
        ({"Authorization": "Bearer let-me-on"}, 80, False),
        ({"Authorization": "Basic let-me-in"}, 80, False),
        ({"Authorization": "Bearer \u00fc"}, 80, False),
        ({}, 5999, True),
        ({"Host": "arena.example:5999"}, 80, False),
    ],
)
def test_loaded_models_need_the_key_or_the_private_listener(
    client: FlaskClient, worker: None, headers: dict[str, str], port: int, told: bool
) -> None:
    body = client.get("/health", headers=headers, environ_overrides=arriving_on(port)).get_json()
    assert body.get("loaded_models") == (sorted(MODELS[:2]) if told else None)


def test_ready_names_everything_that_is_missing(client: FlaskClient) -> None:
    reply = client.get("/ready")
    body = reply.get_json(force=True)
    assert (reply.status_code, body["code"], reply.content_type) == (503, "not_ready", "application/problem+json")
    assert body["reasons"] == ["The records worker is not running.", "No model worker accepts battles yet."]


def test_ready_once_a_battle_could_be_begun(client: FlaskClient, redis_client: redis.Redis) -> None:
    beat(redis_client)
    report_worker(redis_client, accepting=False)
    assert client.get("/ready").status_code == 503
    report_worker(redis_client)
    reply = client.get("/ready")
    assert (reply.status_code, reply.get_json()) == (200, {"status": "ready"})


def test_an_unmigrated_database_is_not_ready(
    client: FlaskClient, redis_client: redis.Redis, settings: WebSettings
) -> None:
    from web.migrate import downgrade

    beat(redis_client)
    report_worker(redis_client)
    downgrade(settings.database, "base")
    assert client.get("/ready").get_json(force=True)["reasons"] == ["The database has not been migrated."]
