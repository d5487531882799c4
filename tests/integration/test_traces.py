"""One prompt through web, queue, worker and records is one trace, and nothing that was written is in it."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import redis

from ops.client import Client
from tests.integration.conftest import entry
from tests.processes import arena, wait_for

pytest.importorskip("opentelemetry.sdk")
service = pytest.importorskip("opentelemetry.proto.collector.trace.v1.trace_service_pb2")

CANARY = "canary-5d70"


@dataclass(frozen=True)
class Span:
    trace: bytes
    id: bytes
    parent: bytes
    name: str
    service: str
    facts: dict[str, str]


@dataclass
class Collector:
    """What arrived over OTLP, decoded and raw."""

    url: str = ""
    spans: list[Span] = field(default_factory=list)
    raw: bytes = b""

    def take(self, body: bytes) -> None:
        self.raw += body
        for group in service.ExportTraceServiceRequest.FromString(body).resource_spans:
            named = {a.key: a.value.string_value for a in group.resource.attributes}
            for scope in group.scope_spans:
                for s in scope.spans:
                    facts = {a.key: a.value.string_value or str(a.value.int_value) for a in s.attributes}
                    self.spans.append(
                        Span(s.trace_id, s.span_id, s.parent_span_id, s.name, named["service.name"], facts)
                    )


@pytest.fixture
def collector() -> Iterator[Collector]:
    collected = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            collected.take(gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    collected.url = f"http://127.0.0.1:{server.server_port}"
    yield collected
    server.shutdown()
    server.server_close()
    thread.join(5)


def test_a_battles_spans_form_one_trace(
    tmp_path: Path, redis_url: str, redis_client: redis.Redis, collector: Collector
) -> None:
    text = ', text = "{prompt} indeed"'
    (tmp_path / "catalog.toml").write_text(entry("ant", more=text) + entry("bee", more=text))
    env = {
        "ARENA_REDIS_URL": redis_url,
        "ARENA_CATALOG": str(tmp_path / "catalog.toml"),
        "ARENA_OTEL_ENDPOINT": collector.url,
    }
    with arena(env, tmp_path) as stack:
        client = Client(stack.url)
        battle = client.start(f"why {CANARY}?")
        wait_for("the battle", lambda: client.battle(battle)["state"] == "finished", 60)
        wanted = {
            ("llm-arena-web", "POST /api/battles"),
            ("llm-arena-web", "send worker.run_battle"),
            ("llm-arena-worker", "run worker.run_battle"),
            ("llm-arena-worker", "answer"),
            ("llm-arena-worker", "send records.started"),
            ("llm-arena-worker", "send records.finished"),
            ("llm-arena-records", "run records.started"),
            ("llm-arena-records", "run records.finished"),
        }

        def of_battle() -> list[Span]:
            root = next((s for s in collector.spans if s.name == "POST /api/battles"), None)
            return [s for s in collector.spans if root is not None and s.trace == root.trace]

        wait_for("all spans", lambda: wanted <= {(s.service, s.name) for s in of_battle()}, 30)
        spans = of_battle()
    ids = {s.id for s in spans}
    assert [s.name for s in spans if not s.parent] == ["POST /api/battles"]
    assert [s.name for s in spans if s.parent and s.parent not in ids] == []
    assert sorted(s.facts["arena.side"] for s in spans if s.name == "answer") == ["a", "b"]
    assert {s.facts["arena.battle"] for s in spans if s.name.startswith("run ")} == {battle}
    assert next(s for s in spans if not s.parent).facts["http.response.status_code"] == "202"
    assert CANARY.encode() not in collector.raw
    assert b"SELECT" not in collector.raw
