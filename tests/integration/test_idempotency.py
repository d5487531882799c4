"""One Idempotency-Key, two hundred requests at the same moment, gunicorn as shipped: one battle."""

from __future__ import annotations

import http.client
import json
import threading
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from sqlalchemy import create_engine, text

from tests.processes import wait_for
from tests.sockets import Web, web_process
from tests.web.helpers import report_worker
from worker.contract import jobs

REQUESTS = 200


@pytest.fixture(scope="module")
def web(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    """Two processes, which share nothing but Redis and the database."""
    folder = Path(tmp_path_factory.mktemp("web"))
    with web_process(redis_url, folder, ARENA_WEB_WORKERS="2") as made:
        yield made


@pytest.fixture(autouse=True)
def accepting(redis_client: redis.Redis) -> None:
    report_worker(redis_client, queue_bound=10_000)


def session_of(web: Web) -> str:
    """The cookie of a new session."""
    line = http.client.HTTPConnection("127.0.0.1", web.port, timeout=30)
    line.request("GET", "/")
    reply = line.getresponse()
    reply.read()
    line.close()
    return str(reply.headers["Set-Cookie"].split(";")[0])


class Storm:
    """Many requests that leave together."""

    def __init__(self, web: Web, headers: dict[str, str]) -> None:
        self._web = web
        self._headers = {"Content-Type": "application/json", **headers}
        self._start = threading.Barrier(REQUESTS)
        self.replies: list[tuple[int, dict[str, Any], http.client.HTTPMessage]] = []

    def rage(self) -> Storm:
        threads = [threading.Thread(target=self._one) for _ in range(REQUESTS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(self.replies) == REQUESTS
        return self

    def _one(self) -> None:
        line = http.client.HTTPConnection("127.0.0.1", self._web.port, timeout=60)
        line.connect()
        self._start.wait()
        line.request("POST", "/api/battles", json.dumps({"prompt": "Why?"}), self._headers)
        reply = line.getresponse()
        self.replies.append((reply.status, json.loads(reply.read()), reply.headers))
        line.close()

    @property
    def begun(self) -> list[dict[str, Any]]:
        return [body for status, body, _ in self.replies if status == 202]


def battles(web: Web) -> int:
    engine = create_engine(f"sqlite:///{web.folder / 'arena.sqlite3'}")
    with engine.connect() as connection:
        found = connection.scalar(text("select count(*) from battles"))
    engine.dispose()
    return int(found or 0)


def check(storm: Storm) -> None:
    """All of them are the one battle, or were told to come back for it."""
    codes = Counter(body.get("code", "begun") for _, body, _ in storm.replies)
    assert set(codes) <= {"begun", "idempotency_in_flight"}, codes
    assert len({body["id"] for body in storm.begun}) == 1
    fresh = [h for status, _, h in storm.replies if status == 202 and "Idempotency-Replayed" not in h]
    assert len(fresh) == 1
    assert all(h["Retry-After"] == "1" for status, _, h in storm.replies if status == 409)


def test_two_hundred_creates_of_one_session_with_one_key_are_one_battle(web: Web, redis_client: redis.Redis) -> None:
    before = battles(web)
    headers = {"Cookie": session_of(web), "Idempotency-Key": "the-one"}
    check(Storm(web, headers).rage())
    assert battles(web) - before == 1
    assert redis_client.llen(jobs.QUEUE_BATTLES) == 1
    again = Storm(web, headers).rage()
    assert len(again.begun) == REQUESTS, "once answered, everybody is answered"
    assert battles(web) - before == 1


def test_so_are_those_of_somebody_who_has_no_session_yet(web: Web) -> None:
    before = battles(web)
    storm = Storm(web, {"Idempotency-Key": str(uuid.uuid4())}).rage()
    check(storm)
    assert battles(web) - before == 1
    assert len({h["Set-Cookie"] for status, _, h in storm.replies if status == 202}) == 1


def test_a_process_that_is_killed_over_a_request_blocks_its_key_for_no_longer_than_the_claim(
    redis_url: str, redis_client: redis.Redis, tmp_path: Path
) -> None:
    with web_process(redis_url, tmp_path) as web:
        report_worker(redis_client, queue_bound=10_000)
        headers = {"Cookie": session_of(web), "Idempotency-Key": "k", "Content-Type": "application/json"}
        lock = create_engine(f"sqlite:///{tmp_path / 'arena.sqlite3'}").raw_connection()
        lock.driver_connection.isolation_level = None  # type: ignore[union-attr]
        lock.cursor().execute("BEGIN IMMEDIATE")  # so that the request cannot end
        line = http.client.HTTPConnection("127.0.0.1", web.port, timeout=60)
        line.request("POST", "/api/battles", json.dumps({"prompt": "Why?"}), headers)
        claims = wait_for("the claim", lambda: redis_client.keys("arena:idempotency:*"), process=web.process)
        web.process.kill()
        lock.close()
        line.close()
        assert 0 < redis_client.ttl(claims[0]) <= 60
        web.start()

        def begin() -> int:
            again = http.client.HTTPConnection("127.0.0.1", web.port, timeout=60)
            again.request("POST", "/api/battles", json.dumps({"prompt": "Why?"}), headers)
            reply = again.getresponse()
            reply.read()
            again.close()
            return reply.status

        report_worker(redis_client, queue_bound=10_000)
        assert begin() == 409
        redis_client.delete(claims[0])  # as its end of life does
        assert begin() == 202
