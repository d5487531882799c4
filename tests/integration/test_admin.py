"""Operators over HTTP: a real web process and a real worker, each on its own user of the store, which let neither give
the other Celery's commands."""

from __future__ import annotations

import http.client
import json
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import redis

from ops.client import Client, Refused
from ops.setup import store
from tests.integration.conftest import entry
from tests.processes import Stack, celery_worker, flask_keys, running, wait_for
from tests.redis_server import redis_binary

NODE = "worker@test"
CATALOG = entry("ant") + entry("bee") + entry("cat") + entry("slow", tokens_per_s=20, length=60)
CANARY = "canary-88aa"


@dataclass
class Operator:
    """A program with an operator's key."""

    stack: Stack
    key: str
    id: str

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        line = self.connect(method, path, body)
        answer = line.getresponse()
        raw = answer.read()
        line.close()
        return answer.status, json.loads(raw) if raw else None

    def get(self, path: str) -> Any:
        status, answer = self.ask("GET", path)
        assert status == 200, answer
        return answer

    def post(self, path: str, body: Any = None) -> Any:
        status, answer = self.ask("POST", path, body)
        assert status in (200, 202), answer
        return answer

    def connect(self, method: str, path: str, body: Any = None) -> http.client.HTTPConnection:
        line = http.client.HTTPConnection("127.0.0.1", self.stack.port, timeout=30)
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        line.request(method, f"/api/admin{path}", None if body is None else json.dumps(body), headers)
        return line

    @contextmanager
    def events(self) -> Iterator[Iterator[dict[str, Any]]]:
        """What the stream tells, until it ends."""
        line = self.connect("GET", "/events")
        answer = line.getresponse()
        assert answer.status == 200
        assert answer.headers["Content-Type"].startswith("text/event-stream")

        def told() -> Iterator[dict[str, Any]]:
            while raw := answer.readline():
                if raw.startswith(b"data: "):
                    yield json.loads(raw[6:])

        try:
            yield told()
        finally:
            answer.close()
            line.close()

    def ended(self, answer: Any) -> dict[str, Any]:
        """The operation that a command's answer names, once it has ended."""
        named = answer["answers"][0]["operation"]

        def look() -> Any:
            found = self.get(f"/operations?which={named}")["workers"][NODE]["operations"][0]
            return found if found["state"] != "running" else None

        return wait_for(f"operation {named}", look)  # type: ignore[no-any-return]

    def engine(self, model: str) -> Any:
        return self.get("/engines")["workers"][NODE]["engines"][model]


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = Path(tmp_path_factory.mktemp("operated"))
    (folder / "catalog.toml").write_text(CATALOG)
    socket = folder / "r.sock"
    users = json.loads(store.write(folder, socket).read_text())
    options = ["--port", "0", "--unixsocket", str(socket), "--save", "", "--aclfile", str(store.acl_file(folder))]
    server = subprocess.Popen([redis_binary(), *options, "--dir", str(folder)], stdout=subprocess.DEVNULL)
    try:
        wait_for("the store", socket.exists)
        env = {
            "ARENA_REDIS_URL": users["web"],
            "ARENA_CATALOG": str(folder / "catalog.toml"),
            "ARENA_LIMITS": "off",
        }
        made = Stack(env, folder)
        made.worker = celery_worker({**made.env, "ARENA_REDIS_URL": users["worker"]}, folder)
        made.migrate()
        with running(made.records, made.worker, made.web):
            made.wait_ready()
            yield made
    finally:
        server.terminate()
        server.wait(10)


@pytest.fixture
def operator(stack: Stack) -> Operator:
    made = flask_keys(stack.env, "create", "an operator", "--scope", "admin")
    return Operator(stack, made["key"], made["id"])


def test_engines_are_moved_over_http_by_the_commands_celery_has(operator: Operator) -> None:
    assert set(operator.get("/engines")["workers"][NODE]["engines"]) == {"ant", "bee", "cat", "slow"}
    for command, model, state in (("load", "cat", "ready"), ("pin", "cat", "ready"), ("unload", "bee", "cold")):
        if command == "unload" and operator.engine(model)["state"] == "cold":
            continue
        status, answer = operator.ask("POST", f"/engines/{model}/{command}")
        if status == 409:
            assert "already" in answer["detail"], answer
        else:
            assert operator.ended(answer)["state"] == "done"
        assert operator.engine(model)["state"] == state
    assert operator.engine("cat")["pinned"] is True
    assert operator.get("/memory")["workers"][NODE]["pins"] == ["cat"]
    operator.post("/engines/cat/unpin")
    for path, why in (
        ("/engines/fox/load", "no model 'fox' in the catalog"),
        ("/engines/ant/unpin", "ant is not pinned"),
        ("/resume", "takes battles already"),
    ):
        status, answer = operator.ask("POST", path)
        assert (status, answer["code"]) == (409, "command_refused")
        assert why in answer["detail"]
    for name in ("queue", "plan", "battles"):
        assert isinstance(operator.get(f"/{name}")["workers"][NODE], dict)
    lines = operator.get("/audit?limit=200")["lines"]
    mine = [(line["action"], line["target"], line["outcome"]) for line in lines if line["by"] == operator.id]
    assert ("unpin", "cat", "ok") in mine
    assert ("load", "fox", "refused") in mine
    assert ("key.create", operator.id) in [(line["action"], line["target"]) for line in lines]


