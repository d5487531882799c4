"""Who is counted for what, and what they are told."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import redis
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.redis_server import redis_binary
from tests.web import helpers
from tests.web.helpers import report_worker
from web.access import digest
from web.context import Arena
from web.limits.rules import PROMPTS, UNCOUNTED, VOTES
from web.models import ApiKey
from web.settings import WebSettings

Made = Callable[..., Flask]
EMPTY = {"prompt": ""}
"""Refused, but an attempt: it is counted."""


@pytest.fixture
def make(settings: WebSettings) -> Iterator[Made]:
    """An app with these limits; all others are off."""
    with ExitStack() as made:
        off = {n: 0 for n in WebSettings.model_fields if n.startswith(("prompts_per", "votes_per", "requests_per"))}

        def _make(**limits: Any) -> Flask:
            changed = settings.model_copy(update={"limits": "on", "open_battles": 0, **off, **limits})
            return made.enter_context(helpers.running(changed))

        yield _make


def ask(client: FlaskClient, address: str = "192.0.2.1", **more: Any) -> TestResponse:
    return client.post("/api/battles", json=EMPTY, environ_base={"REMOTE_ADDR": address}, **more)


def statuses(replies: list[TestResponse]) -> list[int]:
    return [r.status_code for r in replies]


def with_session(app: Flask) -> FlaskClient:
    """A browser that has its cookie."""
    client = app.test_client()
    assert client.get("/", environ_base={"REMOTE_ADDR": "198.51.100.77"}).status_code == 200
    return client


def key_of(app: Flask, **limits: int) -> dict[str, str]:
    """The header of a new key that may begin battles."""
    secret = "arena_program0_" + "s" * 43
    arena: Arena = app.extensions["arena"]
    row = ApiKey(id="program0", name="p", digest=digest(secret), scopes=["battle"], limits=limits)
    arena.db.write(lambda s: s.add(row))
    return {"Authorization": f"Bearer {secret}"}


def test_one_prompt_too_many_is_refused_and_told_when_to_come_back(make: Made) -> None:
    client = with_session(make(prompts_per_minute=3))
    assert statuses([ask(client) for _ in range(3)]) == [422, 422, 422]
    reply = ask(client)
    problem = reply.get_json(force=True)
    assert (reply.status_code, problem["code"], problem["limit"]) == (429, "rate_limited", "prompts_per_minute")
    assert reply.content_type == "application/problem+json"
    assert 60 <= int(reply.headers["Retry-After"]) <= 120, "none leaves a full window before it ends"
    assert "3 prompts a minute" in problem["detail"]


def test_every_reply_says_where_its_client_stands(make: Made) -> None:
    client = with_session(make(prompts_per_minute=3, prompts_per_day=100))
    first, second = ask(client).headers, ask(client).headers
    assert (first["RateLimit-Limit"], first["RateLimit-Remaining"]) == ("3", "2")
    assert (second["RateLimit-Limit"], second["RateLimit-Remaining"]) == ("3", "1")
    assert 0 < int(second["RateLimit-Reset"]) <= 60
    assert set(second["RateLimit-Policy"].split(", ")) == {"3;w=60", "100;w=86400"}


def test_the_tighter_limit_wins_whichever_it_is(make: Made) -> None:
    client = with_session(make(prompts_per_minute=50, prompts_per_day=2))
    assert statuses([ask(client) for _ in range(3)]) == [422, 422, 429]
    assert ask(client).get_json(force=True)["limit"] == "prompts_per_day"


def test_sessions_are_counted_apart_and_their_address_together(make: Made) -> None:
    app = make(prompts_per_minute=2, prompts_per_minute_per_address=3)
    one, other = with_session(app), with_session(app)
    assert statuses([ask(one), ask(one), ask(one)]) == [422, 422, 429]
    assert ask(other).status_code == 422
    assert ask(other).get_json(force=True)["limit"] == "prompts_per_minute_per_address"
    assert ask(with_session(app), "203.0.113.5").status_code == 422, "elsewhere nobody was counted"


def test_who_throws_the_cookie_away_is_still_one_address(make: Made) -> None:
    app = make(prompts_per_minute_per_address=2)
    assert statuses([ask(app.test_client()) for _ in range(3)]) == [422, 422, 429]


@pytest.mark.parametrize(
    ("one", "other", "together"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("::ffff:192.0.2.7", "192.0.2.7", True),
    ],
)
def test_an_ipv6_visitor_is_a_whole_64(make: Made, one: str, other: str, together: bool) -> None:
    app = make(prompts_per_minute_per_address=1)
    ask(app.test_client(), one)
    assert ask(app.test_client(), other).status_code == (429 if together else 422)


def test_an_address_that_somebody_claims_for_himself_does_not_count(make: Made) -> None:
    app = make(prompts_per_minute_per_address=1)
    claims = [{"X-Forwarded-For": f"203.0.113.{n}"} for n in range(3)]
    assert statuses([ask(app.test_client(), headers=c) for c in claims]) == [422, 429, 429]


def test_a_trusted_proxys_visitors_are_counted_apart(make: Made, settings: WebSettings) -> None:
    proxied = WebSettings(trusted_proxies="10.0.0.0/8")  # type: ignore[arg-type]
    app = make(prompts_per_minute_per_address=1, trusted_proxies=proxied.trusted_proxies)
    claims = [{"X-Forwarded-For": f"203.0.113.{n}"} for n in (1, 2, 1)]
    assert statuses([ask(app.test_client(), "10.0.0.9", headers=c) for c in claims]) == [422, 422, 429]


def test_a_key_has_numbers_of_its_own_and_no_address(make: Made) -> None:
    app = make(prompts_per_minute=1, prompts_per_minute_per_address=1)
    header = key_of(app, prompts_per_minute=3)
    assert statuses([ask(app.test_client(), headers=header) for _ in range(4)]) == [422, 422, 422, 429]
    assert ask(app.test_client()).status_code == 422, "its prompts were not counted for the address"


def test_zero_is_no_limit_also_for_a_key(make: Made) -> None:
    app = make(prompts_per_minute=1)
    header = key_of(app, prompts_per_minute=0)
    assert 429 not in statuses([ask(app.test_client(), headers=header) for _ in range(5)])


def test_requests_of_any_kind_are_counted_but_not_what_pages_and_balancers_fetch(make: Made) -> None:
    client = make(requests_per_minute=2).test_client()
    paths = ["/health", "/static/manifest.json", "/about", "/nowhere", "/health", "/nowhere"]
    refused = []
    for path in paths:
        with client.get(path) as reply:
            refused.append(reply.status_code == 429)
    assert refused == [False] * 5 + [True]


def test_who_guesses_keys_is_counted(make: Made) -> None:
    client = make(requests_per_minute=3).test_client()
    guesses = [client.get("/health", headers={"Authorization": "Bearer arena_x_y"})]
    guesses += [client.get("/api/models", headers={"Authorization": f"Bearer arena_x_{n}"}) for n in range(4)]
    assert guesses[-1].status_code == 429


def test_what_another_site_sends_uses_up_nothing(make: Made) -> None:
    client = with_session(make(prompts_per_minute=1))
    evil = {"Origin": "https://evil.example"}
    assert statuses([ask(client, headers=evil) for _ in range(3)]) == [403] * 3
    assert ask(client).status_code == 422


def test_votes_are_limited_by_the_day(make: Made) -> None:
    client = with_session(make(votes_per_day=1))
    replies = [client.post("/api/battles/xxxxxxxx/vote", json={"winner": "a"}) for _ in range(2)]
    assert statuses(replies) == [404, 429]
    assert replies[1].get_json(force=True)["limit"] == "votes_per_day"


def test_every_route_a_limit_names_exists(make: Made) -> None:
    routes = {rule.rule for rule in make().url_map.iter_rules()}
    assert (PROMPTS | VOTES | UNCOUNTED) - routes == set()


def test_off_is_off(make: Made) -> None:
    client = make(limits="off", requests_per_minute=1).test_client()
    assert statuses([client.get("/about") for _ in range(3)]) == [200] * 3


@pytest.mark.parametrize(("rule", "after"), [("open", 200), ("closed", 503)])
def test_without_redis_the_setting_decides(
    make: Made, settings: WebSettings, tmp_path: Path, rule: str, after: int
) -> None:
    socket = tmp_path / "limits.sock"
    command = [redis_binary(), "--port", "0", "--unixsocket", str(socket), "--save", "", "--dir", str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as server:
        try:
            url = f"unix://{socket}?db=0"
            with redis.Redis.from_url(url) as probe:
                while True:
                    try:
                        probe.ping()
                        break
                    except redis.ConnectionError:
                        assert server.poll() is None
            client = make(requests_per_minute=2, limits_without_redis=rule, redis_url=url).test_client()
            assert statuses([client.get("/about") for _ in range(3)]) == [200, 200, 429]
        finally:
            server.kill()
            server.wait()
    reply = client.get("/about", headers={"Accept": "application/json"})
    assert reply.status_code == after
    if after == 503:
        assert reply.get_json(force=True)["code"] == "storage_unavailable"
        assert "Retry-After" in reply.headers
    assert "RateLimit-Limit" not in reply.headers
    assert client.get("/health").status_code == 200, "what is not counted is not refused"


def test_a_worker_report_is_no_request(make: Made, redis_client: redis.Redis) -> None:
    report_worker(redis_client)
    assert make(requests_per_minute=1).test_client().get("/health").status_code == 200


def test_under_v1_a_refusal_has_openais_form(make: Made) -> None:
    app = make(prompts_per_minute=1)
    secret = "arena_program0_" + "s" * 43
    row = ApiKey(id="program0", name="p", digest=digest(secret), scopes=["chat"], limits={})
    app.extensions["arena"].db.write(lambda s: s.add(row))
    client = app.test_client()
    headers = {"Authorization": f"Bearer {secret}"}
    nobody = {"model": "nobody", "messages": [{"role": "user", "content": "x"}]}
    replies = [client.post("/v1/chat/completions", json=nobody, headers=headers) for _ in range(2)]
    assert statuses(replies) == [404, 429]
    assert replies[1].get_json(force=True)["error"]["code"] == "rate_limited"
    assert int(replies[1].headers["Retry-After"]) >= 60
    assert replies[1].headers["RateLimit-Remaining"] == "0"


def test_prompts_of_a_batch_count_among_the_days(make: Made) -> None:
    app = make(prompts_per_day=5, batches_open=2)
    secret = "arena_program0_" + "s" * 43
    row = ApiKey(id="program0", name="p", digest=digest(secret), scopes=["battle"], limits={})
    app.extensions["arena"].db.write(lambda s: s.add(row))
    headers = {"Authorization": f"Bearer {secret}"}

    def hand_in(count: int) -> TestResponse:
        return app.test_client().post("/api/batches", json={"prompts": ["Why?"] * count}, headers=headers)

    assert (hand_in(6).status_code, hand_in(6).get_json(force=True)["code"]) == (422, "batch_too_large")
    first = hand_in(3)
    assert (first.status_code, first.headers["RateLimit-Remaining"]) == (202, "2")
    refused = hand_in(3)
    assert (refused.status_code, refused.get_json(force=True)["limit"]) == (429, "prompts_per_day")
    assert int(refused.headers["Retry-After"]) >= 60
    assert hand_in(2).status_code == 202, "what was refused counts for nothing"
    assert hand_in(1).get_json(force=True)["code"] == "too_many_batches"
    single = app.test_client().post("/api/battles", json={"prompt": "Why?"}, headers=headers)
    assert (single.status_code, single.get_json(force=True)["limit"]) == (429, "prompts_per_day")
