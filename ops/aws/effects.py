"""Carries steps out. Each effect looks no further than its step and may be run twice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from ops.aws import balancer, firewall, host, night, role, verify
from ops.aws.edge import Aws, tagged
from ops.aws.found import Ours, Place
from ops.aws.plan import Step, balancer_rules, host_rules, key_name, the_host
from ops.aws.prices import Prices
from ops.aws.remote import remote_for
from ops.aws.wanted import Wanted
from ops.setup.console import SetupError, step


@dataclass
class Doing:
    """What ``up`` knows while it works: ``ids`` of what is there, by what it is."""

    aws: Aws
    wanted: Wanted
    place: Place
    ours: Ours
    prices: Prices
    ids: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        there = self.ours
        found = the_host(there, self.wanted.name)
        known = {
            "host": found and found.id, "firewall": there.host_firewall and there.host_firewall.id,
            "balancer firewall": there.balancer_firewall and there.balancer_firewall.id,
            "address": there.addresses and there.addresses[0].id, "ip": there.addresses and there.addresses[0].ip,
            "targets": there.targets and there.targets.arn, "dns": there.balancer and there.balancer.dns,
        }  # fmt: skip
        self.ids |= {what: str(known[what]) for what in known if known[what]}


def up(doing: Doing, steps: list[Step], only: Callable[[Step], bool] = lambda _: True) -> None:
    """All steps in order. Raises SetupError; the same command goes on from there."""
    for number, one in enumerate(steps, 1):
        if only(one):
            step(f"{number}/{len(steps)} {one}")
            UP[one.verb, one.what](doing)


def _key(doing: Doing) -> None:
    name = doing.wanted.name
    doing.aws.ec2.import_key_pair(
        KeyName=key_name(doing.wanted), PublicKeyMaterial=doing.wanted.public_key.encode(),
        TagSpecifications=tagged("key-pair", name, "key"),
    )  # fmt: skip


def _firewall(doing: Doing) -> None:
    rules, found = host_rules(doing.wanted, doing.place), doing.ours.host_firewall
    doing.ids["firewall"] = firewall.set_firewall(doing.aws, doing.wanted.name, "host", doing.place, found, rules)


def _balancer_firewall(doing: Doing) -> None:
    found = doing.ours.balancer_firewall
    made = firewall.set_firewall(doing.aws, doing.wanted.name, "balancer", doing.place, found, balancer_rules())
    doing.ids["balancer firewall"] = made


def _launch(doing: Doing) -> None:
    doing.ids["host"] = host.launch(
        doing.aws, doing.wanted, doing.place, doing.ids["firewall"], doing.ours.image, doing.prices
    )


def _start(doing: Doing) -> None:
    found = the_host(doing.ours, doing.wanted.name)
    if found is not None:
        host.start(doing.aws, found.id, found.zone)


def _address(doing: Doing) -> None:
    asked = {"Domain": "vpc", "TagSpecifications": tagged("elastic-ip", doing.wanted.name, "address")}
    made = doing.aws.ec2.allocate_address(**asked)
    doing.ids |= {"address": made["AllocationId"], "ip": made["PublicIp"]}


def _attach_address(doing: Doing) -> None:
    host.await_running(doing.aws, doing.ids["host"])  # a host that is only being made takes none
    doing.aws.ec2.associate_address(
        AllocationId=doing.ids["address"], InstanceId=doing.ids["host"], AllowReassociation=True
    )


def _targets(doing: Doing) -> None:
    doing.ids["targets"] = balancer.make_targets(doing.aws, doing.wanted, doing.place)


def _attach_targets(doing: Doing) -> None:
    host.await_running(doing.aws, doing.ids["host"])
    balancer.attach_target(doing.aws, doing.ids["targets"], doing.ids["host"])


def _balancer(doing: Doing) -> None:
    doing.ids["dns"] = balancer.set_balancer(
        doing.aws, doing.wanted, doing.place, doing.ids["balancer firewall"], doing.ids["targets"]
    )


def _night(doing: Doing) -> None:
    if doing.wanted.night is not None:
        night.set_night(doing.aws, doing.wanted.name, doing.wanted.night, doing.ids["host"])


def _await_installed(doing: Doing) -> None:
    host.await_installed(doing.aws, doing.ids["host"], f"python -m ops.aws ssh --name {doing.wanted.name}")


def _verify(doing: Doing) -> None:
    found = doing.ids["host"]
    public = doing.ids.get("dns") or doing.ids.get("ip", "")
    verify.verify(remote_for(doing.aws, found), public, doing.wanted.domain)
    host.remember(doing.aws, found, doing.wanted.source.pin)


UP: dict[tuple[str, str], Callable[[Doing], None]] = {
    ("make", "role"): lambda d: role.make_role(d.aws, d.wanted.name),
    ("make", "key"): _key,
    ("make", "firewall"): _firewall,
    ("change", "firewall"): _firewall,
    ("make", "balancer firewall"): _balancer_firewall,
    ("change", "balancer firewall"): _balancer_firewall,
    ("launch", "host"): _launch,
    ("start", "host"): _start,
    ("make", "address"): _address,
    ("attach", "address"): _attach_address,
    ("make", "targets"): _targets,
    ("attach", "targets"): _attach_targets,
    ("make", "balancer"): _balancer,
    ("change", "balancer"): _balancer,
    ("make", "night"): _night,
    ("change", "night"): _night,
    ("remove", "night"): lambda d: night.remove_night(d.aws, d.wanted.name),
    ("wait", "host"): lambda d: host.await_running(d.aws, d.ids["host"]),
    ("wait", "installation"): _await_installed,
    ("verify", "arena"): _verify,
}
"""Every step that `plan` can name."""


def down(aws: Aws, name: str, steps: list[Step]) -> None:
    """All steps of ``plan_down``. What is gone already is no error: the same command goes on."""
    for number, one in enumerate(steps, 1):
        step(f"{number}/{len(steps)} {one}")
        _remove(aws, name, one)


def _remove(aws: Aws, name: str, one: Step) -> None:
    subject = one.detail.split(",")[0]
    match one.what:
        case "night":
            night.remove_night(aws, name)
        case "data":
            host.keep(aws, name, one.detail.split()[1])
        case "balancer":
            balancer.remove_balancer(aws, name)
        case "targets":
            balancer.remove_targets(aws, name)
        case "host":
            host.terminate(aws, subject)
        case "address":
            _release(aws, subject)
        case "volume":
            aws.ec2.delete_volume(VolumeId=subject)
        case "firewall" | "balancer firewall":
            firewall.remove_firewall(aws, subject)
        case "key":
            aws.ec2.delete_key_pair(KeyName=subject)
        case "role":
            role.remove_role(aws, name)
        case "image":
            _forget_image(aws, subject)
        case "snapshot":
            aws.ec2.delete_snapshot(SnapshotId=subject)
        case _:
            raise SetupError(f"Nobody knows how to {one}", "Please report this")


def _release(aws: Aws, ip: str) -> None:
    found = aws.ec2.describe_addresses(PublicIps=[ip])["Addresses"][0]
    if found.get("AssociationId"):
        aws.ec2.disassociate_address(AssociationId=found["AssociationId"])
    aws.ec2.release_address(AllocationId=found["AllocationId"])


def _forget_image(aws: Aws, image: str) -> None:
    found = aws.ec2.describe_images(ImageIds=[image])["Images"][0]
    aws.ec2.deregister_image(ImageId=image)
    for mapping in found.get("BlockDeviceMappings", []):
        if snapshot := mapping.get("Ebs", {}).get("SnapshotId"):
            aws.ec2.delete_snapshot(SnapshotId=snapshot)
