"""An operator's browser: a cookie instead of the key, for our own pages alone."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.web.admin.conftest import Bearer
from web.admin import keys
from web.context import Arena


def test_the_cookie_is_not_the_key_and_goes_nowhere_else(app: Flask, admin: Bearer) -> None:
    client = app.test_client()
    reply = client.post("/api/admin/session", json={"key": admin.token})
    assert reply.get_json() == {"id": admin.id, "name": "a program"}
    cookie = reply.headers["Set-Cookie"]
    for part in ("HttpOnly", "SameSite=Strict", "Path=/api/admin", "Max-Age=43200"):
        assert part in cookie
    assert admin.token.split("_")[2] not in cookie
    assert client.get("/api/admin/session").get_json() == {"operator": {"id": admin.id, "name": "a program"}}
    over_https = app.test_client().post("/api/admin/session", json={"key": admin.token}, base_url="https://localhost")
    assert over_https.headers["Set-Cookie"].startswith("__Secure-arena_operator=")
    assert "; Secure" in over_https.headers["Set-Cookie"]


def test_signing_out_takes_it_back(browser: FlaskClient) -> None:
    assert browser.delete("/api/admin/session").status_code == 204
    refused = browser.get("/api/admin/audit")
    assert (refused.status_code, refused.get_json()["code"]) == (401, "not_signed_in")


def test_revoking_the_key_signs_its_browsers_out(arena: Arena, admin: Bearer, browser: FlaskClient) -> None:
    assert browser.get("/api/admin/audit").status_code == 200
    arena.db.write(lambda s: keys.revoke(s, admin.id))
    assert browser.get("/api/admin/audit").status_code == 401


@pytest.mark.parametrize("headers", [{"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}])
def test_another_sites_page_can_neither_write_nor_read(browser: FlaskClient, headers: dict[str, str]) -> None:
    for reply in (
        browser.post("/api/admin/models/echo-sage/disable", json={"reason": "x"}, headers=headers),
        browser.get("/api/admin/votes", headers=headers),
    ):
        assert (reply.status_code, reply.get_json()["code"]) == (403, "cross_origin")


@pytest.mark.parametrize("value", ["", "nonsense", "WyJhIiwiYiJd.x.y"])
def test_a_cookie_we_did_not_sign_is_nobody(app: Flask, value: str) -> None:
    client = app.test_client()
    client.set_cookie("arena_operator", value, path="/api/admin")
    assert client.get("/api/admin/session").get_json() == {"operator": None}
    assert client.get("/api/admin/models").status_code == 401


def test_a_key_without_scope_admin_or_a_wrong_one_does_not_sign_in(app: Flask, make_key: Callable[..., Bearer]) -> None:
    chat = make_key("chat")
    client = app.test_client()
    assert client.post("/api/admin/session", json={"key": chat.token}).status_code == 403
    refused = client.post("/api/admin/session", json={"key": chat.token[:-1] + "z"})
    assert (refused.status_code, refused.get_json()["code"]) == (401, "bad_key")
    assert chat.token not in refused.text
    assert "Set-Cookie" not in refused.headers


def test_every_admin_path_is_closed_to_those_without_a_key(app: Flask) -> None:
    """Whatever is asked, in whatever form: who may not ask learns nothing of what is wrong with the question."""
    paths = app.test_client().get("/openapi.json").get_json()["paths"]
    closed = [(p, m) for p, ops in paths.items() if p.startswith("/api/admin") for m in ops]
    assert len(closed) > 25
    for path, method in closed:
        if path == "/api/admin/session":
            continue
        address = path.replace("{vote_id}", "1").replace("{", "").replace("}", "") + "?limit=nonsense"
        reply = app.test_client().open(address, method=method.upper(), json={} if method == "post" else None)
        assert (reply.status_code, reply.get_json()["code"]) == (401, "not_signed_in"), (path, method)
