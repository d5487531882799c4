"""``./ops/up --production`` into an empty root: what it leaves, whose it is, and that a second time changes nothing."""

from __future__ import annotations

import stat
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from ops.install import accounts, command, program, units
from ops.install.host import Host
from ops.install.steps import STEPS
from ops.setup.console import SetupError
from tests.ops.host.conftest import Installed
from tests.ops.host.programs import Unit

SECRET_FILES = ("web.env", "worker.env", "admin.env", "web.local.env", "worker.local.env")


def test_the_plan_is_told_without_doing_anything(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    root = tmp_path / "empty"
    assert command.install(["--domain", "arena.example", "--root", str(root), "--dry-run"]) == 0
    told = capsys.readouterr().out
    assert [s.name for s in STEPS if not s.machine] == [line.split()[1] for line in told.splitlines()[1:]]
    assert not root.exists()


def test_no_secret_can_be_read_by_anybody_but_root(installed: Installed) -> None:
    host = installed.host
    secret = [host.etc / name for name in SECRET_FILES] + list((host.etc / "secrets").iterdir())
    assert len(secret) > len(SECRET_FILES) + 3
    for file in secret:
        assert (file.stat().st_uid, stat.S_IMODE(file.stat().st_mode)) == (0, 0o600), file
    known = (host.etc / "secrets" / "signing_key").read_text().strip()
    assert known not in (host.etc / "worker.env").read_text()
    assert "DATABASE" not in (host.etc / "worker.env").read_text()


@pytest.mark.long
def test_a_second_time_changes_nothing_and_keeps_what_the_operator_wrote(installed: Installed) -> None:
    host = installed.host
    (host.etc / "web.local.env").write_text("ARENA_CONTACT=somebody@arena.example\n")
    watched = [p for top in (host.etc, host.units, host.opt / "current") for p in top.rglob("*") if p.is_file()]
    before = {p: (p.read_bytes(), p.stat().st_mtime_ns) for p in watched if "__pycache__" not in p.parts}
    installed.install()
    # The store's passwords stay; its files are written anew, with the same content.
    same = {p for p, (content, _) in before.items() if p.read_bytes() == content}
    assert same == set(before)
    assert all(p.stat().st_mtime_ns == when for p, (_, when) in before.items() if p.parent.name != "secrets")
    assert not host.pending.exists()


def test_systemd_takes_every_unit_and_timer(installed: Installed) -> None:
    host = installed.host
    files = [host.units / name for name in units.render(host) if "@" not in name]
    assert len(files) == 11
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *files], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert str(host.units) not in done.stderr, done.stderr


def test_a_worker_for_each_gpu_has_a_name_and_a_device_of_its_own(installed: Installed) -> None:
    unit = Unit(installed.host, units.WORKER_TEMPLATE)
    assert unit.environment("1")["CUDA_VISIBLE_DEVICES"] == "1"
    assert "gpu%i@%h" in unit.command
    two = command._options(command.parser().parse_args([*installed.arguments, "--gpus", "2"]))
    host = type(installed.host)(two)
    assert units.worker_units(host) == ["vllm-arena@0.service", "vllm-arena@1.service"]
    assert "vllm-arena@0.service vllm-arena@1.service" in units.render(host)["arena.target"]


def test_a_worker_is_given_the_time_its_battles_may_take(installed: Installed) -> None:
    unit = Unit(installed.host, units.WORKER_UNIT)
    assert int(unit.one("TimeoutStopSec")) > int(unit.environment()["ARENA_DRAIN_S"]) + 30


def test_what_was_interrupted_before_the_start_is_still_started_anew(installed: Installed) -> None:
    host = installed.host
    host.changed.add(host.units / "arena-web.service")
    host.keep_in_mind()
    again = installed.host
    again.remember()
    host.forget()
    assert again.changed == {host.units / "arena-web.service"}


def test_every_user_of_a_unit_is_made(installed: Installed) -> None:
    for name in units.render(installed.host):
        if name.endswith(".service"):
            for user in Unit(installed.host, name).entries["User"]:
                assert f"u {user} " in accounts.SYSUSERS
                assert installed.host.ids(user)[0] > 0


def test_a_network_that_is_none_is_refused_in_a_line(installed: Installed) -> None:
    with pytest.raises(SetupError, match="'somewhere' is no network"):
        command.install([*installed.arguments, "--private", "somewhere"])
    installed.host.forget()


def test_models_are_fetched_from_where_the_operator_said_and_in_his_budget(
    installed: Installed, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, Mapping[str, str]]] = []

    def as_user(_: Host, user: str, __: Sequence[object], environment: Mapping[str, str], *___: str) -> str:
        asked.append((user, environment))
        return ""

    monkeypatch.setattr(Host, "as_user", as_user)
    monkeypatch.setenv("ARENA_MODELS_BUDGET", "30GB")  # of the caller: before what is written down
    local = installed.host.etc / "worker.local.env"
    before = local.read_text()
    local.write_text("ARENA_MODELS_MIRROR='https://files.example/models'\nARENA_MODELS_BUDGET=60GB\nHF_TOKEN=hf_x\n")
    try:
        program.models(replace(installed.host, options=replace(installed.host.options, fetch=True)))
    finally:
        local.write_text(before)
    ((user, environment),) = asked
    assert user == "arena-worker"
    assert environment["ARENA_MODELS_MIRROR"] == "https://files.example/models"
    assert (environment["ARENA_MODELS_BUDGET"], environment["HF_TOKEN"]) == ("30GB", "hf_x")
    assert "ARENA_REDIS_URL" not in environment
