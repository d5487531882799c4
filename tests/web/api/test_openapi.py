from __future__ import annotations

from flask.testing import FlaskClient

from tests.web.helpers import MODELS


def test_the_document_says_what_the_server_does(client: FlaskClient) -> None:
    spec = client.get("/openapi.json").get_json()
    assert set(spec["paths"]) >= {
        "/api/battles",
        "/api/battles/{battle_id}",
        "/api/battles/{battle_id}/vote",
        "/api/battles/{battle_id}/cancel",
        "/api/leaderboard",
        "/api/models",
        "/health",
        "/ready",
    }
    assert "/ws" not in spec["paths"]
    vote = spec["paths"]["/api/battles/{battle_id}/vote"]["post"]
    assert vote["requestBody"]["required"] is True
    assert {"201", "400", "404", "409", "422"} <= set(vote["responses"])
    for status, response in vote["responses"].items():
        if status[0] in "45":
            assert list(response["content"]) == ["application/problem+json"]


def test_the_catalogue_is_public(client: FlaskClient) -> None:
    models = client.get("/api/models").get_json()["models"]
    assert [m["id"] for m in models] == list(MODELS)
    assert {"id", "name", "maker", "licence"} <= set(models[0])


def test_the_board_is_empty_before_the_first_vote(client: FlaskClient) -> None:
    empty = {"category": "overall", "categories": ["overall"], "votes": 0, "models": [], "updated_at": None}
    assert client.get("/api/leaderboard").get_json() == empty
