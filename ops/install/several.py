"""Several hosts: where the first one's store listens for workers elsewhere, and how their hosts are told.

The first writes one line, the store's URL for workers, into a file that root carries over; with it a host joins and
needs nothing else of the first: no database, no key, no account but the workers' own. What travels between the hosts
is not encrypted by the arena, so the store listens on a private address only, and answers only the networks named.
"""

from __future__ import annotations

import ipaddress
import json
import socket
from pathlib import Path
from urllib.parse import urlsplit

from ops.install.host import Host
from ops.setup.console import SetupError

PORT = 6379
JOIN, BROKER = "join.url", "broker.url"
"""Among the secrets: what the first host gives away, and what another one was given."""


def listening(host: Host) -> tuple[str, int] | None:
    """Address and port of the store for other hosts; None: there are none. Raises SetupError for what cannot be."""
    said = host.options.store_bind
    if not said:
        return None
    try:
        parts = urlsplit(f"//{said}")
        address = ipaddress.ip_address(parts.hostname or "")
        port = parts.port or PORT
    except ValueError:
        raise SetupError(f"--store-bind: {said!r} is no address", "For instance: --store-bind 10.0.0.5") from None
    if not address.is_private or address.is_unspecified:
        fix = "An address of a network of yours: a VPC's, or WireGuard's between hosts that share none"
        raise SetupError(f"--store-bind: {address} is not private, and prompts would travel for all to read", fix)
    return str(address), port


def check(host: Host) -> None:
    """What can be known to fail. Raises SetupError."""
    if host.options.worker_only:
        broker(host)
    place = listening(host)
    if place is None:
        return
    family = socket.AF_INET6 if ":" in place[0] else socket.AF_INET
    with socket.socket(family) as probe:
        try:
            probe.bind((place[0], 0))
        except OSError:
            raise SetupError(f"--store-bind: {place[0]} is no address of this host", "ip -brief address") from None


def give(host: Host) -> None:
    """The line for other hosts, or, where the store does not listen for any, none."""
    file = host.etc / "secrets" / JOIN
    place = listening(host)
    if place is None:
        file.unlink(missing_ok=True)
        return
    user = urlsplit(json.loads((host.etc / "secrets" / "redis.users").read_text())["worker"])
    name = f"[{place[0]}]" if ":" in place[0] else place[0]
    host.write(file, f"redis://worker:{user.password}@{name}:{place[1]}/0\n", 0o600)


def take(host: Host) -> None:
    """Keep what the first host gave, for upgrades to need no more words."""
    host.write(host.etc / "secrets" / BROKER, broker(host) + "\n", 0o600)


def broker(host: Host) -> str:
    """The store's URL on a host of workers. Raises SetupError saying where to get it."""
    file = host.options.broker or host.etc / "secrets" / BROKER
    fix = f"On the first host, with --store-bind: /etc/llm-arena/secrets/{JOIN}; bring it here and name it: --broker"
    url = _first_line(file, fix)
    parts = urlsplit(url)
    if parts.scheme != "redis" or parts.username != "worker" or not parts.password or not parts.hostname:
        raise SetupError(f"{file} is not what the first host gives to others", fix)
    return url


def _first_line(file: Path, fix: str) -> str:
    try:
        return file.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SetupError(f"The first host's store is not known: {file}: {error}", fix) from None


def allowed(host: Host) -> str:
    """For systemd, who may speak to the store over the network."""
    place = listening(host)
    return " ".join(["localhost", place[0], *networks("--store-from", host.options.store_from)]) if place else ""


def networks(option: str, said: str) -> list[str]:
    """Comma-separated networks. Raises SetupError naming one that is none."""
    found = []
    for word in (w.strip() for w in said.split(",") if w.strip()):
        try:
            found.append(str(ipaddress.ip_network(word, strict=False)))
        except ValueError:
            raise SetupError(f"{option}: {word!r} is no network", f"For instance: {option} 10.0.0.0/16") from None
    return found
