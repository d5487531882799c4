"""The store's users on a real server: what each may do, and that nobody gets in without a name."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from ops.setup import store
from tests.processes import ROOT, wait_for
from tests.redis_server import redis_binary
from worker.contract.brokers import broker_url


@pytest.fixture
def users(tmp_path: Path) -> Iterator[dict[str, str]]:
    """URL of each user of a running server."""
    socket = tmp_path / "r.sock"
    urls = json.loads(store.write(tmp_path, socket).read_text())
    options = ["--port", "0", "--unixsocket", str(socket), "--save", "", "--aclfile", str(store.acl_file(tmp_path))]
    server = subprocess.Popen([redis_binary(), *options, "--dir", str(tmp_path)], stdout=subprocess.DEVNULL)
    try:
        wait_for("the server", socket.exists)
        yield urls
    finally:
        server.terminate()
        server.wait(10)


def run(url: str, *command: object) -> object:
    with redis.Redis.from_url(url) as client:
        return client.execute_command(*command)


def test_each_may_do_its_work(users: dict[str, str]) -> None:
    for user in ("web", "worker"):
        run(users[user], "SET", "arena:battle:x:meta", "1")
        run(users[user], "LPUSH", "battles\x06\x163", "job")
        run(users[user], "LPUSH", "records", "result")
        run(users[user], "HSET", "unacked", "tag", "message")
        run(users[user], "PUBLISH", "arena:battle:x", "frame")
    assert run(users["admin"], "CONFIG", "GET", "maxmemory-policy")
    run(users["admin"], "PUBLISH", "/0.arena.worker.pidbox", "a command")


@pytest.mark.parametrize(
    ("user", "command"),
    [
        ("web", ("PUBLISH", "/0.arena.worker.pidbox", "shutdown")),
        ("worker", ("PUBLISH", "/0.arena.records.pidbox", "shutdown")),
        ("web", ("FLUSHALL",)),
        ("worker", ("CONFIG", "SET", "dir", "/")),
        ("web", ("MONITOR",)),
        ("worker", ("KEYS", "*")),
        ("web", ("SET", "somebody-else", "1")),
        ("web", ("ACL", "LIST")),
    ],
)
def test_nobody_may_do_more(users: dict[str, str], user: str, command: tuple[str, ...]) -> None:
    with pytest.raises(redis.exceptions.NoPermissionError):
        run(users[user], *command)


def test_without_a_name_nobody_gets_in(users: dict[str, str]) -> None:
    nobody = "unix://" + users["web"].partition("@")[2]
    with pytest.raises(redis.exceptions.AuthenticationError):
        run(nobody, "PING")


def test_passwords_last_from_start_to_start_and_are_for_this_user_only(tmp_path: Path) -> None:
    file = store.write(tmp_path, tmp_path / "r.sock")
    first = file.read_text()
    assert store.write(tmp_path, tmp_path / "r.sock").read_text() == first
    assert len(set(json.loads(first).values())) == 3
    for name in ("redis.users", "redis.acl", "redis-admin.url"):
        assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
    words = [url.split(":")[2].split("@")[0] for url in json.loads(first).values()]
    assert not [word for word in words if word in store.acl_file(tmp_path).read_text()]


def test_the_gate_hands_a_program_its_own_url_and_no_other(tmp_path: Path) -> None:
    users = store.write(tmp_path, tmp_path / "r.sock")
    gate = [sys.executable, "-m", "ops.gate", "--redis-as", "worker", "--", sys.executable, "-c"]
    says = "import os; print(os.environ['ARENA_REDIS_URL'], 'ARENA_REDIS_USERS' in os.environ)"
    for named in ({store.USERS_FILE: str(users)}, {}):
        env = {**os.environ, "ARENA_REDIS_URL": "redis://mine", **named}
        said = subprocess.run([*gate, says], env=env, cwd=ROOT, capture_output=True, text=True, check=True).stdout
        expected = json.loads(users.read_text())["worker"] if named else "redis://mine"
        assert said.split() == [expected, "False"]


def test_celery_is_told_the_user_too() -> None:
    assert broker_url("unix://web:hush@/run/r.sock?db=0") == "redis+socket://web:hush@/run/r.sock?virtual_host=0"
