"""A second host: installed with what the first one gave, it takes battles and is taken away again."""

from __future__ import annotations

import json
import signal
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from unittest import mock

import pytest

from ops.client import Client
from ops.doctor.__main__ import examine
from ops.doctor.checks import Finding, Patient
from ops.install import command, config, joined, several, units
from ops.install.host import Host
from ops.install.steps import STEPS
from ops.setup.console import SetupError
from tests.ops.host.conftest import Installed
from tests.ops.host.programs import Unit, UnitProcess
from tests.ops.host.test_running import visitor as visitor
from tests.processes import free_port, wait_for
from worker.contract import residency


@pytest.fixture
def second(running: Installed, tmp_path: Path) -> Installed:
    """Below the first one's root, in whose interpreter it is run."""
    carried = tmp_path / "join.url"
    carried.write_text((running.host.etc / "secrets" / several.JOIN).read_text())
    words = ["--worker-only", "--broker", str(carried), "--root", str(running.root / "second"), "--no-fetch"]
    made = Installed(running.root / "second", [*words, *_kept(running.arguments, "--venv", "--catalog")])
    made.install()
    carried.unlink()
    return made


def _kept(arguments: list[str], *names: str) -> list[str]:
    return [word for name in names for word in (name, arguments[arguments.index(name) + 1])]


@pytest.fixture
def worker(second: Installed) -> Iterator[UnitProcess]:
    """The second host's worker; both hosts of the tests have one name, so it is called by another."""
    logs = second.root / "logs"
    logs.mkdir(exist_ok=True)
    unit = Unit(second.host, "vllm-arena.service")
    process = unit.process(logs, {"ARENA_PACE_TAIL_S": "0.2", "ARENA_DRAIN_S": "1"})
    process.command = [word.replace("arena@%h", "arena@second") for word in process.command]
    try:
        yield process
    finally:
        process.stop()


def reports(first: Installed) -> dict[str, residency.Residency]:
    with first.redis() as client:
        return {r.worker: r for r in residency.read(client)}


def taking(first: Installed, name: str) -> Callable[[], bool]:
    return lambda: name in reports(first) and reports(first)[name].accepting


def test_a_host_of_workers_has_what_workers_need_and_nothing_of_the_first(second: Installed) -> None:
    host = second.host
    assert {p.name for p in host.units.iterdir()} == {"vllm-arena.service", "vllm-arena@.service", "arena.target"}
    assert [p.name for p in (host.etc / "secrets").iterdir()] == [several.BROKER]
    assert sorted(p.name for p in host.etc.iterdir()) == ["catalog.toml", "secrets", "worker.env", "worker.local.env"]
    for file in (host.etc / "secrets" / several.BROKER, host.etc / "worker.env"):
        assert (file.stat().st_uid, stat.S_IMODE(file.stat().st_mode)) == (0, 0o600)
    assert "Wants=vllm-arena.service\n" in (host.units / "arena.target").read_text()
    files = [p for p in host.units.iterdir() if "@" not in p.name]
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *files], capture_output=True, text=True, check=False
    )
    assert (done.returncode, str(host.units) in done.stderr) == (0, False), done.stderr


def test_an_upgrade_needs_no_more_than_what_was_brought_once(second: Installed) -> None:
    again = [w for w in second.arguments if w != "--broker" and not w.endswith("join.url")]
    before = (second.host.etc / "worker.env").read_bytes()
    assert command.install(again) == 0
    assert (second.host.etc / "worker.env").read_bytes() == before


def test_it_joins_takes_battles_alone_and_leaves_without_losing_one(
    running: Installed, second: Installed, worker: UnitProcess, visitor: Client
) -> None:
    worker.start()
    wait_for("the second host to take battles", taking(running, "arena@second"), 60, worker)
    found = as_second(second)
    assert [f for f in found if f.level == "fail"] == []
    told = {f.name: f.what for f in found if f.level == "ok"}
    assert {"store", "workers", "models", "permissions"} <= set(told)
    assert not {"database", "certificate", "backups", "ports"} & {f.name for f in found}
    assert "elsewhere: arena@" in told["workers"]
    first = next(name for name in reports(running) if name != "arena@second")
    _control(running, "drain", first)
    try:
        wait_for("the first host's worker to be drained", lambda: not reports(running)[first].accepting, 30)
        visitor.visit()
        battles = [visitor.start(f"Who answers, {n}?") for n in range(4)]
        wait_for("the second host to be asked", lambda: "Task worker.run_battle" in worker.text(), 30, worker)
    finally:
        _control(running, "resume", first)
    wait_for("the first host's worker to be back", taking(running, first), 30)
    worker.signal(signal.SIGTERM)  # what `systemctl stop` sends: it ends, or hands over
    assert [visitor.watch(battle).view.state for battle in battles] == ["finished"] * 4
    assert [visitor.vote(battle, "a")["winner"] for battle in battles] == ["a"] * 4
    worker.wait(60)
    wait_for("the second host to be gone", lambda: "arena@second" not in reports(running), 30)
    gone = {f.name: (f.level, f.fix) for f in as_second(second)}
    assert gone["workers"][0] == "fail"
    assert "journalctl" in gone["workers"][1]


