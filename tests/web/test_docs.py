"""``/docs``: all of the document, readable without a script and under the strict policy."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from web import docs, pages
from web.openapi.reading import read_groups, rows, type_of

NAMES = ["docs.css", "site.css", "icon.svg", "inter-latin-wght-normal.woff2"]


@pytest.fixture
def built(tmp_path: Path, app: Flask, monkeypatch: pytest.MonkeyPatch) -> None:
    """A build of nothing much, in place of the real one."""
    files = {name: name.replace(".", "-ABCDEFGH.", 1) for name in NAMES}
    (tmp_path / "manifest.json").write_text(json.dumps({"files": files, "preload": {}}))
    monkeypatch.setattr(pages._assets, "folder", tmp_path)


@pytest.fixture
def text(client: FlaskClient, built: None) -> str:
    reply = client.get("/docs")
    assert reply.status_code == 200, reply.text
    assert "trusted-types 'none'" in reply.headers["Content-Security-Policy"]
    return reply.text


def test_every_operation_and_every_code_is_on_the_page(client: FlaskClient, text: str) -> None:
    spec = client.get("/openapi.json").get_json()
    for path, operations in spec["paths"].items():
        assert path in text
        for operation in operations.values():
            assert f'id="{operation["operationId"].replace("_", "-")}"' in text
    for problem in spec["x-problems"]:
        assert f"<code>{problem['code']}</code>" in text


def test_the_page_needs_no_script_and_nothing_from_elsewhere(text: str) -> None:
    assert "<script" not in text
    assert "<style" not in text
    assert " style=" not in text
    for address in re.findall(r'(?:src|href)="([^"]*)"', text):
        assert address.startswith(("/", "#")), address
    assert "{{" not in text


def test_every_link_on_the_page_leads_somewhere(text: str) -> None:
    ids = re.findall(r'id="([^"]+)"', text)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]+)"', text)) <= set(ids)


def test_code_in_words_is_marked_and_everything_else_escaped() -> None:
    assert docs.worded("use `a<b` & <i>") == "use <code>a&lt;b</code> &amp; &lt;i&gt;"


def test_a_curl_line_is_one_that_a_shell_reads_as_meant(client: FlaskClient) -> None:
    spec = client.get("/openapi.json").get_json()
    spec["paths"] = {"/api/batches": spec["paths"]["/api/batches"]}
    [group] = read_groups(spec, "http://arena.test")
    [line] = [op.curl for op in group.operations if op.method == "POST"]
    script = f"curl() {{ printf '%s\\n' \"$@\"; }}; ARENA_KEY=k-1; {line}"
    said = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout.splitlines()
    assert "Authorization: Bearer k-1" in said
    assert json.loads(said[-1])["prompts"]
    assert "http://arena.test/api/batches" in said


def test_fields_are_told_with_what_is_inside_them() -> None:
    schemas: dict[str, Any] = {
        "Inner": {"type": "object", "properties": {"n": {"type": "integer", "minimum": 1, "maximum": 9}}},
    }
    schema = {
        "type": "object",
        "required": ["list"],
        "properties": {
            "list": {"type": "array", "items": {"$ref": "#/components/schemas/Inner"}},
            "maybe": {"anyOf": [{"$ref": "#/components/schemas/Inner"}, {"type": "null"}]},
        },
    }
    assert [(r.name, r.type, r.required, r.depth) for r in rows(schema, schemas)] == [
        ("list", "list of object", True, 0),
        ("n", "integer, 1 to 9", False, 1),
        ("maybe", "object | null", False, 0),
        ("n", "integer, 1 to 9", False, 1),
    ]
    assert type_of({"enum": ["a", "b"]}, {}) == '"a" | "b"'
