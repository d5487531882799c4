"""What the operator asks for, checked before anything is asked of AWS."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from zoneinfo import ZoneInfo, available_timezones

from ops.setup.console import SetupError

NAME_TAG, PART_TAG = "llm-arena:name", "llm-arena:part"
DOMAIN_TAG, INSTALLED_TAG = "llm-arena:domain", "llm-arena:installed"

PUBLIC = ("0.0.0.0/0", "::/0")
WEB_PORT, PRIVATE_PORT = 5000, 8000
IDLE_S = 3600
"""How long a balancer lets a socket be silent; a slow first load is no reason to hang up."""


@dataclass(frozen=True, slots=True)
class Night:
    """Stop at ``stop`` and, unless empty, start again at ``start``, each ``HH:MM`` in ``zone``; only on some days."""

    stop: str
    start: str
    zone: str
    days: str = "*"
    """As in a cron expression of EventBridge: ``*`` or ``MON-FRI``."""

    def expressions(self) -> dict[str, str]:
        """``stop`` and ``start`` to their cron expressions."""
        return {what: self._cron(at) for what, at in (("stop", self.stop), ("start", self.start)) if at}

    def _cron(self, at: str) -> str:
        hour, minute = at.split(":")
        date = "? * MON-FRI" if self.days != "*" else "* * ?"
        return f"cron({int(minute)} {int(hour)} {date} *)"

    def __str__(self) -> str:
        again = f", start at {self.start}" if self.start else ", not started again"
        return f"stop at {self.stop}{again}, {self.zone}{'' if self.days == '*' else ', ' + self.days}"


@dataclass(frozen=True, slots=True)
class Source:
    """The code the host installs: a commit of a git repository, or a tarball with its SHA-256."""

    url: str
    pin: str
    """40 hex digits of a commit, or 64 of a digest."""

    @property
    def is_git(self) -> bool:
        return len(self.pin) == 40

    def __str__(self) -> str:
        return f"{self.url} at {self.pin[:12]}"


@dataclass(frozen=True, slots=True)
class Wanted:
    """One arena. Nothing here is read from AWS."""

    name: str
    domain: str
    source: Source
    instance_type: str = "g4dn.xlarge"
    disk_gb: int = 100
    public_key: str = ""
    """OpenSSH's one line. Empty: no port 22, sessions through SSM."""
    ssh_from: tuple[str, ...] = ()
    catalog: str = ""
    """Path below the checkout; empty: the installer's choice."""
    email: str = ""
    certificate: str = ""
    """ARN in ACM: an application load balancer carries it. Empty: nginx on the host has its own."""
    database: str = ""
    night: Night | None = None
    """None: leave what there is."""
    no_night: bool = False

    @property
    def title(self) -> str:
        """The name of every resource that has one."""
        return f"llm-arena-{self.name}"

    @property
    def balanced(self) -> bool:
        return bool(self.certificate)

    @property
    def by_session(self) -> bool:
        return not self.public_key


def checked_name(text: str) -> str:
    """A name that every kind of resource accepts. Raises SetupError."""
    if not re.fullmatch(r"[a-z][a-z0-9-]{0,20}[a-z0-9]", text):
        raise SetupError(f"{text!r} cannot be the arena's name", "2 to 22 of a-z, 0-9 and -, such as --name arena")
    return text


def checked_domain(text: str) -> str:
    """A host name, nothing else. Raises SetupError."""
    if not re.fullmatch(r"(?=.{4,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}", text):
        raise SetupError(f"{text!r} is no public name" if text else "The public name is missing",
                         "--domain arena.example")  # fmt: skip
    return text


def checked_networks(texts: list[str]) -> tuple[str, ...]:
    """Addresses and networks as networks, sorted. Raises SetupError; the whole world among them too."""
    found = set()
    for text in texts:
        try:
            network = ipaddress.ip_network(text.strip(), strict=False)
        except ValueError:
            raise SetupError(f"{text!r} is no address or network", "--ssh-from 203.0.113.7") from None
        if network.prefixlen == 0:
            raise SetupError("Port 22 is not opened to everybody", "Name your address, or use --session and no port 22")
        found.add(str(network))
    return tuple(sorted(found))


def checked_night(text: str, zone: str, workdays: bool) -> Night:
    """``20:00-08:00`` or ``20:00``. Raises SetupError."""
    match = re.fullmatch(r"([01]\d|2[0-3]):([0-5]\d)(?:-([01]\d|2[0-3]):([0-5]\d))?", text)
    if match is None:
        raise SetupError(f"{text!r} is no night", "--night 20:00-08:00 stops and starts, --night 20:00 only stops")
    if zone not in available_timezones():
        raise SetupError(f"There is no time zone {zone!r}", "--timezone Europe/Berlin")
    stop, _, start = text.partition("-")
    return Night(stop, start, ZoneInfo(zone).key, "MON-FRI" if workdays else "*")


def checked_source(url: str, pin: str) -> Source:
    """Only what cannot change under our hands. Raises SetupError."""
    ways = "--source https://host/llm-arena.git --ref COMMIT, or --source https://host/llm-arena.tar.gz --sha256 DIGEST"
    if not re.fullmatch(r"https://[^\s'\"\\]+", url):
        raise SetupError(f"The host cannot fetch the code from {url or 'nowhere'}: it takes https alone", ways)
    if not re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", pin):
        raise SetupError(f"{pin or 'Nothing'!s} pins no code: a whole commit or a SHA-256 does", ways)
    return Source(url, pin)
