"""What a new host does by itself: fetch the pinned code and run the same installer as anybody, trying again after a
failure and going on after a reboot. It says what it does on the console, which `up` can read without a way in.
"""

from __future__ import annotations

import hashlib
import json
import shlex

from ops.aws.found import Place
from ops.aws.wanted import WEB_PORT, Wanted

MARK = "llm-arena-install:"
DONE, GAVE_UP = "done", "gave up"
LOCAL = "127.0.0.0/8"
ATTEMPTS = 3
MOST_BYTES = 16384
"""EC2's limit for user data."""

SCRIPT = """\
#!/bin/bash
# Written by `python -m ops.aws up`. Installs the arena once; later starts find it done.
set -uo pipefail
export HOME=/root DEBIAN_FRONTEND=noninteractive ARENA_PYTHON=/usr/bin/python3
say() {{ echo "{mark} $*"; }}
kept={kept}
if [ -e "$kept" ]; then say {done}; exit 0; fi
work=/var/lib/llm-arena-install/source
install_arena() (
  set -e
  apt-get -o DPkg::Lock::Timeout=600 update -q
  apt-get -o DPkg::Lock::Timeout=600 install -yq --no-install-recommends \\
    ca-certificates curl gcc git python3-dev python3-venv
  rm -rf "$work"; mkdir -p "$work"; cd "$work"
{fetch}
  exec {command}
)
for attempt in $(seq {attempts}); do
  if install_arena 2>&1 | while IFS= read -r line; do say "$line"; done; then
    touch "$kept"; say {done}; exit 0
  fi
  say "attempt $attempt of {attempts} did not succeed"
  sleep 20
done
say {gave_up}
exit 1
"""

GIT = """\
  git init -q .
  git fetch -q --depth 1 {url} {pin}
  git checkout -q FETCH_HEAD"""

TARBALL = """\
  curl -fsSL --retry 5 -o ../source.tar.gz {url}
  echo {pin}'  ../source.tar.gz' | sha256sum -c --quiet -
  tar -xzf ../source.tar.gz --strip-components=1"""

UNIT = """\
[Unit]
Description=Installs the arena
After=network-online.target
Wants=network-online.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/usr/local/sbin/llm-arena-install
StandardOutput=journal+console
TimeoutStartSec=infinity

[Install]
WantedBy=multi-user.target
"""


def installer(wanted: Wanted, place: Place) -> list[str]:
    """The command on the host: that of any host, with the VPC as the network inside and, balanced, as the proxy."""
    networks = ",".join(place.networks)
    words = ["./ops/up", "--production", "--domain", wanted.domain, "--bind", f"0.0.0.0:{WEB_PORT}"]
    words += ["--private", f"{LOCAL},{networks},::1/128"]
    words += ["--proxies", f"127.0.0.1/32,{networks}" if wanted.balanced else "127.0.0.1/32"]
    for option, value in (("--email", wanted.email), ("--database", wanted.database), ("--catalog", wanted.catalog)):
        words += [option, value] if value else []
    return words


def script(wanted: Wanted, place: Place) -> str:
    """The shell script the host runs."""
    fetch = (GIT if wanted.source.is_git else TARBALL).format(
        url=shlex.quote(wanted.source.url), pin=shlex.quote(wanted.source.pin)
    )
    command = shlex.join(installer(wanted, place))
    # Another commit or other options are another installation, on a kept disk too.
    kept = f"/var/lib/llm-arena-install/done-{hashlib.sha256((fetch + command).encode()).hexdigest()[:16]}"
    return SCRIPT.format(mark=MARK, kept=kept, done=DONE, gave_up=GAVE_UP, fetch=fetch, command=command,
                         attempts=ATTEMPTS)  # fmt: skip


def user_data(wanted: Wanted, place: Place) -> str:
    """As cloud-init reads it; JSON is YAML. No secret is in it: whoever is on the host can read it."""
    config = {
        "write_files": [
            {"path": "/usr/local/sbin/llm-arena-install", "permissions": "0755", "content": script(wanted, place)},
            {"path": "/etc/systemd/system/llm-arena-install.service", "permissions": "0644", "content": UNIT},
        ],
        "runcmd": [
            ["mkdir", "-p", "/var/lib/llm-arena-install"],
            ["systemctl", "daemon-reload"],
            ["systemctl", "enable", "--now", "--no-block", "llm-arena-install.service"],
        ],
    }
    return "#cloud-config\n" + json.dumps(config, indent=1) + "\n"


def progress(console: str) -> tuple[str, str]:
    """``("done" | "gave up" | "", last line said)`` of a console's text."""
    said = [line.partition(MARK)[2].strip() for line in console.splitlines() if MARK in line]
    last = said[-1] if said else ""
    return (last if last in (DONE, GAVE_UP) else ""), last
