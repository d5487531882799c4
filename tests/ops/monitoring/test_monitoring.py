"""Rules, dashboard, objectives and scaling: valid to the real tools, and about metrics that the programs export."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import redis
import yaml
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import CollectorRegistry

from ops.grafana import dashboard
from ops.grafana.__main__ import FILE, main
from tests.processes import ROOT
from web.metrics import Metrics as WebMetrics
from web.records.watched import TaskMetrics
from worker.memory import Bytes
from worker.metrics import Metrics as WorkerMetrics

FOLDER = ROOT / "ops" / "prometheus"
SLO = ROOT / "ops" / "slo.md"
RUNBOOK = ROOT / "ops" / "runbook.md"
NAME = re.compile(r"\b(?:arena[_:][a-z0-9_:]+|up)\b(\{[^}]*\})?")
LABEL = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)")
BY = re.compile(r"\bby \(([^)]*)\)")
OF_A_TARGET = {"job", "instance", "namespace"}
SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "gauge": ("",)}


def promtool(*words: object) -> str:
    tool = shutil.which("promtool")
    if tool is None:
        pytest.skip("promtool is not installed")
    done = subprocess.run([tool, *map(str, words)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def rules() -> list[dict[str, str]]:
    groups = yaml.safe_load((FOLDER / "rules.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def objectives() -> list[str]:
    return re.findall(r"```promql\n(.*?)\n```", SLO.read_text(), re.DOTALL)


def scaling() -> list[str]:
    found = yaml.safe_load_all((ROOT / "ops/k8s/base/scaling.yaml").read_text())
    [scaled] = [m for m in found if m["kind"] == "ScaledObject"]
    return [t["metadata"]["query"] for t in scaled["spec"]["triggers"] if t["type"] == "prometheus"]


SOURCES: dict[str, Callable[[], list[str]]] = {
    "rules": lambda: [rule["expr"] for rule in rules()],
    "dashboard": dashboard.queries,
    "objectives": objectives,
    "scaling": scaling,
}


def declared(registry: CollectorRegistry) -> dict[str, set[str]]:
    """Of a registry's own collectors: each series' name and its labels."""
    found: dict[str, set[str]] = {}
    for collector in registry._collector_to_names:
        if not isinstance(collector, MetricWrapperBase):
            continue  # it makes its series at a scrape
        for suffix in SUFFIXES[collector._type]:
            also = {"le"} if suffix == "_bucket" else set()
            found[f"{collector._name}{suffix}"] = {*collector._labelnames, *also}
    return found


def seen(page: str) -> dict[str, set[str]]:
    """What is on a page of /metrics."""
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


@pytest.fixture(scope="module")
def exported(redis_url: str) -> dict[str, set[str]]:
    """Every series of web, records and workers, with its labels."""
    from prometheus_client import generate_latest

    worker = WorkerMetrics(["ant"])
    worker.watch(running=lambda: 1, waiting=lambda: 0, held=lambda: {"ant": Bytes(device=1, host=1)})
    with redis.Redis.from_url(redis_url) as client:
        web = WebMetrics(client)
        pages = [web.page().decode(), generate_latest(worker.registry).decode()]
    found = {"up": set[str]()}
    for registry in (web.registry, worker.registry, TaskMetrics().registry):
        found |= declared(registry)
    for page in pages:
        for name, labels in seen(page).items():
            found.setdefault(name, set()).update(labels)
    return found


def test_the_names_are_there_to_be_held_against(exported: dict[str, set[str]]) -> None:
    assert exported["arena_http_requests_total"] == {"method", "route", "status"}
    assert exported["arena_queue_messages"] == {"queue"}
    assert exported["arena_lease_wait_seconds_bucket"] == {"le"}
    assert exported["arena_records_tasks_total"] == {"task", "outcome"}
    assert exported["arena_engine_resident_bytes"] == {"model", "ledger"}


@pytest.mark.parametrize("source", SOURCES)
def test_only_what_is_exported_is_asked_for(source: str, exported: dict[str, set[str]]) -> None:
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    asked = SOURCES[source]()
    assert asked
    for query in asked:
        names = {match[0].partition("{")[0]: match[1] or "" for match in NAME.finditer(query)}
        assert names, query
        unknown = {name for name in names if name not in exported and name not in recorded}
        assert not unknown, f"{query}: nobody exports {unknown}"
        known = set().union(*(exported.get(name, set()) for name in names)) | OF_A_TARGET
        for name, selector in names.items():
            missing = set(LABEL.findall(re.sub(r'"[^"]*"', "", selector))) - exported.get(name, set()) - OF_A_TARGET
            assert not missing, f"{query}: {name} has no label {missing}"
        for grouped in BY.findall(query):
            assert {word.strip() for word in grouped.split(",")} <= known, query


@pytest.mark.parametrize("source", SOURCES)
def test_every_query_is_promql(source: str, tmp_path: Path) -> None:
    made = [{"record": f"test:query:n{n}", "expr": query} for n, query in enumerate(SOURCES[source]())]
    (tmp_path / "rules.yml").write_text(yaml.safe_dump({"groups": [{"name": source, "rules": made}]}))
    assert f"{len(made)} rules found" in promtool("check", "rules", tmp_path / "rules.yml")


def test_scrapes_and_rules_are_valid_and_alert_when_they_should() -> None:
    for name in ("prometheus.yml", "kubernetes.yml"):
        assert "is valid prometheus config" in promtool("check", "config", FOLDER / name)
    assert "SUCCESS" in promtool("test", "rules", FOLDER / "rules_test.yml")


def test_every_alert_is_tested_with_and_without_cause_and_says_what_to_do() -> None:
    cases = [c for t in yaml.safe_load((FOLDER / "rules_test.yml").read_text())["tests"] for c in t["alert_rule_test"]]
    raised = {c["alertname"] for c in cases if c.get("exp_alerts")}
    silent = {c["alertname"] for c in cases if not c.get("exp_alerts")}
    headings = re.findall(r"^### (.+)$", RUNBOOK.read_text(), re.MULTILINE)
    explained = [name for heading in headings for name in re.findall(r"\bArena\w+", heading)]
    alerts = [rule["alert"] for rule in rules() if "alert" in rule]
    assert raised == silent == set(alerts)
    assert sorted(explained) == sorted(alerts)
    for rule in rules():
        if "alert" in rule:
            assert set(rule["annotations"]) == {"summary", "runbook"}  # type: ignore[arg-type]
            assert rule["labels"]["severity"] in ("critical", "warning")  # type: ignore[index]


def test_the_alert_on_waiting_begins_where_the_objective_ends() -> None:
    [promised] = re.findall(r"## Waiting: .* within (\d+) s", SLO.read_text())
    [alert] = [rule for rule in rules() if rule.get("alert") == "ArenaPeopleWait"]
    assert alert["expr"] == f"arena:wait:p95_10m > {promised}"
    assert f'arena_lease_wait_seconds_bucket{{le="{float(promised)}"}}' in SLO.read_text()


def test_a_bound_in_an_objective_is_a_bucket() -> None:
    """A query for a bucket that does not exist finds nothing, and nobody would notice."""
    from web.metrics import _SECONDS
    from worker.metrics import _WAIT_S

    bounds = {"arena_lease_wait_seconds": _WAIT_S, "arena_http_request_seconds": _SECONDS}
    asked = re.findall(r'(\w+)_bucket\{le="([\d.]+)"', "".join(objectives()))
    assert len(asked) == 2
    for name, bound in asked:
        assert bound in {str(float(each)) for each in bounds[name]}


def test_alerts_and_objectives_name_each_other() -> None:
    named = set(re.findall(r"`(Arena\w+)`", SLO.read_text()))
    alerts = {rule["alert"] for rule in rules() if "alert" in rule}
    assert named <= alerts
    assert {"ArenaRequestsFail", "ArenaTurnsFail", "ArenaPeopleWait"} <= named


def test_the_dashboard_is_the_one_the_code_makes() -> None:
    assert main(["--check"]) == 0
    made = json.loads(FILE.read_text())
    panels = made["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken: set[tuple[int, int]] = set()
    for place in (panel["gridPos"] for panel in panels):
        across, down = (range(place[a], place[a] + place[b]) for a, b in (("x", "w"), ("y", "h")))
        cells = {(x, y) for x in across for y in down}
        assert not cells & taken
        assert max(x for x, _ in cells) < dashboard.WIDTH
        taken |= cells
