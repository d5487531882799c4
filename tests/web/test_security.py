from __future__ import annotations

from typing import Any

import pytest
from flask import Flask, Request, request
from flask.testing import FlaskClient
from werkzeug.datastructures import Headers

from tests.web import helpers
from web.bounds import accepts, depth, usual_bytes
from web.security import COOKIE, CSP, HEADERS, Sessions, client_address, owner_hash, same_site
from web.settings import WebSettings

HOST = "arena.example"


def test_a_session_is_recognised_and_its_owner_is_a_hash() -> None:
    cookie, owner = Sessions("key").issue()
    assert Sessions("key").owner(cookie) == owner
    assert len(owner) == 64
    assert owner not in cookie


@pytest.mark.parametrize("cookie", [None, "", "nonsense", "a.b.c", "\u00fc"])
def test_what_we_did_not_sign_is_nobody(cookie: str | None) -> None:
    assert Sessions("key").owner(cookie) is None


def test_another_key_or_a_changed_cookie_is_nobody() -> None:
    cookie, _ = Sessions("key").issue()
    assert Sessions("other").owner(cookie) is None
    assert Sessions("key").owner(cookie[:-2] + ("AA" if cookie[-2:] != "AA" else "BB")) is None


def test_sessions_differ() -> None:
    assert len({Sessions("key").issue()[1] for _ in range(50)}) == 50
    assert owner_hash("a") != owner_hash("b")


def test_the_first_battle_sets_a_cookie_that_scripts_cannot_read(client: FlaskClient, worker: None) -> None:
    first = client.post("/api/battles", json={"prompt": "x"})
    cookie = first.headers["Set-Cookie"]
    assert cookie.startswith(f"{COOKIE}=")
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert "Secure" not in cookie
    assert "Set-Cookie" not in client.post("/api/battles", json={"prompt": "x"}).headers


def test_over_https_the_cookie_is_secure(app: Flask, worker: None) -> None:
    reply = app.test_client().post("/api/battles", json={"prompt": "x"}, base_url="https://localhost")
    assert "Secure" in reply.headers["Set-Cookie"]
    assert "Strict-Transport-Security" in reply.headers


@pytest.mark.parametrize(
    ("headers", "ok"),
    [
        ({}, True),
        ({"Origin": f"https://{HOST}"}, True),
        ({"Origin": f"http://{HOST}"}, True),
        ({"Origin": "https://evil.example"}, False),
        ({"Origin": f"https://{HOST}.evil.example"}, False),
        ({"Origin": f"https://{HOST}:8443"}, False),
        ({"Origin": "null"}, False),
        ({"Origin": ""}, False),
        ({"Origin": "https://friend.example"}, True),
        ({"Sec-Fetch-Site": "same-origin"}, True),
        ({"Sec-Fetch-Site": "none"}, True),
        ({"Sec-Fetch-Site": "same-site"}, False),
        ({"Sec-Fetch-Site": "cross-site"}, False),
    ],
)
def test_only_our_own_pages_and_no_pages_may_write(headers: dict[str, str], ok: bool) -> None:
    assert same_site(Headers(headers), HOST, ["https://friend.example"]) is ok


@pytest.mark.parametrize("path", ["/api/battles", "/api/battles/x/vote", "/api/battles/x/cancel"])
def test_a_write_from_another_site_is_refused(client: FlaskClient, worker: None, path: str) -> None:
    reply = client.post(path, json={"prompt": "x"}, headers={"Origin": "https://evil.example"})
    assert (reply.status_code, reply.get_json(force=True)["code"]) == (403, "cross_origin")
    assert "Set-Cookie" not in reply.headers


@pytest.mark.parametrize("path", ["/api/leaderboard", "/health", "/api/nothing", "/about"])
def test_every_reply_carries_the_policy(client: FlaskClient, path: str) -> None:
    headers = client.get(path).headers
    assert headers["Content-Security-Policy"] == CSP
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert "Permissions-Policy" in headers


