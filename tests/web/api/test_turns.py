"""More than one turn: what is told to each side, what is refused, and that nobody is stuck."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
import redis
from flask import Flask
from flask.testing import FlaskClient

from tests.web.helpers import MODELS, job, queued, report_worker, result, side, types
from web.context import Arena
from web.models import Battle, Turn
from web.records.service import Records
from web.security import COOKIE
from web.settings import WebSettings
from worker.contract import channel, jobs
from worker.contract.events import Failure
from worker.contract.residency import pair_key

Begin = Callable[..., str]
Finish = Callable[..., Any]
OVERFLOW = Failure("context_overflow", "This conversation is too long for these models.", retryable=False)
BROKEN = Failure("engine_failed", "This model could not finish its answer. Try again.")


def row(arena: Arena, battle: str) -> Battle:
    return arena.db.read(lambda s: s.get_one(Battle, battle))


def turn_row(arena: Arena, battle: str, turn: int) -> Turn:
    return arena.db.read(lambda s: s.get_one(Turn, (battle, turn)))


def ask(client: FlaskClient, battle: str, prompt: str = "And at sunset?") -> Any:
    return client.post(f"/api/battles/{battle}/turns", json={"prompt": prompt})


def code(reply: Any) -> tuple[int, str]:
    return reply.status_code, reply.get_json(force=True)["code"]


@pytest.fixture
def battle(begin: Begin, finish: Finish) -> str:
    """Its first turn has been answered."""
    made = begin()
    finish(made)
    return made


def failed(why: Failure = OVERFLOW) -> dict[str, Any]:
    return {"a": side("", "failed", error=why), "b": side("", "failed", error=why)}


def test_another_turn_goes_to_the_same_pair_and_each_side_is_told_its_own_answers(
    client: FlaskClient, battle: str, arena: Arena, redis_client: redis.Redis
) -> None:
    pair = (row(arena, battle).model_a, row(arena, battle).model_b)
    reply = ask(client, battle)
    known = {"id": battle, "state": "queued", "ws": "/ws", "url": f"/battles/{battle}", "turn": 2, "retry": 0}
    assert (reply.status_code, reply.get_json()) == (202, known)
    sent = job(redis_client)
    assert (sent.turn, sent.retry, sent.before, sent.task) == (2, 0, 1, f"{battle}.2")
    assert (sent.sides.a.model, sent.sides.b.model) == pair
    for told, own in ((sent.sides.a, "Answer A."), (sent.sides.b, "Answer B.")):
        said = [(m.role, m.content) for m in told.messages]
        assert said == [("user", "Why is the sky blue?"), ("assistant", own), ("user", "And at sunset?")]
    assert types(redis_client, battle)[-2:] == ["battle.votable", "turn.started"]


def test_no_byte_of_a_second_turn_names_anybody(
    client: FlaskClient, battle: str, finish: Finish, redis_client: redis.Redis
) -> None:
    replies = [ask(client, battle), ask(client, battle), client.post(f"/api/battles/{battle}/retry", json={})]
    finish(battle, attempt=2, turn=2)
    replies += [client.get(f"/api/battles/{battle}"), client.get("/api/battles")]
    everything = "".join(r.text + str(r.headers) for r in replies)
    everything += "".join(f.raw.decode() for f in channel.read_log(redis_client, battle)[1])
    assert not [m for m in MODELS if m in everything]


def test_a_second_turn_is_shown_after_the_first_and_can_be_voted(
    client: FlaskClient, battle: str, finish: Finish, arena: Arena
) -> None:
    ask(client, battle)
    during = client.get(f"/api/battles/{battle}").get_json()
    assert (during["state"], during["votable"], len(during["turns"])) == ("queued", False, 2)
    finish(battle, attempt=2, turn=2, a=side("Red."), b=side("Orange."))
    shown = client.get(f"/api/battles/{battle}").get_json()
    assert (shown["state"], shown["votable"]) == ("finished", True)
    texts = [(t["turn"], t["prompt"], t["a"]["text"].strip(), t["b"]["text"].strip()) for t in shown["turns"]]
    assert texts == [(1, "Why is the sky blue?", "Answer A.", "Answer B."), (2, "And at sunset?", "Red.", "Orange.")]
    assert client.post(f"/api/battles/{battle}/vote", json={"winner": "a"}).status_code == 201


@pytest.mark.parametrize("step", ["queued", "running"])
def test_while_a_turn_is_answered_there_is_neither_a_vote_nor_another_turn_nor_a_retry(
    client: FlaskClient, battle: str, records: Records, step: str
) -> None:
    ask(client, battle)
    if step == "running":
        records.started(battle, 2, 2)
    assert code(client.post(f"/api/battles/{battle}/vote", json={"winner": "a"})) == (409, "not_votable")
    assert code(ask(client, battle)) == (409, "turn_running")
    assert code(client.post(f"/api/battles/{battle}/retry", json={})) == (409, "turn_running")


def test_of_turns_asked_at_once_exactly_one_begins(
    app: Flask, client: FlaskClient, battle: str, arena: Arena, redis_client: redis.Redis
) -> None:
    cookie = client.get_cookie(COOKIE)
    assert cookie is not None
    redis_client.delete(jobs.QUEUE_BATTLES)

    def go(n: int) -> int:
        with app.test_client() as mine:
            mine.set_cookie(COOKIE, cookie.value)
            path = "retry" if n % 3 == 0 else "turns"
            body = {} if n % 3 == 0 else {"prompt": f"Number {n}?"}
            return mine.post(f"/api/battles/{battle}/{path}", json=body).status_code

    with ThreadPoolExecutor(8) as pool:
        codes = list(pool.map(go, range(24)))
    assert (codes.count(202), codes.count(409)) == (1, 23)
    assert len(queued(redis_client)) == 1


def test_an_older_turns_result_changes_nothing(
    client: FlaskClient, battle: str, records: Records, arena: Arena, redis_client: redis.Redis
) -> None:
    ask(client, battle)
    before = types(redis_client, battle)
    records.finished(result(battle, a=side("Late.")))
    records.started(battle, 1, 1)
    records.failed(jobs.task_id(battle, 1))
    assert (row(arena, battle).state, types(redis_client, battle)) == ("queued", before)
    shown = client.get(f"/api/battles/{battle}").get_json()
    assert shown["turns"][0]["a"]["text"].strip() == "Answer A."


def test_an_end_that_is_told_late_does_not_open_the_vote_of_the_next_turn(
    begin: Begin, client: FlaskClient, records: Records, redis_client: redis.Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    battle = begin()
    late: list[Any] = []
    with monkeypatch.context() as patch:
        patch.setattr(records, "_tell", lambda *told: late.append(told))
        records.finished(result(battle))
    assert ask(client, battle).status_code == 202
    records._tell(*late[0])
    assert types(redis_client, battle) == ["turn.started", "turn.started"]
    assert client.get(f"/api/battles/{battle}").get_json()["votable"] is False


@pytest.mark.parametrize("why", [OVERFLOW, BROKEN])
def test_a_later_turn_that_fails_leaves_the_earlier_ones_to_vote_on(
    client: FlaskClient, battle: str, finish: Finish, arena: Arena, why: Failure
) -> None:
    ask(client, battle)
    finish(battle, attempt=2, turn=2, **failed(why))
    shown = client.get(f"/api/battles/{battle}").get_json()
    assert (shown["state"], shown["votable"], shown["error"]["code"]) == ("failed", True, why.code)
    voted = client.post(f"/api/battles/{battle}/vote", json={"winner": "b"})
    assert voted.status_code == 201
    assert voted.get_json()["models"]["a"]["completion_tokens"] == 11, "figures of the turn that was judged"


def test_a_later_turn_that_is_stopped_leaves_the_earlier_ones_to_vote_on(client: FlaskClient, battle: str) -> None:
    ask(client, battle)
    assert client.post(f"/api/battles/{battle}/cancel").get_json()["state"] == "cancelled"
    shown = client.get(f"/api/battles/{battle}").get_json()
    assert (shown["state"], shown["votable"], shown["cancelled_by"]) == ("cancelled", True, "user")
    assert client.post(f"/api/battles/{battle}/vote", json={"winner": "tie"}).status_code == 201


def test_after_a_turn_that_failed_another_may_be_asked_which_is_not_told_of_it(
    client: FlaskClient, battle: str, finish: Finish, redis_client: redis.Redis
) -> None:
    ask(client, battle, "x" * 90)
    finish(battle, attempt=2, turn=2, **failed())
    assert ask(client, battle, "Shorter?").status_code == 202
    sent = job(redis_client)
    assert (sent.turn, [m.content for m in sent.sides.b.messages]) == (
        3,
        ["Why is the sky blue?", "Answer B.", "Shorter?"],
    )
    finish(battle, attempt=3, turn=3)
    shown = client.get(f"/api/battles/{battle}").get_json()
    assert (shown["state"], shown["votable"], shown["error"]) == ("finished", True, None)


def test_a_first_turn_that_failed_is_nothing_to_go_on_from(begin: Begin, finish: Finish, client: FlaskClient) -> None:
    battle = begin()
    finish(battle, **failed(BROKEN))
    assert code(ask(client, battle)) == (409, "not_continuable")


def test_a_voted_battle_is_over(client: FlaskClient, battle: str) -> None:
    client.post(f"/api/battles/{battle}/vote", json={"winner": "a"})
    assert code(ask(client, battle)) == (409, "conversation_over")
    assert code(client.post(f"/api/battles/{battle}/retry", json={})) == (409, "conversation_over")


class TestLimits:
    @pytest.fixture
    def settings(self, settings: WebSettings) -> WebSettings:
        return settings.model_copy(update={"max_turns": 2, "conversation_max_chars": 60})

    def test_there_are_only_so_many_turns(self, client: FlaskClient, battle: str, finish: Finish) -> None:
        assert ask(client, battle).status_code == 202
        finish(battle, attempt=2, turn=2)
        reply = ask(client, battle)
        assert (code(reply), reply.get_json(force=True)["limit"]) == ((409, "turn_limit"), 2)

    def test_all_prompts_together_are_bounded(self, client: FlaskClient, battle: str, arena: Arena) -> None:
        reply = ask(client, battle, "x" * 41)
        body = reply.get_json(force=True)
        assert (code(reply), body["limit"], body["length"]) == ((422, "conversation_too_long"), 60, 61)
        assert row(arena, battle).votable is True
        assert ask(client, battle, "x" * 40).status_code == 202


@pytest.mark.parametrize(("prompt", "refusal"), [("", "empty_prompt"), ("x" * 101, "prompt_too_long")])
def test_a_turns_prompt_is_checked_like_any_other(
    client: FlaskClient, battle: str, arena: Arena, prompt: str, refusal: str
) -> None:
    assert code(ask(client, battle, prompt)) == (422, refusal)
    assert row(arena, battle).turns == 1


def test_texts_that_are_gone_cannot_be_gone_on_from_and_nothing_is_lost_by_asking(
    client: FlaskClient, battle: str, arena: Arena
) -> None:
    from sqlalchemy import delete

    from web.models import Words

    arena.db.write(lambda s: s.execute(delete(Words).where(Words.battle_id == battle, Words.part == "a")))
    assert code(ask(client, battle)) == (409, "texts_gone")
    assert (row(arena, battle).state, row(arena, battle).turns, row(arena, battle).votable) == ("finished", 1, True)


def test_a_pair_nobody_takes_now_is_told_when_to_come_back(
    client: FlaskClient, battle: str, arena: Arena, redis_client: redis.Redis
) -> None:
    stored = row(arena, battle)
    report_worker(redis_client, refuses={pair_key(stored.model_a, stored.model_b): 21.0})
    reply = ask(client, battle)
    assert (code(reply), reply.headers["Retry-After"]) == ((429, "busy"), "21")
    assert row(arena, battle).votable is True


def test_somebody_elses_battle_is_none_to_go_on_with(app: Flask, battle: str) -> None:
    stranger = app.test_client()
    assert code(ask(stranger, battle)) == (404, "unknown_battle")
    assert code(stranger.post(f"/api/battles/{battle}/retry", json={})) == (404, "unknown_battle")


def test_a_turns_deadline_counts_from_its_own_beginning(
    client: FlaskClient, battle: str, arena: Arena, redis_client: redis.Redis
) -> None:
    ask(client, battle)
    assert job(redis_client).deadline == pytest.approx(
        turn_row(arena, battle, 2).asked_at.timestamp() + arena.settings.deadline_s
    )
