"""What systemd itself thinks of the units' sandboxes, and that the programs of root need no more than theirs leave."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from ops.install import units
from tests.ops.host.conftest import Installed
from tests.ops.host.programs import Unit

BOUND = 2.0
"""Of ten, which is no sandbox at all; up to 2 is what systemd calls safe or OK for a program with the network."""
OF_ROOT = 2.3
"""Root's own: the backup reads everybody's files, the certificate is handed to nginx."""


def score(unit: Path) -> float:
    asked = ["systemd-analyze", "security", "--offline=yes", "--no-pager", unit]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    found = re.search(r"Overall exposure level for .*: ([\d.]+)", done.stdout)
    assert found, done.stderr
    return float(found[1])


def test_no_unit_is_more_exposed_than_it_must_be(installed: Installed) -> None:
    services = [name for name in units.render(installed.host) if name.endswith(".service")]
    scores = {name: score(installed.host.units / name) for name in services}
    assert len(scores) == 8
    users = {name for name in services if Unit(installed.host, name).entries["User"]}
    assert set(services) - users == {"arena-backup.service", "arena-certificate.service"}
    assert {name: s for name, s in scores.items() if s > (BOUND if name in users else OF_ROOT)} == {}


@pytest.mark.parametrize("name", ["arena-backup", "arena-certificate"])
def test_what_root_does_needs_no_more_than_its_unit_leaves_it(running: Installed, name: str, tmp_path: Path) -> None:
    unit = Unit(running.host, f"{name}.service")
    kept = unit.one("CapabilityBoundingSet").lower().replace("cap_", "+").split()
    places = {str(running.host.etc / "tls"): str(tmp_path), str(running.host.var / "backups"): str(tmp_path)}
    command = [places.get(word, word) for word in unit.command]
    limited = ["setpriv", "--no-new-privs", "--inh-caps=-all", f"--bounding-set={','.join(['-all', *kept])}", "--"]
    done = subprocess.run(
        [*limited, *command], env=unit.environment(), cwd=unit.one("WorkingDirectory"), capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert len(list(tmp_path.iterdir())) >= 1
