from __future__ import annotations

import pytest
from flask import Flask, Request
from flask.testing import FlaskClient
from werkzeug.datastructures import Headers

from web.security import COOKIE, CSP, Sessions, client_address, owner_hash, same_site
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
