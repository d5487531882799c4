"""A newer release over a running one: battles under way end, and a migration that fails has stopped nothing.

The newer one is this checkout with one migration more. systemd's part, to stop and start the units' commands, is
played by the tests' own processes; all else is the installer's real steps.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from ops.client import Client
from ops.doctor.checks import Patient
from ops.install import command, program
from ops.install.host import WEB, Host
from ops.install.steps import STEPS
from ops.setup.console import SetupError
from tests.ops.host.conftest import Installed, ready
from tests.ops.host.test_running import visitor as visitor
from tests.processes import ROOT, wait_for
from web.migrate import newest_revision

PLAN = [step for step in STEPS if step.name != "packages"]
MIGRATION = '''"""Made by a test."""

import sqlalchemy as sa
from alembic import op

revision, down_revision = "9999", "{before}"


def upgrade() -> None:
    op.create_table("of_the_newer", sa.Column("id", sa.Integer, primary_key=True))
    {then}


def downgrade() -> None:
    op.drop_table("of_the_newer")
'''


class Systemd:
    """What the installer asks of systemctl, done to the processes that run. ``first``: before anything is stopped."""

    def __init__(self, installed: Installed, first: Callable[[], None] = lambda: None) -> None:
        self.processes = installed.processes
        self.first = first
        self.asked: list[str] = []

    def active(self, host: Host, unit: str) -> bool:
        return self.processes[unit.removesuffix(".service")].running

    def systemctl(self, host: Host, verb: str, *words: str) -> str:
        named = [w.removesuffix(".service") for w in words]
        ours = [self.processes[n] for n in named if n in self.processes]
        if verb not in ("daemon-reload", "enable"):
            self.asked += [f"{verb} {n}" for n in named]
        if verb == "stop":
            self.first()
        if verb in ("stop", "restart"):
            for process in (p for p in ours if p.running):
                process.signal(signal.SIGTERM)
                process.wait(60)
        if verb in ("start", "restart"):
            for process in (p for p in ours if not p.running):
                process.start()
        return ""


@pytest.fixture
def newer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Makes the newer checkout the one that is installed from; called with what its migration does in the end."""
    place = tmp_path / "newer"
    program.copy(program.files(), place)
    monkeypatch.setattr(program, "ROOT", place)

    def write(then: str) -> None:
        text = MIGRATION.format(before=newest_revision(), then=then)
        (place / "migrations" / "versions" / "9999_of_the_newer.py").write_text(text)

    return write


def upgrade(running: Installed, systemd: Systemd, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(Host, "systemctl", lambda host, *words: systemd.systemctl(host, *words))
        patched.setattr(Host, "active", lambda host, unit: systemd.active(host, unit))
        command.carry_out(running.host, PLAN)


def alembic(running: Installed, code: str) -> str:
    """Code that knows ``db``, run as web's user with web's settings in the release that the link names."""
    host = running.host
    script = "from web.db import Database\nfrom web.settings import WebSettings\nfrom web import migrate\n"
    script += f"url = WebSettings.from_env().database\ndb = Database(url)\n{code}"
    environment = Patient(running.root).environment("web")
    return host.as_user(WEB, [host.python, "-c", script], environment, "asking the database", "").strip()


def is_current(running: Installed) -> bool:
    return alembic(running, "print(migrate.is_current(db))") == "True"


def test_a_migration_that_fails_leaves_the_release_before_serving(
    running: Installed, visitor: Client, newer: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = program.running(running.host)
    pids = {name: process.pid for name, process in running.processes.items()}
    systemd = Systemd(running)
    newer('raise RuntimeError("the disk is full of rows")')
    with pytest.raises(SetupError, match="the disk is full of rows") as refused:
        upgrade(running, systemd, monkeypatch)
    assert "the release before serves on" in refused.value.fix
    assert program.running(running.host) == before
    assert systemd.asked == []
    assert {name: process.pid for name, process in running.processes.items()} == pids
    assert is_current(running), "what the migration had begun is undone"
    visitor.visit()
    battle = visitor.start("Still there?")
    assert visitor.watch(battle).view.state == "finished"
    assert visitor.vote(battle, "tie")["winner"] == "tie"


@pytest.mark.long
def test_an_upgrade_with_a_migration_loses_no_battle(
    running: Installed, visitor: Client, newer: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = newest_revision()
    pids = {name: process.pid for name, process in running.processes.items()}
    worker = running.processes["vllm-arena"]
    battles: list[str] = []

    def ask() -> None:
        battles.extend(visitor.start(f"Who is there, {n}?") for n in range(8))
        wait_for("a battle to be under way", lambda: battles[0] in worker.text(), 30, worker)

    systemd = Systemd(running, ask)
    visitor.visit()
    newer("")
    try:
        upgrade(running, systemd, monkeypatch)
        assert [visitor.watch(battle).view.state for battle in battles] == ["finished"] * 8
        assert [visitor.vote(battle, "b")["winner"] for battle in battles] == ["b"] * 8
        assert is_current(running)
        assert alembic(running, "print(migrate.newest_revision())") == "9999"
        asked = [line for line in systemd.asked if line.split()[1] in pids]
        assert asked.index("stop vllm-arena") < asked.index("restart arena-web") < asked.index("start vllm-arena")
        again = {name for name, process in running.processes.items() if process.pid != pids[name]}
        assert again == {"vllm-arena", "arena-web", "arena-records"}
        assert list((running.host.var / "backups").glob("*before-upgrade*"))
    finally:
        alembic(running, f"migrate.downgrade(url, {before!r})")
        monkeypatch.setattr(program, "ROOT", ROOT)
        upgrade(running, Systemd(running), monkeypatch)
    wait_for("the release before to be back", ready(running), 60)
    assert is_current(running)
