"""What is there: plain facts, read from AWS by `look` and judged by `plan`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

LIVE = ("pending", "running", "stopping", "stopped")


@dataclass(frozen=True, slots=True)
class Subnet:
    """A place for the host, in one availability zone."""

    id: str
    zone: str
    offers: bool = True
    """Whether the zone has the wanted type at all."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a host would be launched, and from what. Not ours."""

    vpc: str
    networks: tuple[str, ...]
    subnets: tuple[Subnet, ...]
    ami: str
    ami_name: str
    root_device: str


@dataclass(frozen=True, slots=True)
class Instance:
    """``installed``: the pin that was installed and verified; empty while that is not so."""

    id: str
    state: str
    type: str
    zone: str
    public_ip: str = ""
    private_ip: str = ""
    domain: str = ""
    installed: str = ""
    key: str = ""
    vpc: str = ""
    disk: str = ""


@dataclass(frozen=True, slots=True, order=True)
class Rule:
    """TCP to one port from one network."""

    port: int
    network: str

    def __str__(self) -> str:
        return f"{self.port} from {'anywhere' if self.network in ('0.0.0.0/0', '::/0') else self.network}"


@dataclass(frozen=True, slots=True)
class Firewall:
    """A security group and what it lets in; ``odd``: rules that are no single TCP port, by id."""

    id: str
    rules: frozenset[Rule] = frozenset()
    odd: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Address:
    """A public address that stays when the host is stopped."""

    id: str
    ip: str
    instance: str = ""
    association: str = ""


@dataclass(frozen=True, slots=True)
class Balancer:
    """``listeners``: port to the certificate's ARN, empty for plain HTTP."""

    arn: str
    dns: str
    idle_s: int
    listeners: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Targets:
    """A target group and the instances registered in it."""

    arn: str
    instances: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Schedules:
    """``crons``: ``stop`` and ``start`` to (expression, zone, instance); ``role``: whether theirs exists."""

    group: bool
    role: bool
    crons: Mapping[str, tuple[str, str, str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Image:
    """What `down --keep-data` kept: disk and all, as an image of our own."""

    id: str
    made: str
    snapshots: tuple[str, ...] = ()
    root_device: str = ""
    state: str = "available"


@dataclass(frozen=True, slots=True)
class Ours:
    """Everything that carries the arena's tag, and nothing else."""

    instances: tuple[Instance, ...] = ()
    keys: tuple[str, ...] = ()
    host_firewall: Firewall | None = None
    balancer_firewall: Firewall | None = None
    addresses: tuple[Address, ...] = ()
    balancer: Balancer | None = None
    targets: Targets | None = None
    host_role: bool = False
    """The role for sessions is whole."""
    host_role_begun: bool = False
    """Some part of it is there."""
    schedules: Schedules = Schedules(False, False)
    images: tuple[Image, ...] = ()
    snapshots: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()

    @property
    def image(self) -> Image | None:
        """The newest that was kept."""
        return max(self.images, key=lambda i: i.made, default=None)