@pytest.mark.parametrize(
    ("peer", "forwarded", "trusted", "found"),
    [
        ("192.0.2.1", "203.0.113.9", "", "192.0.2.1"),
        ("127.0.0.1", "203.0.113.9", "127.0.0.1/32", "203.0.113.9"),
        ("127.0.0.1", "6.6.6.6, 203.0.113.9", "127.0.0.1/32", "203.0.113.9"),
        ("127.0.0.1", "6.6.6.6, 203.0.113.9, 10.0.0.2", "127.0.0.1,10.0.0.0/8", "203.0.113.9"),
        ("203.0.113.5", "6.6.6.6", "127.0.0.1/32", "203.0.113.5"),
        ("127.0.0.1", "", "127.0.0.1/32", "127.0.0.1"),
        ("", "203.0.113.9", "127.0.0.1/32", "203.0.113.9"),
        ("", "203.0.113.9", "", ""),
        ("::1", "nonsense", "::1/128", "nonsense"),
    ],
)
def test_only_our_own_proxies_are_believed_about_whom_they_ask_for(
    peer: str, forwarded: str, trusted: str, found: str
) -> None:
    settings = WebSettings(trusted_proxies=trusted)  # type: ignore[arg-type]
    environ = {"REMOTE_ADDR": peer, "HTTP_X_FORWARDED_FOR": forwarded}
    assert client_address(Request(environ), settings) == found


@pytest.mark.parametrize(
    ("headers", "secure", "ok"),
    [
        ({"Origin": f"https://{HOST}"}, True, True),
        ({"Origin": f"http://{HOST}"}, True, False),
        ({"Origin": "https://friend.example"}, True, True),
        ({"Origin": f"ws://{HOST}"}, False, False),
        ({"Origin": "https://[bad"}, False, False),
        ({"Referer": f"https://{HOST}/battles/x"}, True, True),
        ({"Referer": f"http://{HOST}/"}, True, False),
        ({"Referer": "https://evil.example/?" + HOST}, False, False),
        ({"Referer": "https://friend.example/page"}, False, True),
        ({"Referer": "about:blank"}, False, False),
        ({"Origin": f"https://{HOST}", "Referer": "https://evil.example/"}, True, True),
        ({"Sec-Fetch-Site": "cross-site", "Referer": f"https://{HOST}/"}, True, False),
        ({"Origin": "null", "Sec-Fetch-Site": "same-origin"}, True, False),
    ],
)
def test_behind_tls_a_page_without_is_none_of_ours_and_old_browsers_name_their_page(
    headers: dict[str, str], secure: bool, ok: bool
) -> None:
    assert same_site(Headers(headers), HOST, ["https://friend.example"], secure) is ok


@pytest.mark.parametrize(
    ("peer", "said", "secure"),
    [
        ("127.0.0.1", "https", True),
        ("127.0.0.1", "http, https", True),
        ("127.0.0.1", "https, http", False),
        ("127.0.0.1", "gopher", False),
        ("203.0.113.5", "https", False),
        ("127.0.0.1", None, False),
    ],
)
def test_only_our_own_proxies_say_that_a_client_came_over_tls(
    settings: WebSettings, peer: str, said: str | None, secure: bool
) -> None:
    trusting = WebSettings(trusted_proxies="127.0.0.1/32").trusted_proxies  # type: ignore[arg-type]
    with helpers.running(settings.model_copy(update={"trusted_proxies": trusting})) as app:
        headers = {} if said is None else {"X-Forwarded-Proto": said}
        reply = app.test_client().get("/", headers=headers, environ_base={"REMOTE_ADDR": peer})
    name = reply.headers["Set-Cookie"].split("=")[0]
    assert name == ("__Host-arena_session" if secure else "arena_session")
    assert ("Strict-Transport-Security" in reply.headers) is secure
    assert ("Secure" in reply.headers["Set-Cookie"]) is secure
    assert "Domain" not in reply.headers["Set-Cookie"]
    assert "Path=/" in reply.headers["Set-Cookie"]


def test_behind_tls_a_cookie_that_another_name_of_the_domain_could_have_set_is_nobodys(app: Flask) -> None:
    cookie, _ = app.extensions["arena_sessions"].issue()
    client = app.test_client()
    client.set_cookie(COOKIE, cookie, domain="localhost")
    assert "Set-Cookie" not in client.get("/").headers
    assert "__Host-" in client.get("/", base_url="https://localhost").headers["Set-Cookie"]


