"""What the probes find out: an address that answers, a worker that takes battles, a database that is ready."""

from __future__ import annotations

import http.server
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from ops.containers import health
from tests.processes import ROOT, free_port
from tests.web.helpers import report_worker
from web.migrate import upgrade


@pytest.fixture
def site() -> Iterator[str]:
    """Answers 200 at /health and 503 elsewhere."""

    class Site(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/health" else 503)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Site) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_an_address_answers_or_it_is_said_why_not(site: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert health.main([f"{site}/health"]) == 0
    assert health.main([f"{site}/ready"]) == 1
    assert health.main([f"http://127.0.0.1:{free_port()}/health"]) == 1
    said = capsys.readouterr().err.splitlines()
    assert said[0] == f"{site}/ready: 503"
    assert "refused" in said[1]


def test_a_worker_is_ready_while_it_takes_battles(
    redis_client: redis.Redis, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARENA_REDIS_URL", redis_url)
    me = f"arena@{socket.gethostname()}"
    report_worker(redis_client, "arena@elsewhere")
    assert health.main(["--accepting", "arena"]) == 1
    report_worker(redis_client, me)
    assert health.main(["--accepting", "arena"]) == 0
    report_worker(redis_client, me, accepting=False)
    assert health.main(["--accepting", "arena"]) == 1
    monkeypatch.setenv("ARENA_REDIS_URL", f"redis://127.0.0.1:{free_port()}/0")
    assert health.accepting("arena") == "Redis: ConnectionError"


def test_web_waits_until_the_database_has_been_migrated(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "ops.containers.health", "--migrated"]
    env = {"ARENA_DATA_DIR": str(tmp_path)}
    with subprocess.Popen(command, cwd=ROOT, env=env, stderr=subprocess.PIPE, text=True) as waiting:
        assert waiting.stderr is not None
        assert waiting.stderr.readline() == "waiting: the database has not been migrated\n"
        upgrade(f"sqlite:///{tmp_path / 'arena.sqlite3'}")
        assert waiting.wait(30) == 0
        waiting.stderr.read()
