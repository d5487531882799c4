"""What the dashboard shows: rows of panels, from what people notice down to what a GPU does.

The metrics are those of web, records and the workers; ``tests/ops/monitoring`` holds every query against the names that
these really export. Sums that every web process tells alike are taken with ``max``.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

WIDTH, HEIGHT = 24, 7
_SOURCE = {"type": "prometheus", "uid": "${source}"}


@dataclass(frozen=True, slots=True)
class Panel:
    """``queries``: legend and PromQL. ``unit``: Grafana's name of it. ``stat``: one number instead of a curve."""

    title: str
    queries: tuple[tuple[str, str], ...]
    unit: str = "short"
    stat: bool = False
    what: str = ""


def _quantile(q: float, metric: str, by: str = "") -> str:
    also = f", {by}" if by else ""
    return f"histogram_quantile({q}, sum by (le{also}) (rate({metric}_bucket[$__rate_interval])))"


def _rate(metric: str, by: str, chosen: str = "") -> str:
    return f"sum by ({by}) (rate({metric}{chosen}[$__rate_interval]))"


ROWS: tuple[tuple[str, tuple[Panel, ...]], ...] = (
    ("Objectives", (
        Panel("Requests that fail", (("1 h", "arena:requests_failed:ratio1h"),), "percentunit", stat=True),
        Panel("Turns that fail", (("1 h", "arena:turns_failed:ratio1h"),), "percentunit", stat=True),
        Panel("P95 wait for engines", (("10 min", "arena:wait:p95_10m"),), "s", stat=True),
        Panel("Workers that take battles", (("now", 'max(arena_workers{accepting="yes"})'),), stat=True),
    )),
    ("People", (
        Panel("Turns a minute", (
            ("begun", "60 * sum(rate(arena_turns_begun_total[$__rate_interval]))"),
            ("{{state}}", "60 * max by (state) (rate(arena_turns_ended_total[$__rate_interval]))"),
        )),
        Panel("Votes a minute", (("{{winner}}", f"60 * {_rate('arena_votes_total', 'winner')}"),)),
        Panel("Connections held", (("{{kind}}", "sum by (kind) (arena_connections)"),)),
    )),
    ("The line", (
        Panel("Battles", (
            ("{{state}}", "max by (state) (arena_workers_battles)"),
            ("room", "max(arena_workers_queue_bound)"),
        )),
        Panel("Wait for engines", (
            ("P50", _quantile(0.5, "arena_lease_wait_seconds")),
            ("P95", _quantile(0.95, "arena_lease_wait_seconds")),
        ), "s", what="From a battle's arrival at a worker to its lease."),
        Panel("Messages no worker has taken", (("{{queue}}", "max by (queue) (arena_queue_messages)"),)),
    )),
    ("Web", (
        Panel("Requests a second by status", (("{{status}}", _rate("arena_http_requests_total", "status")),), "reqps"),
        Panel("Seconds until an answer began, P95", (
            ("{{route}}", _quantile(0.95, "arena_http_request_seconds", "route")),
        ), "s"),
        Panel("Refusals a minute by code", (("{{code}}", f"60 * {_rate('arena_refusals_total', 'code')}"),)),
        Panel("Cache of /v1", (("{{result}}", _rate("arena_cache_total", "result")),), "reqps"),
    )),
    ("Engines", (
        Panel("Tokens a second", (("{{model}}", _rate("arena_tokens_total", "model")),)),
        Panel("First token, P95", (("{{model}}", _quantile(0.95, "arena_first_token_seconds", "model")),), "s"),
        Panel("Tokens a second of one answer, median", (
            ("{{model}}", _quantile(0.5, "arena_tokens_per_second", "model")),
        )),
        Panel("Answers a minute by ending", (
            ("{{finish_reason}}", f"60 * {_rate('arena_answers_total', 'finish_reason')}"),
        )),
    )),
    ("Memory and switches", (
        Panel("Reserved on the device", (
            ("{{instance}} {{model}}", 'arena_engine_reserved_bytes{ledger="device"}'),
        ), "bytes"),
        Panel("Measured on the device", (
            ("{{instance}} {{model}}", 'arena_engine_resident_bytes{ledger="device"}'),
        ), "bytes"),
        Panel("Moves an hour", (
            ("loads", "3600 * sum(rate(arena_engine_loads_total[$__rate_interval]))"),
            ("wakes", "3600 * sum(rate(arena_engine_wakes_total[$__rate_interval]))"),
            ("evictions, {{why}}", f"3600 * {_rate('arena_engine_evictions_total', 'why')}"),
        )),
        Panel("Seconds a load takes, median", (
            ("{{model}}", _quantile(0.5, "arena_engine_load_seconds", "model")),
        ), "s"),
        Panel("Share of its time a worker loads", (
            ("{{instance}}", _rate("arena_engine_load_seconds_sum", "instance")),
        ), "percentunit"),
        Panel("Failures of engines an hour", (
            ("{{model}} {{what}}", f"3600 * {_rate('arena_engine_failures_total', 'model, what')}"),
        )),
    )),
    ("Records", (
        Panel("Tasks a minute", (
            ("{{task}} {{outcome}}", f"60 * {_rate('arena_records_tasks_total', 'task, outcome')}"),
        )),
        Panel("Seconds a task takes, P95", (("{{task}}", _quantile(0.95, "arena_records_task_seconds", "task")),), "s"),
    )),
)  # fmt: skip


def queries() -> list[str]:
    """Every PromQL expression, with Grafana's own variable for the interval replaced by one of Prometheus'."""
    whole = [query for _, panels in ROWS for panel in panels for _, query in panel.queries]
    return [query.replace("$__rate_interval", "5m") for query in whole]


def dashboard() -> dict[str, Any]:
    """Grafana's model of it, version 39 of its schema."""
    panels: list[dict[str, Any]] = []
    top = 0
    for title, row in ROWS:
        place = {"x": 0, "y": top, "w": WIDTH, "h": 1}
        panels.append(
            {"id": len(panels) + 1, "type": "row", "title": title, "collapsed": False, "gridPos": place, "panels": []}
        )
        top += 1
        width = WIDTH // min(len(row), 4 if row[0].stat else 3)
        across = WIDTH // width
        for n, panel in enumerate(row):
            x, y = width * (n % across), top + HEIGHT * (n // across)
            panels.append(_panel(panel, len(panels) + 1, {"x": x, "y": y, "w": width, "h": HEIGHT}))
        top += HEIGHT * -(-len(row) // across)
    return {
        "uid": "llm-arena",
        "title": "LLM Arena",
        "tags": ["llm-arena"],
        "schemaVersion": 39,
        "version": 1,
        "editable": False,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "timezone": "browser",
        "templating": {
            "list": [{"name": "source", "label": "Prometheus", "type": "datasource", "query": "prometheus"}]
        },
        "annotations": {"list": []},
        "panels": panels,
    }


def _panel(panel: Panel, number: int, place: dict[str, int]) -> dict[str, Any]:
    targets = [
        {"refId": chr(ord("A") + n), "expr": query, "legendFormat": legend, "datasource": _SOURCE}
        for n, (legend, query) in enumerate(panel.queries)
    ]
    return {
        "id": number,
        "type": "stat" if panel.stat else "timeseries",
        "title": panel.title,
        "description": panel.what,
        "datasource": _SOURCE,
        "gridPos": place,
        "targets": targets,
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
    }


def text() -> str:
    """The file."""
    return json.dumps(dashboard(), indent=1, ensure_ascii=False) + "\n"
