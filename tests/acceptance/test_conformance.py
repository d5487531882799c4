"""The running arena against its own OpenAPI document: schemathesis makes requests, good and bad ones. Every answer's
status, headers and body must be what the document says, the bad ones refused and the good ones not.

A real stack answers: gunicorn, records worker and a worker with stand-in engines, so that battles end, can be voted,
gone on with and shared. Event streams are left out, since they do not end; they have tests of their own.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.processes import ROOT, Stack, arena
from tests.redis_server import private_redis

PLENTY = "1000000"
RAISED = {
    "ARENA_PROMPTS_PER_MINUTE": PLENTY,
    "ARENA_PROMPTS_PER_MINUTE_PER_ADDRESS": PLENTY,
    "ARENA_PROMPTS_PER_DAY": PLENTY,
    "ARENA_PROMPTS_PER_DAY_PER_ADDRESS": PLENTY,
    "ARENA_VOTES_PER_DAY": PLENTY,
    "ARENA_VOTES_PER_DAY_PER_ADDRESS": PLENTY,
    "ARENA_REQUESTS_PER_MINUTE": PLENTY,
    "ARENA_OPEN_BATTLES": PLENTY,
    "ARENA_BATCHES_OPEN": PLENTY,
    "ARENA_QUEUE_BOUND": PLENTY,
}
ENDLESS = "/events$"
CONFIG = """
[auth.openapi.key]
bearer = "{key}"

# What is too long for the server is refused before anybody looks at its form.
[checks.negative_data_rejection]
expected-statuses = ["400", "401", "403", "404", "405", "406", "409", "413", "414", "415", "422", "428", "429", "431"]

# A cursor is opaque: no schema can say which are ours, so one that is of the right form may be refused all the same.
[[operations]]
include-name-regex = "^GET /api/(battles|batches|admin/audit|admin/votes|admin/sessions)$"
checks.positive_data_acceptance.expected-statuses = ["2xx", "3xx", "401", "403", "404", "409", "422", "429"]

# How long an answer may be asked for is a setting; and reasons must be printable, which no pattern says.
[[operations]]
include-name-regex = "^POST /api/(battles|batches|admin/.*)$"
checks.positive_data_acceptance.expected-statuses = ["2xx", "3xx", "401", "403", "404", "409", "422", "429"]

# Parquet needs a package that a server may do without.
[[operations]]
include-name-regex = "^GET /api/exports/"
checks.positive_data_acceptance.expected-statuses = ["2xx", "3xx", "401", "403", "404", "406", "409", "422", "429"]

# OpenAI's protocol refuses fields that do not go together, such as stream_options without a stream, with 400; and 7.0
# is an integer to a schema, but not to those who read one.
[[operations]]
include-name-regex = "^POST /v1/chat/completions$"
checks.positive_data_acceptance.expected-statuses = ["2xx", "3xx", "400", "401", "403", "404", "409", "422", "429"]
"""


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = Path(tmp_path_factory.mktemp("conformance"))
    catalog = str(ROOT / "ops" / "catalogs" / "echo.toml")
    env = {"ARENA_CATALOG": catalog, **RAISED}
    with private_redis(folder) as url, arena({"ARENA_REDIS_URL": url, **env}, folder) as made:
        yield made


def make_key(stack: Stack, name: str, *scopes: str) -> str:
    """A key as an operator makes one."""
    flask = [sys.executable, "-m", "flask", "--app", "web", "keys", "create", name, "--json"]
    options = [part for scope in scopes for part in ("--scope", scope)]
    env = {**os.environ, **stack.env}
    made = subprocess.run([*flask, *options], env=env, cwd=ROOT, check=True, capture_output=True, text=True)
    key: str = json.loads(made.stdout)["key"]
    return key


def conforms(stack: Stack, folder: Path, key: str, examples: int, *options: str) -> int:
    """Run schemathesis with all of its checks; how many cases it tried. Fails with what it found."""
    (folder / "schemathesis.toml").write_text(CONFIG.format(key=key))
    report = folder / "report.json"
    command = [Path(sys.executable).with_name("st"), "--config-file", folder / "schemathesis.toml", "run"]
    limits = ["--checks", "all", "--max-examples", str(examples), "--request-timeout", "30", "--seed", "1"]
    reports = ["--report", "json", "--report-json-path", str(report)]
    env = {**os.environ, "SCHEMATHESIS_HOOKS": "tests.acceptance.conformance", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [*map(str, command), f"{stack.url}/openapi.json", *limits, *reports, *options],
        env=env,
        cwd=folder,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-20_000:] + done.stderr[-2000:]
    told: dict[str, Any] = json.loads(report.read_text())
    return int(told["test_cases"]["generated"])


@pytest.mark.parametrize(
    ("examples", "least"), [(2, 500), pytest.param(240, 5000, marks=pytest.mark.long)], ids=["default", "long"]
)
def test_what_programs_and_browsers_use_is_what_the_document_says(
    stack: Stack, tmp_path: Path, examples: int, least: int
) -> None:
    key = make_key(stack, f"program-{examples}", "battle", "chat", "export")
    tried = conforms(stack, tmp_path, key, examples, "--exclude-path-regex", f"^/api/admin|{ENDLESS}")
    assert tried >= least
    assert "Traceback" not in stack.web.text()


@pytest.mark.parametrize(
    ("examples", "phases"),
    [(2, "examples,fuzzing"), pytest.param(30, "examples,coverage,fuzzing,stateful", marks=pytest.mark.long)],
    ids=["default", "long"],
)
def test_what_operators_use_is_what_the_document_says(stack: Stack, tmp_path: Path, examples: int, phases: str) -> None:
    key = make_key(stack, f"operator-{examples}", "admin")
    options = ["--include-path-regex", "^/(api/admin|metrics)", "--exclude-path-regex", ENDLESS, "--phases", phases]
    assert conforms(stack, tmp_path, key, examples, *options) > 0
    assert "Traceback" not in stack.web.text()
