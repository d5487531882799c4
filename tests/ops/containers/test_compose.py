"""``ops/compose.yaml`` against Compose's own schema, and against what the programs themselves say they need."""

from __future__ import annotations

import json
import re
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from ops.containers import secrets
from ops.install.config import DRAIN_S
from ops.install.units import USUAL_DRAIN_S
from ops.setup.layout import Layout
from ops.setup.programs import Program, programs, redis_options
from ops.setup.venv import Venv
from tests.processes import ROOT
from web.production import check
from web.settings import WebSettings
from worker.settings import WorkerSettings

FILE = ROOT / "ops" / "compose.yaml"
CALLER = {"ARENA_DOMAIN": "arena.example", "ARENA_CATALOG": "ops/catalogs/cpu.toml"}
VARIABLE = re.compile(r"\$\{(\w+)(?::([-?])([^}]*))?\}")


def filled(text: str) -> str:
    """Compose's ``${NAME:-default}`` and ``${NAME:?why}``."""

    def value(match: re.Match[str]) -> str:
        name, sign, rest = match.groups()
        if name in CALLER:
            return CALLER[name]
        assert sign == "-", f"{name} is not set: {rest}"
        return rest or ""

    return VARIABLE.sub(value, text)


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(filled(FILE.read_text()))["services"]
    return found


@pytest.fixture(scope="module")
def commands() -> dict[str, Program]:
    return {p.name: p for p in programs(Layout(Path("/data")), Venv(Path("/v")), None, {})}


def test_it_is_valid() -> None:
    schema = resources.files("check_jsonschema") / "builtin_schemas" / "vendor" / "compose-spec.json"
    whole = json.loads(schema.read_text())
    for text in (FILE.read_text(), filled(FILE.read_text())):
        jsonschema.validate(yaml.safe_load(text), whole)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"services": {"web": {"imagee": "x"}}}, whole)


def test_what_it_builds_and_mounts_is_there(services: dict[str, Any]) -> None:
    whole = yaml.safe_load(FILE.read_text())
    for name, service in services.items():
        if "build" in service:
            context = (FILE.parent / service["build"]["context"]).resolve()
            assert (context / service["build"]["dockerfile"]).is_file(), name
        for volume in service.get("volumes", []):
            source = volume.partition(":")[0]
            assert source in whole["volumes"] or source.startswith("../data/secrets/"), name
        for other in service.get("depends_on", {}):
            assert other in services


def test_the_store_is_the_one_of_a_host(services: dict[str, Any]) -> None:
    """Append-only, never evicting, with users: the options are those of `ops/up`."""
    where = {"port": "6379", "dir": "/data", "aclfile": "/etc/valkey/users.acl", "maxmemory": "1gb"}
    assert services["arena-valkey"]["command"] == ["valkey-server", *redis_options(where)]


def test_programs_are_those_of_a_host_and_have_its_time_to_end(
    services: dict[str, Any], commands: dict[str, Program]
) -> None:
    assert services["records"]["command"] == ["python", *commands["records"].command[1:]]
    worker = commands["worker"].stop_wait_s - USUAL_DRAIN_S + DRAIN_S
    for name in ("worker-cpu", "worker-gpu"):
        assert services[name]["stop_grace_period"] == f"{worker}s"
    for name in ("web", "records"):
        assert services[name]["stop_grace_period"] == f"{commands[name].stop_wait_s}s"


def test_nobody_has_more_rights_than_needed(services: dict[str, Any]) -> None:
    for name, service in services.items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["read_only"] is True, name
        assert "no-new-privileges:true" in service["security_opt"], name
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), name
        assert re.search(r":(\d+\.\d+\.?\d*-bookworm|latest)$", service["image"]), name
    assert [name for name, service in services.items() if "ports" in service] == ["web"]
    knows = {name for name, service in services.items() if "web.env" in str(service.get("env_file"))}
    assert knows == {"web", "records", "migrate"}


def test_a_model_is_fetched_before_its_worker_starts_and_tables_before_web(services: dict[str, Any]) -> None:
    done = {"condition": "service_completed_successfully"}
    for kind in ("cpu", "gpu"):
        assert services[f"worker-{kind}"]["depends_on"][f"models-{kind}"] == done
        assert services[f"models-{kind}"]["restart"] == "on-failure:3"
        assert services[f"models-{kind}"]["image"] == services[f"worker-{kind}"]["image"]
        assert services[f"worker-{kind}"]["profiles"] == [kind] == services[f"models-{kind}"]["profiles"]
    for name in ("web", "records"):
        assert services[name]["depends_on"]["migrate"] == done


def test_the_programs_take_their_settings(
    services: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With secrets as they are made, web is fit for the public."""
    files = secrets.keep(tmp_path / "secrets")
    assert files == secrets.keep(tmp_path / "secrets")
    assert (tmp_path / "secrets" / "web.env").stat().st_mode & 0o777 == 0o600
    for name, file in (("web", "web.env"), ("worker-cpu", "worker.env"), ("worker-gpu", "worker.env")):
        assert services[name]["env_file"] == f"../data/secrets/{file}"
        given = dict(line.split("=", 1) for line in files[file].splitlines())
        with monkeypatch.context() as patched:
            for variable, value in {**services[name]["environment"], **given}.items():
                patched.setenv(variable, str(value))
            if name == "web":
                check(WebSettings.from_env())
            else:
                settings = WorkerSettings.from_env()
                assert settings.redis_url.startswith("redis://worker:")
                assert not [v for v in given if v != "ARENA_REDIS_URL"]


def test_secrets_of_which_some_are_gone_are_not_made_anew(tmp_path: Path) -> None:
    secrets.keep(tmp_path)
    (tmp_path / "postgres.env").unlink()
    with pytest.raises(SystemExit, match=r"lacks postgres\.env"):
        secrets.keep(tmp_path)
