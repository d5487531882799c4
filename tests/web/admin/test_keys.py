"""Keys: made on the command line, kept as digests, checked at every request."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import event, update

from tests.web.admin.conftest import Bearer
from web.access import digest
from web.context import Arena
from web.models import ApiKey, AuditLine, now

MakeKey = Callable[..., Bearer]


def run(app: Flask, *words: str) -> Any:
    return app.test_cli_runner().invoke(args=["keys", *words])


def test_a_key_is_shown_once_and_only_its_digest_is_kept(app: Flask, arena: Arena) -> None:
    made = run(app, "create", "bench", "--scope", "chat", "--scope", "admin", "--limit", "prompts_per_minute=60")
    assert made.exit_code == 0, made.output
    token = made.stdout.strip()
    prefix, public, secret = token.split("_")
    assert prefix == "arena"
    assert len(secret) == 48
    stored = arena.db.read(lambda s: s.get(ApiKey, public))
    assert stored is not None
    assert (stored.digest, stored.scopes) == (digest(token), ["chat", "admin"])
    assert stored.limits == {"prompts_per_minute": 60}
    listed = run(app, "list")
    assert public in listed.stdout
    assert "prompts_per_minute=60" in listed.stdout
    audited = arena.db.read(lambda s: [(a.by, a.action, a.target) for a in s.query(AuditLine)])
    assert audited == [("command line", "key.create", public)]
    everything = listed.output + repr(arena.db.read(lambda s: [vars(k) for k in s.query(ApiKey)]))
    assert secret not in everything


def test_programs_get_json(app: Flask) -> None:
    made = json.loads(run(app, "create", "x", "--scope", "battle", "--json").stdout)
    assert made["key"].startswith(f"arena_{made['id']}_")
    assert (made["scopes"], made["limits"], made["revoked_at"]) == (["battle"], {}, None)
    (listed,) = json.loads(run(app, "list", "--json").stdout)
    assert listed == {name: value for name, value in made.items() if name != "key"}
    assert json.loads(run(app, "revoke", made["id"], "--json").stdout)["revoked_at"]


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("create", "x", "--scope", "root"), "'root' is not one of"),
        (("create", "x"), "Missing option '--scope'"),
        (("create", " ", "--scope", "chat"), "1 to 80 printable characters"),
        (("create", "a\nb", "--scope", "chat"), "1 to 80 printable characters"),
        (("create", "x", "--scope", "chat", "--limit", "often"), "'often' is no limit"),
        (("create", "x", "--scope", "chat", "--limit", "prompts_per_minute=-1"), "is no limit"),
        (("revoke", "feedfeedfeed"), "there is no key 'feedfeedfeed'"),
    ],
)
def test_refusals_are_one_line(app: Flask, words: tuple[str, ...], why: str) -> None:
    refused = run(app, *words)
    assert refused.exit_code != 0
    assert why in refused.stderr
    assert "Traceback" not in refused.output


def test_without_a_database_it_says_how_to_get_one(app: Flask, arena: Arena) -> None:
    arena.db.write(lambda s: s.connection().exec_driver_sql("DROP TABLE api_keys"))
    refused = run(app, "list")
    assert refused.exit_code == 1
    assert refused.stderr.splitlines() == [
        "Error: the database does not take it (OperationalError); try: flask --app web migrate"
    ]


def test_a_revoked_key_opens_nothing_from_then_on(app: Flask, admin: Bearer) -> None:
    assert admin.get("/api/admin/session").get_json()["operator"]["id"] == admin.id
    assert run(app, "revoke", admin.id).exit_code == 0
    refused = admin.get("/api/admin/session")
    assert (refused.status_code, refused.get_json()["code"]) == (401, "bad_key")
    again = run(app, "revoke", admin.id)
    assert again.exit_code == 1
    assert "already" in again.stderr


def test_a_key_begins_battles_of_its_own_without_a_cookie(make_key: MakeKey, client: FlaskClient, worker: None) -> None:
    mine, other = make_key("battle"), make_key("battle")
    begun = mine.post("/api/battles", json={"prompt": "x"})
    assert begun.status_code == 202
    assert "Set-Cookie" not in begun.headers
    battle = begun.get_json()["id"]
    assert mine.get(f"/api/battles/{battle}").status_code == 200
    for stranger in (other, client):
        assert stranger.get(f"/api/battles/{battle}").status_code == 404


@pytest.mark.parametrize("path", ["/api/battles", "/api/battles/abcdefgh/vote", "/api/batches"])
def test_a_key_without_scope_battle_begins_none(make_key: MakeKey, worker: None, path: str) -> None:
    refused = make_key("chat", "admin", "export").post(path, json={"prompt": "x"})
    assert (refused.status_code, refused.get_json()["code"]) == (403, "scope_missing")
    assert refused.get_json()["scope"] == "battle"


@pytest.mark.parametrize("scope", ["chat", "battle", "export"])
def test_only_scope_admin_operates(make_key: MakeKey, scope: str) -> None:
    refused = make_key(scope).get("/api/admin/audit")
    assert (refused.status_code, refused.get_json()["code"]) == (403, "scope_missing")


def test_its_use_is_noted_to_the_hour_and_not_at_every_request(arena: Arena, admin: Bearer) -> None:
    writes: list[str] = []

    def seen(_c: Any, _u: Any, statement: str, *_: Any) -> None:
        if statement.startswith("UPDATE api_keys"):
            writes.append(statement)

    event.listen(arena.db.engine, "before_cursor_execute", seen)
    for _ in range(5):
        assert admin.get("/api/admin/session").status_code == 200
    assert len(writes) == 1
    used = arena.db.read(lambda s: s.get_one(ApiKey, admin.id).last_used_at)
    assert used is not None
    long_ago = now() - timedelta(hours=2)
    arena.db.write(lambda s: s.execute(update(ApiKey).values(last_used_at=long_ago)))
    admin.get("/api/admin/session")
    later = arena.db.read(lambda s: s.get_one(ApiKey, admin.id).last_used_at)
    assert later is not None
    assert later > long_ago