def as_second(second: Installed) -> list[Finding]:
    """What the doctor finds where the machine is called so."""
    with mock.patch.object(joined.socket, "gethostname", return_value="second"):
        return examine(Patient(second.root))


def _control(first: Installed, verb: str, name: str) -> None:
    environment = Patient(first.root).environment("admin")
    words = [first.host.python, "-m", "celery", "-A", "worker", "control", "-t", "10", "-d", name, verb]
    done = subprocess.run(
        words, cwd=first.host.current, env={"PATH": "/usr/bin:/bin", **environment}, capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_wrong_password_and_a_closed_way_are_told_apart(second: Installed) -> None:
    file = second.host.etc / "worker.env"
    kept = file.read_text()
    url = next(line for line in kept.splitlines() if line.startswith("ARENA_REDIS_URL="))
    word = url.split("worker:")[1].split("@")[0]
    said = {}
    for name, wrong in {"password": url.replace(word, "x"), "way": f"{url.rpartition(':')[0]}:{free_port()}/0"}.items():
        file.write_text(kept.replace(url, wrong))
        [one] = [f for f in examine(Patient(second.root)) if f.name == "store"]
        said[name] = (one.level, one.what)
    file.write_text(kept)
    assert "does not take the workers' password" in said["password"][1]
    assert "does not answer" in said["way"][1]
    assert {level for level, _ in said.values()} == {"fail"}


def test_the_first_hosts_store_answers_there_and_in_its_unit_only_the_networks_named(running: Installed) -> None:
    unit = Unit(running.host, "arena-redis.service")
    assert (unit.one("PrivateNetwork"), unit.one("IPAddressDeny")) == ("no", "any")
    assert unit.one("IPAddressAllow").split()[:2] == ["localhost", "127.0.0.1"]
    port = running.host.options.store_bind.rpartition(":")[2]
    [one] = [f for f in examine(Patient(running.root)) if f.name == "ports" and f.what.endswith(f":{port}")]
    assert one.level == "ok"


def test_without_other_hosts_the_store_has_no_network(installed: Installed) -> None:
    words = installed.arguments
    at = words.index("--store-bind")
    host = Host(command._options(command.parser().parse_args([*words[:at], *words[at + 2 :]])))
    assert "PrivateNetwork=yes" in units.render(host)["arena-redis.service"]
    assert "\nport 0\n" in config.redis_conf(host)


def test_the_plan_of_a_host_of_workers_leaves_out_what_it_has_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command.install(["--worker-only", "--root", str(tmp_path / "x"), "--dry-run"]) == 0
    names = [line.split()[1] for line in capsys.readouterr().out.splitlines()[1:]]
    assert names == [s.name for s in STEPS if s.of_workers and not s.machine]
    assert not {"backup", "site", "database", "migration"} & set(names)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--domain", "a.example", "--store-bind", "0.0.0.0"], "not private"),
        (["--domain", "a.example", "--store-bind", "8.8.8.8"], "not private"),
        (["--domain", "a.example", "--store-bind", "here"], "is no address"),
        (["--domain", "a.example", "--store-bind", "10.254.254.254"], "no address of this host"),
        (["--worker-only"], "store is not known"),
        (["--worker-only", "--broker", "/etc/hostname"], "is not what the first host gives"),
        (["--worker-only", "--store-bind", "127.0.0.1"], "has no store"),
        ([], "needs a name"),
        (["--domain", "a.example", "--broker", "x"], "needs a name"),
    ],
)
def test_what_cannot_be_is_refused_in_a_line(words: list[str], said: str, tmp_path: Path) -> None:
    with pytest.raises(SetupError, match=said):
        command.install([*words, "--root", str(tmp_path / "x"), "--catalog", "ops/catalogs/echo.toml"])
    assert not (tmp_path / "x" / "opt").exists()


def test_the_admin_account_is_not_what_is_given_away(running: Installed) -> None:
    given = (running.host.etc / "secrets" / several.JOIN).read_text()
    urls = json.loads((running.host.etc / "secrets" / "redis.users").read_text())
    words = {name: url.split(f"{name}:")[1].split("@")[0] for name, url in urls.items()}
    assert words["worker"] in given
    assert words["admin"] not in given
    assert words["web"] not in given
