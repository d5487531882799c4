"""What has to be done, decided from what is wanted and what is found: pure, so that ``--dry-run`` cannot differ.

A step is named by its verb and what it is about; `effects` knows how. Each is found again by its tag, so a plan made
after an interruption holds only what is still missing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from ops.aws.found import Firewall, Instance, Ours, Place, Rule
from ops.aws.wanted import IDLE_S, PRIVATE_PORT, PUBLIC, WEB_PORT, Wanted
from ops.setup.console import SetupError


@dataclass(frozen=True, slots=True)
class Step:
    """``verb`` and ``what`` choose the effect; ``detail`` is for people and says all that matters."""

    verb: str
    what: str
    detail: str

    def __str__(self) -> str:
        return f"{self.verb:<7} {self.what:<18} {self.detail}"


def plan(wanted: Wanted, place: Place, ours: Ours) -> list[Step]:
    """The steps of ``up``, in order. Raises SetupError where only a person can decide."""
    host = the_host(ours, wanted.name)
    return [
        *_access(wanted, ours, host),
        *_firewall("balancer firewall", balancer_rules(), ours.balancer_firewall, wanted.balanced),
        *_firewall("firewall", host_rules(wanted, place), ours.host_firewall, True),
        *_host(wanted, place, ours, host),
        *_address(wanted, ours, host),
        *_balancer(wanted, place, ours, host),
        *_night(wanted, ours, host),
        *_ready(wanted, host),
    ]


def the_host(ours: Ours, name: str) -> Instance | None:
    """The one instance, if there is one. Raises SetupError for several."""
    if len(ours.instances) > 1:
        ids = " ".join(i.id for i in ours.instances)
        raise SetupError(f"{len(ours.instances)} instances carry the tag of {name!r}: {ids}",
                         "Terminate all but one, or take the tag llm-arena:name off them")  # fmt: skip
    return ours.instances[0] if ours.instances else None


def key_name(wanted: Wanted) -> str:
    """Another key has another name: a key pair cannot be changed."""
    return f"{wanted.title}-{hashlib.sha256(wanted.public_key.split()[1].encode()).hexdigest()[:8]}"


def host_rules(wanted: Wanted, place: Place) -> frozenset[Rule]:
    """443 and 80 to all, unless a balancer has them; web and the port inside to the VPC; 22 to the operator."""
    public = [] if wanted.balanced else [Rule(p, n) for p in (443, 80) for n in PUBLIC]
    inside = [Rule(p, n) for p in (WEB_PORT, PRIVATE_PORT) for n in place.networks]
    shell = [] if wanted.by_session else [Rule(22, n) for n in wanted.ssh_from]
    return frozenset([*public, *inside, *shell])


def balancer_rules() -> frozenset[Rule]:
    """443, and 80 to be sent there."""
    return frozenset(Rule(p, n) for p in (443, 80) for n in PUBLIC)


def spoken(rules: frozenset[Rule]) -> str:
    """Each once, in order of ports."""
    return ", ".join(dict.fromkeys(str(r) for r in sorted(rules)))


def _access(wanted: Wanted, ours: Ours, host: Instance | None) -> Iterator[Step]:
    if host is not None:
        return  # both belong to the launch
    if wanted.by_session and not ours.host_role:
        yield Step("make", "role", f"{wanted.title}-host: sessions through SSM, no key and no port 22")
    if not wanted.by_session and key_name(wanted) not in ours.keys:
        yield Step("make", "key", f"{key_name(wanted)}: your public key")


def _firewall(what: str, rules: frozenset[Rule], found: Firewall | None, needed: bool) -> Iterator[Step]:
    if not needed:
        return
    if found is None:
        yield Step("make", what, spoken(rules))
    elif found.rules != rules or found.odd:
        opened, closed = rules - found.rules, found.rules - rules
        words = [f"open {spoken(opened)}" if opened else "", f"close {spoken(closed)}" if closed else ""]
        words.append(f"close {', '.join(found.odd)}" if found.odd else "")
        yield Step("change", what, "; ".join(w for w in words if w))


def _host(wanted: Wanted, place: Place, ours: Ours, host: Instance | None) -> Iterator[Step]:
    if host is None:
        zones = [s.zone for s in place.subnets if s.offers]
        if not zones:
            raise SetupError(f"No zone with a subnet of {place.vpc} has {wanted.instance_type}",
                             "--region us-east-1, or --type g6.xlarge, or another network: --vpc")  # fmt: skip
        then = f", else {', '.join(zones[1:])}" if zones[1:] else ""
        image = f"kept image {ours.image.id}" if ours.image else f"{place.ami_name} ({place.ami})"
        yield Step("launch", "host", f"{wanted.instance_type} in {zones[0]}{then}; {wanted.disk_gb} GB gp3, encrypted; "
                   f"IMDSv2; {image}; installs {wanted.source}")  # fmt: skip
    elif host.state in ("stopped", "stopping"):
        yield Step("start", "host", f"{host.id}, which is {host.state}")


def _address(wanted: Wanted, ours: Ours, host: Instance | None) -> Iterator[Step]:
    if wanted.balanced:
        return
    if not ours.addresses:
        yield Step("make", "address", "one that stays when the host is stopped")
    if not ours.addresses or host is None or ours.addresses[0].instance != host.id:
        yield Step("attach", "address", ours.addresses[0].ip if ours.addresses else "to the host")


def _balancer(wanted: Wanted, place: Place, ours: Ours, host: Instance | None) -> Iterator[Step]:
    if not wanted.balanced:
        return
    if len({s.zone for s in place.subnets}) < 2:
        raise SetupError(f"A balancer needs subnets in two zones, and {place.vpc} has them in fewer",
                         "Add one, or name another network: --vpc")  # fmt: skip
    if ours.targets is None:
        yield Step("make", "targets", f"port {WEB_PORT}, health by /health")
    if ours.targets is None or host is None or host.id not in ours.targets.instances:
        yield Step("attach", "targets", "the host")
    found = ours.balancer
    listeners = {443: wanted.certificate, 80: ""}
    if found is None:
        yield Step("make", "balancer", f"443 with {wanted.certificate}, 80 sent there, idle for {IDLE_S} s at most")
    elif found.idle_s != IDLE_S or dict(found.listeners) != listeners:
        yield Step("change", "balancer", f"443 with {wanted.certificate}, 80 sent there, idle for {IDLE_S} s at most")


def _night(wanted: Wanted, ours: Ours, host: Instance | None) -> Iterator[Step]:
    there = ours.schedules
    if wanted.no_night and (there.group or there.role):
        yield Step("remove", "night", "the host runs day and night")
    if wanted.night is None:
        return
    crons = {w: (e, wanted.night.zone, host.id if host else "") for w, e in wanted.night.expressions().items()}
    if not there.group:
        yield Step("make", "night", str(wanted.night))
    elif not there.role or dict(there.crons) != crons:
        yield Step("change", "night", str(wanted.night))


def _ready(wanted: Wanted, host: Instance | None) -> Iterator[Step]:
    if host is None or host.state != "running":
        yield Step("wait", "host", "until it runs")
    if host is None or not host.installed:
        yield Step("wait", "installation", "./ops/up --production on the host, about 20 minutes")
    yield Step("verify", "arena", f"https://{wanted.domain}/health, /v1/models and a chat")


def plan_down(ours: Ours, keep_data: bool) -> list[Step]:
    """The steps of ``down``, in the order that dependencies allow. ``keep_data``: an image of the host stays."""
    steps = []
    if ours.schedules.group or ours.schedules.role:
        steps.append(Step("remove", "night", "schedules and their role"))
    if keep_data:
        steps += [Step("keep", "data", f"stop {i.id} and make an image of its disk") for i in ours.instances]
    if ours.balancer:
        steps.append(Step("remove", "balancer", ours.balancer.dns))
    if ours.targets:
        steps.append(Step("remove", "targets", ours.targets.arn))
    steps += [Step("remove", "host", f"{i.id}, {i.type}, {i.state}, and its disk") for i in ours.instances]
    steps += [Step("remove", "address", a.ip) for a in ours.addresses]
    attached = {i.disk for i in ours.instances}
    steps += [Step("remove", "volume", v) for v in ours.volumes if v not in attached]
    for what, firewall in (("firewall", ours.host_firewall), ("balancer firewall", ours.balancer_firewall)):
        if firewall:
            steps.append(Step("remove", what, firewall.id))
    steps += [Step("remove", "key", k) for k in ours.keys]
    if ours.host_role_begun:
        steps.append(Step("remove", "role", "for sessions"))
    if not keep_data:
        steps += [Step("remove", "image", i.id) for i in ours.images]
        held = {s for i in ours.images for s in i.snapshots}
        steps += [Step("remove", "snapshot", s) for s in ours.snapshots if s not in held]
    return steps
