"""What stands before a session's first battle."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.web import helpers
from web.access import digest
from web.challenge import Asker, ChallengeError, ProofOfWork, guard_of, zero_bits
from web.context import Arena
from web.models import ApiKey, Battle
from web.security import COOKIE
from web.settings import WebSettings

Made = Callable[..., Flask]
EMPTY = {"prompt": ""}
"""Refused (422) once the guard has let it by: what a battle needs beyond that is not these tests' affair."""


class Password:
    """A guard of the operator's own."""

    def __init__(self, settings: WebSettings, redis: Any) -> None:
        self.asked: list[Asker] = []

    def challenge(self, asker: Asker) -> dict[str, Any]:
        self.asked.append(asker)
        return {"kind": "password", "hint": "open"}

    def passes(self, answer: str, asker: Asker) -> bool:
        return answer == "sesame"


@pytest.fixture
def make(settings: WebSettings) -> Iterator[Made]:
    with ExitStack() as made:

        def _make(challenge: str = "proof_of_work", **more: Any) -> Flask:
            changed = {"challenge": challenge, "challenge_difficulty": 6, **more}
            return made.enter_context(helpers.running(settings.model_copy(update=changed)))

        yield _make


@pytest.fixture
def client(make: Made) -> FlaskClient:
    return make().test_client()


def solve(challenge: dict[str, Any]) -> str:
    """As a client does."""
    enough = (n for n in itertools.count() if zero_bits(f"{challenge['seed']}.{n}") >= challenge["difficulty"])
    return f"{challenge['token']}:{next(enough)}"


def begin(client: FlaskClient, answer: str | None = None, address: str = "192.0.2.1", **headers: str) -> TestResponse:
    known = {} if answer is None else {"Arena-Challenge": answer}
    return client.post("/api/battles", json=EMPTY, headers={**known, **headers}, environ_base={"REMOTE_ADDR": address})


def needed(reply: TestResponse) -> dict[str, Any]:
    """The challenge of a refusal."""
    problem = reply.get_json(force=True)
    assert (reply.status_code, problem["code"]) == (403, "challenge_needed")
    found: dict[str, Any] = problem["challenge"]
    return found


def test_the_refusal_carries_what_opens_the_door(client: FlaskClient) -> None:
    challenge = needed(begin(client))
    assert challenge["kind"] == "proof_of_work"
    assert begin(client, solve(challenge)).status_code == 422


def test_a_challenge_can_be_fetched_before(client: FlaskClient) -> None:
    challenge = client.get("/api/challenge", environ_base={"REMOTE_ADDR": "192.0.2.1"}).get_json()["challenge"]
    assert begin(client, solve(challenge)).status_code == 422


def test_an_answer_opens_once(client: FlaskClient) -> None:
    answer = solve(needed(begin(client)))
    assert begin(client, answer).status_code == 422
    needed(begin(client, answer))


def test_an_answer_is_worth_nothing_from_another_address(client: FlaskClient) -> None:
    answer = solve(needed(begin(client)))
    needed(begin(client, answer, "203.0.113.1"))


def test_too_little_work_is_not_enough(client: FlaskClient) -> None:
    challenge = needed(begin(client))
    lazy = next(n for n in itertools.count() if zero_bits(f"{challenge['seed']}.{n}") < challenge["difficulty"])
    needed(begin(client, f"{challenge['token']}:{lazy}"))


def test_an_old_challenge_has_ended(settings: WebSettings, redis_client: Any) -> None:
    guard = ProofOfWork(settings.model_copy(update={"challenge_difficulty": 1, "challenge_ttl_s": -1}), redis_client)
    asker = Asker(None, "192.0.2.1")
    assert not guard.passes(solve(guard.challenge(asker)), asker)


@pytest.mark.parametrize(
    "answer",
    ["x", ":", "a.b.c:1", ":7", "x" * 3000, "\u00fc:1", "{token}", "{token}:", "{token}:-1", "{token}:1e9", "{token}:٣",
     "{token}:" + "9" * 21],
)  # fmt: skip
def test_nonsense_is_refused_with_a_new_challenge(client: FlaskClient, answer: str) -> None:
    challenge = needed(begin(client))
    sent = answer.replace("{token}", challenge["token"]).encode("utf-8").decode("latin-1")
    assert needed(begin(client, sent))["seed"] != challenge["seed"]


def test_a_token_of_another_kind_is_none_of_ours(make: Made) -> None:
    app = make()
    client = app.test_client()
    client.get("/")
    cookie = client.get_cookie(COOKIE)
    assert cookie is not None
    needed(begin(client, f"{cookie.value}:1"))


def test_who_has_begun_a_battle_is_not_asked_again(make: Made) -> None:
    app = make()
    client = app.test_client()
    client.get("/")
    cookie = client.get_cookie(COOKIE)
    assert cookie is not None
    arena: Arena = app.extensions["arena"]
    owner = app.extensions["arena_sessions"].owner(cookie.value)
    needed(begin(client))
    row = Battle(id="b" * 22, owner=owner, model_a="echo-sage", model_b="echo-bard", probability=1, policy_version="t")
    arena.db.write(lambda s: s.add(row))
    assert begin(client).status_code == 422
    assert client.get("/api/challenge").get_json() == {"challenge": None}


def test_a_key_is_never_asked(make: Made) -> None:
    app = make()
    secret = "arena_program0_" + "s" * 43
    row = ApiKey(id="program0", name="p", digest=digest(secret), scopes=["battle"], limits={})
    app.extensions["arena"].db.write(lambda s: s.add(row))
    assert begin(app.test_client(), Authorization=f"Bearer {secret}").status_code == 422


def test_by_default_nothing_stands_before_a_battle(make: Made) -> None:
    client = make("off").test_client()
    assert begin(client).status_code == 422
    assert client.get("/api/challenge").get_json() == {"challenge": None}


def test_a_guard_of_ones_own_decides(make: Made) -> None:
    app = make("tests.web.test_challenge:Password")
    client = app.test_client()
    assert needed(begin(client, "2001:db8::1")) == {"kind": "password", "hint": "open"}
    needed(begin(client, "mellon"))
    assert begin(client, "sesame", "2001:db8::5").status_code == 422
    assert app.extensions["arena_guard"].asked[-1].address == "192.0.2.1"


@pytest.mark.parametrize("path", ["nowhere.at_all:guard", "web.challenge:nothing", "nonsense", ":x"])
def test_a_guard_that_is_not_there_is_said_in_one_line(settings: WebSettings, path: str) -> None:
    with pytest.raises(ChallengeError, match=r"^ARENA_CHALLENGE=.*package\.module:factory$"):
        guard_of(settings.model_copy(update={"challenge": path}), None)
