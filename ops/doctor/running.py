"""What runs on a host, and who reaches it: its units, its workers among those that take battles, ports, the store."""

from __future__ import annotations

import re
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from ops.install import joined
from ops.install.several import BROKER, JOIN, PORT

if TYPE_CHECKING:
    from ops.doctor.checks import Patient, Said

FAR_S = 5


def of_workers(patient: Patient) -> bool:
    """Whether it is a host of workers, whose arena is another one's."""
    return (patient.etc / "secrets" / BROKER).exists()


def target_units(patient: Patient) -> list[str]:
    """The units that belong to this host."""
    target = patient.at("/etc/systemd/system/arena.target").read_text()
    return str(re.findall(r"^Wants=(.*vllm-arena.*)$", target, re.MULTILINE)[0]).split()


def broker(patient: Patient) -> Iterator[Said]:
    """The first host's store, asked from here with the workers' own account."""
    import redis

    url = patient.environment("worker")["ARENA_REDIS_URL"]
    with redis.Redis.from_url(url, socket_timeout=FAR_S, socket_connect_timeout=FAR_S) as client:
        place = "{host}:{port}".format(**client.connection_pool.connection_kwargs)
        try:
            client.ping()
        except redis.AuthenticationError:
            fix = f"bring the first host's secrets/{JOIN} here, then: ./ops/up --production --worker-only --broker FILE"
            yield "fail", f"the first host's store at {place} does not take the workers' password", fix
        except redis.RedisError as error:
            fix = "on the first host: systemctl status arena-redis, --store-bind, --store-from, its firewall"
            yield "fail", f"the first host's store at {place} does not answer: {error}", fix
        else:
            yield "ok", f"the first host's store answers at {place}", ""


def workers(patient: Patient) -> Iterator[Said]:
    """Those of this host are asked about by name; those of others are told."""
    import redis

    from worker.contract import residency

    url = patient.environment("worker" if of_workers(patient) else "admin")["ARENA_REDIS_URL"]
    own = joined.names(target_units(patient))
    if missing := joined.missing(url, own):
        fix = "journalctl -u 'vllm-arena*' -e; drained: celery -A worker control resume, on the first host"
        yield "fail", f"this host's workers take no battles: {missing}", fix
        return
    with redis.Redis.from_url(url, socket_timeout=FAR_S, socket_connect_timeout=FAR_S) as client:
        others = [r.worker for r in residency.read(client) if r.worker not in own]
    also = f"; elsewhere: {', '.join(sorted(others))}" if others else ""
    yield "ok", f"{', '.join(own)} take battles{also}", ""


def listener(patient: Patient) -> tuple[str, int] | None:
    """Where other hosts find this one's store; None: nowhere."""
    file = patient.etc / "secrets" / JOIN
    if not file.exists():
        return None
    known = urlsplit(file.read_text().strip())
    return str(known.hostname), int(known.port or PORT)


def units(patient: Patient) -> Iterator[Said]:
    if patient.root != Path("/") or not Path("/run/systemd/system").exists():
        yield "warn", "systemd does not run here", "on the host: systemctl status arena.target"
        return
    for unit in target_units(patient):
        done = subprocess.run(["systemctl", "is-active", unit], capture_output=True, text=True, check=False)
        state = done.stdout.strip()
        fix = "" if state == "active" else f"journalctl -u {unit} -e; systemctl restart {unit}"
        yield ("ok" if state == "active" else "fail"), f"{unit} is {state}", fix


def ports(patient: Patient) -> Iterator[Said]:
    text = (patient.etc / "nginx" / "site.conf").read_text()
    places = [("127.0.0.1", port, "nginx") for port in sorted({int(p) for p in re.findall(r"listen (\d+)", text)})]
    if shared := listener(patient):
        places.append((*shared, "redis"))
    for address, port, unit in places:
        try:
            socket.create_connection((address, port), timeout=2).close()
        except OSError:
            fix = f"systemctl restart arena-{unit}; journalctl -u arena-{unit} -e"
            yield "fail", f"nobody listens on {address}:{port}", fix
        else:
            yield "ok", f"somebody listens on {address}:{port}", ""