def test_drain_and_resume_and_capacity(operator: Operator) -> None:
    operator.ended(operator.post("/drain"))
    client = Client(operator.stack.url)
    wait_for("web to be told", lambda: not operator.stack.ready)
    with pytest.raises(Refused) as refused:
        client.start("Nobody takes this.")
    assert refused.value.problem["code"] == "no_worker"
    operator.post("/resume")
    operator.stack.wait_ready()
    watched = client.watch(client.start("Somebody takes this."))
    assert watched.view.votable
    assert operator.post("/set_capacity", {"capacity": 3})["answers"][0]["ok"].startswith("capacity is 3; it was 2")
    operator.post("/set_capacity", {"capacity": 2})
    assert "nothing changed" in operator.post("/reload_catalog")["answers"][0]["ok"]


def test_the_stream_shows_the_work_and_ends_with_the_key(operator: Operator) -> None:
    client = Client(operator.stack.url)
    with operator.events() as told:
        board = next(told)
        assert (board["type"], board["worker"], board["accepting"]) == ("worker", NODE, True)
        assert set(board["engines"]["engines"]) == {"ant", "bee", "cat", "slow"}
        before = sum(w["answers"] for w in board["throughput"].values())
        client.watch(client.start(f"Why {CANARY}?"))
        seen = [board]
        for board, _ in zip(told, range(120), strict=False):
            seen.append(board)
            if board["type"] == "worker" and sum(w["answers"] for w in board["throughput"].values()) >= before + 2:
                break
        assert sum(w["answers"] for w in seen[-1]["throughput"].values()) >= before + 2
        assert CANARY not in json.dumps(seen)
        operator.post("/models/cat/time_out", {"seconds": 1, "reason": "a look at it"})
        assert any(e["type"] == "changed" and e["what"] == "models" for e, _ in zip(told, range(120), strict=False))
        flask_keys(operator.stack.env, "revoke", operator.id)
        list(told)  # ends by itself
    assert operator.ask("GET", "/engines")[0] == 401


def test_a_running_battle_is_cancelled_with_a_reason(operator: Operator) -> None:
    client = Client(operator.stack.url)
    for model in ("ant", "cat"):
        operator.post(f"/models/{model}/disable", {"reason": "only the slow one"})
    try:
        battle = client.start("Go on and on.")
        client.watch(battle, until=lambda event: type(event).__name__ == "SideDelta")
        assert battle in " ".join(operator.get("/battles")["workers"][NODE])
        operator.post(f"/battles/{battle}/cancel", {"reason": "spam"})
        client.watch(battle)
        wait_for("the database to know", lambda: client.battle(battle)["state"] == "cancelled")
        assert client.battle(battle)["cancelled_by"] == "operator"
        status, answer = operator.ask("POST", f"/battles/{battle}/cancel", {"reason": "again"})
        assert (status, answer["code"]) == (409, "battle_over")
    finally:
        for model in ("ant", "cat"):
            operator.post(f"/models/{model}/enable", {"reason": "over"})


def test_a_flagged_vote_and_a_session_set_apart_leave_the_board_and_return(operator: Operator) -> None:
    client = Client(operator.stack.url)

    def voted(winner: str) -> None:
        battle = client.start(f"Who is better, or {winner}?")
        client.watch(battle)
        client.vote(battle, winner)

    def counted() -> int:
        rows = client.request("GET", "/api/leaderboard")["models"]
        return sum(row["votes"] for row in rows) // 2

    start = counted()
    voted("a")
    voted("b")
    wait_for("both on the board", lambda: counted() == start + 2)
    newest = operator.get("/votes?limit=2")["votes"]
    operator.post(f"/votes/{newest[0]['id']}/flag", {"reason": "a test of the buttons"})
    wait_for("one on the board", lambda: counted() == start + 1)
    owner = newest[0]["owner"]
    assert operator.post(f"/sessions/{owner}/quarantine", {"reason": "a bot"})["votes"] == 2
    wait_for("none on the board", lambda: counted() == start)
    voted("tie")
    late = operator.get("/votes?limit=1")["votes"][0]
    assert (late["counted"], late["reasons"]) == (False, ["quarantined"])
    assert operator.post(f"/sessions/{owner}/release", {"reason": "a person"})["votes"] == 2
    wait_for("two on the board", lambda: counted() == start + 2)
    operator.post(f"/votes/{newest[0]['id']}/unflag", {"reason": "the test is over"})
    wait_for("three on the board", lambda: counted() == start + 3)


def test_a_worker_that_hangs_is_a_504_and_does_nothing_later(operator: Operator) -> None:
    operator.stack.worker.signal(signal.SIGSTOP)
    try:
        status, answer = operator.ask("POST", "/set_capacity", {"capacity": 7})
        assert (status, answer["code"]) == (504, "worker_silent")
    finally:
        operator.stack.worker.signal(signal.SIGCONT)
    assert answer["done"] == "no"
    wait_for("the worker to be back", lambda: operator.ask("GET", "/engines")[0] == 200)
    assert operator.get("/engines")["workers"][NODE]["capacity"] == 2


def test_web_still_may_not_speak_celerys_commands(stack: Stack) -> None:
    with redis.Redis.from_url(stack.env["ARENA_REDIS_URL"]) as web, pytest.raises(redis.exceptions.NoPermissionError):
        web.publish("/0.arena.worker.pidbox", "shutdown")
