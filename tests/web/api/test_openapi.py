"""The document: every endpoint is in it, with examples that are true to their schemas and every code it can answer."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from apiflask import APIFlask
from flask import Flask
from flask.testing import FlaskClient
from jsonschema_rs import Draft202012Validator

from tests.web.helpers import MODELS
from web.openapi.catalogue import every_problem
from web.openapi.declare import declared
from web.openapi.general import ELSEWHERE, EVERYWHERE

NOT_REST = ("/ws", "/static/<path:filename>", "/openapi.json")
PAGES = ("pages", "docs")
METHODS = {"GET", "POST", "PUT", "PATCH", "DELETE"}


@pytest.fixture
def spec(client: FlaskClient) -> dict[str, Any]:
    found: dict[str, Any] = client.get("/openapi.json").get_json()
    return found


def operations(spec: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in spec["paths"].items():
        for method, operation in methods.items():
            if method.upper() in METHODS:
                yield f"{method.upper()} {path}", operation


def test_every_endpoint_is_in_the_document(app: Flask, spec: dict[str, Any]) -> None:
    told = {name for name, _ in operations(spec)}
    missing = []
    for rule in app.url_map.iter_rules():
        if rule.rule in NOT_REST or rule.endpoint.split(".")[0] in PAGES:
            continue
        path = re.sub(r"<([^<:]+:)?", "{", rule.rule).replace(">", "}")
        missing += [f"{m} {path}" for m in METHODS & (rule.methods or set()) if f"{m} {path}" not in told]
    assert missing == []
    assert "/ws" not in spec["paths"]
    assert spec["openapi"].startswith("3.1")


def test_every_operation_says_what_it_is_for(spec: dict[str, Any]) -> None:
    tags = {tag["name"]: tag["description"] for tag in spec["tags"]}
    assert len(tags) == len(spec["tags"])
    for name, operation in operations(spec):
        assert 3 < len(operation["summary"]) <= 120, name
        assert set(operation["tags"]) <= set(tags), name
        assert operation["operationId"], name
        assert "security" in operation, name
    ids = [operation["operationId"] for _, operation in operations(spec)]
    assert len(ids) == len(set(ids))


def test_what_goes_in_and_out_has_a_form_and_an_example(spec: dict[str, Any]) -> None:
    for name, operation in operations(spec):
        bodies = [("request", operation["requestBody"])] if "requestBody" in operation else []
        for place, body in [*bodies, *operation["responses"].items()]:
            assert place == "request" or body["description"], (name, place)
            for media_type, content in body.get("content", {}).items():
                assert content["schema"], (name, place)
                if media_type not in ("text/event-stream", "text/plain") or place == "request":
                    assert "example" in content or content["examples"], (name, place, media_type)


def test_every_example_is_of_its_form(spec: dict[str, Any]) -> None:
    for name, operation in operations(spec):
        for body in [operation.get("requestBody", {}), *operation["responses"].values()]:
            for content in body.get("content", {}).values():
                check = Draft202012Validator({"components": spec["components"], **content["schema"]})
                given = [e["value"] for e in content.get("examples", {}).values()]
                for example in [*given, *([content["example"]] if "example" in content else [])]:
                    errors = [e.message for e in check.iter_errors(example)]
                    assert errors == [], (name, example)


def test_every_code_is_said_of_an_endpoint_or_of_all(app: Flask, spec: dict[str, Any]) -> None:
    said = {*EVERYWHERE, *ELSEWHERE}
    for view in app.view_functions.values():
        said |= {kind.code for kind in declared(view).problems}
    for _, operation in operations(spec):
        for status, response in operation["responses"].items():
            if status[0] in "45":
                for content in response["content"].values():
                    said |= set(content["examples"])
    assert {k.code for k in every_problem()} - said == set()
    assert {p["code"] for p in spec["x-problems"]} == {k.code for k in every_problem()}


def test_refusals_are_problems_and_under_v1_openai_errors(spec: dict[str, Any]) -> None:
    for name, operation in operations(spec):
        for status, response in operation["responses"].items():
            if status[0] in "45":
                media_type = "application/json" if " /v1/" in name else "application/problem+json"
                assert list(response["content"]) == [media_type], (name, status)


def test_a_write_says_who_may_and_that_it_can_be_repeated(spec: dict[str, Any]) -> None:
    vote = spec["paths"]["/api/battles/{battle_id}/vote"]["post"]
    assert vote["requestBody"]["required"] is True
    assert {"201", "400", "401", "403", "404", "409", "413", "422", "429", "503"} <= set(vote["responses"])
    assert {"session": []} in vote["security"]
    assert "Idempotency-Key" in {p["name"] for p in vote["parameters"]}
    assert set(vote["responses"]["409"]["content"]["application/problem+json"]["examples"]) >= {
        "not_votable",
        "already_voted",
        "idempotency_in_flight",
    }
    assert {"Retry-After", "RateLimit-Limit"} <= set(vote["responses"]["429"]["headers"])


def test_keys_and_their_scopes_are_told(spec: dict[str, Any]) -> None:
    schemes = spec["components"]["securitySchemes"]
    assert schemes["session"]["in"] == "cookie"
    assert schemes["key"]["scheme"] == "bearer"
    assert spec["paths"]["/api/batches"]["post"]["security"] == [{"key": ["battle"]}]


def test_the_host_that_asked_first_is_not_in_the_document(app: APIFlask) -> None:
    reply = app.test_client().get("/openapi.json", headers={"Host": "evil.example"})
    assert "evil.example" not in reply.text
    assert reply.get_json()["servers"] == [{"url": "/"}]


def test_the_catalogue_is_public(client: FlaskClient) -> None:
    models = client.get("/api/models").get_json()["models"]
    assert [m["id"] for m in models] == list(MODELS)
    assert {"id", "name", "maker", "licence"} <= set(models[0])


def test_the_board_is_empty_before_the_first_vote(client: FlaskClient) -> None:
    empty = {"category": "overall", "categories": ["overall"], "votes": 0, "models": [], "updated_at": None,
             "honesty": None}  # fmt: skip
    assert client.get("/api/leaderboard").get_json() == empty