@pytest.mark.parametrize(
    ("host", "path", "status"),
    [
        ("arena.example", "/about", 200),
        ("ARENA.example", "/about", 200),
        ("evil.example", "/about", 421),
        ("evil.example", "/api/models", 421),
        ("arena.example:5000", "/about", 421),
        ("arena.example.evil.example", "/static/manifest.json", 421),
        ("10.0.0.7:5000", "/health", 200),
    ],
)
def test_an_arena_with_names_answers_to_no_other(settings: WebSettings, host: str, path: str, status: int) -> None:
    named = settings.model_copy(update={"hosts": ("arena.example",)})
    headers = {"Host": host, "Accept": "*/*"}
    with helpers.running(named) as app, app.test_client().get(path, headers=headers) as reply:
        assert reply.status_code == status


def test_a_name_that_a_client_claims_by_forwarding_changes_nothing(client: FlaskClient) -> None:
    evil = {"X-Forwarded-Host": "evil.example", "Origin": "http://evil.example"}
    reply = client.post("/api/battles", json={"prompt": "x"}, headers=evil)
    assert (reply.status_code, reply.get_json(force=True)["code"]) == (403, "cross_origin")


EVERYWHERE = [
    ("GET", "/", 200),
    ("GET", "/static/manifest.json", 200),
    ("GET", "/nowhere", 404),
    ("GET", "/battles/no", 404),
    ("PATCH", "/api/battles", 405),
    ("POST", "/api/battles", 400),
    ("GET", "/api/battles/xxxxxxxx/events", 404),
    ("GET", "/ws", 400),
    ("GET", "/openapi.json", 200),
    ("GET", "/v1/models", 401),
    ("OPTIONS", "/api/battles", 200),
    ("GET", "/boom", 500),
]


@pytest.mark.parametrize(("method", "path", "status"), EVERYWHERE)
def test_whatever_is_answered_carries_every_header(app: Flask, method: str, path: str, status: int) -> None:
    app.add_url_rule("/boom", "boom", lambda: 1 / 0)
    body = {"data": "{", "content_type": "application/json"} if method == "POST" else {}
    with app.test_client().open(path, method=method, base_url="https://localhost", **body) as reply:
        assert reply.status_code == status
        policy = reply.headers["Content-Security-Policy"]
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        for name, value in HEADERS.items():
            assert reply.headers[name] == value
        assert "max-age=" in reply.headers["Strict-Transport-Security"]


@pytest.mark.parametrize("opening", ['{"prompt": ' + '{"a": ' * 40, "[" * 40, "[" * 2000])
def test_json_that_nests_too_deep_is_refused(client: FlaskClient, opening: str) -> None:
    closing = "".join({"{": "}", "[": "]"}[c] for c in reversed(opening) if c in "{[")
    reply = client.post(
        "/api/battles", data=opening + "1" * (opening[-1] != "[") + closing, content_type="application/json"
    )
    assert (reply.status_code, reply.get_json(force=True)["code"]) == (400, "not_json")


@pytest.mark.parametrize(
    ("value", "levels"), [(1, 0), ({}, 1), ([[]], 2), ({"a": [{"b": 1}]}, 3), ([1, {"a": {}}, "x"], 3)]
)
def test_depth_is_counted_by_the_deepest_branch(value: Any, levels: int) -> None:
    assert depth(value) == levels


def test_a_view_may_take_more_and_other_than_the_usual(app: Flask) -> None:
    seen: list[bytes] = []

    def take() -> str:
        seen.append(request.get_data())
        return "taken"

    wide = accepts(max_bytes=lambda s: s.prompt_max_chars * 1000, media=("application/jsonl",))(take)
    app.add_url_rule("/api/wide", "wide", wide, methods=["POST"])
    client = app.test_client()
    usual = usual_bytes(app.extensions["arena"].settings)
    big, bigger = b"x" * (usual * 2), b"x" * 100_001
    assert client.post("/api/wide", data=big, content_type="application/jsonl").status_code == 200
    assert client.post("/api/wide", data=bigger, content_type="application/jsonl").status_code == 413
    assert client.post("/api/wide", data=b"{}", content_type="application/json").status_code == 400
    assert client.post("/api/battles", data=big, content_type="application/json").status_code == 413
    assert seen == [big]
