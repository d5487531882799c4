"""Reads what there is. Ours is what carries the arena's tag; everything else is left alone by never being read."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError

from ops.aws.balancer import found_balancer, found_targets
from ops.aws.edge import Aws, code_of, own, read_tags
from ops.aws.found import LIVE, Address, Firewall, Image, Instance, Ours, Place, Rule, Subnet
from ops.aws.night import found_schedules
from ops.aws.role import found_role
from ops.aws.wanted import DOMAIN_TAG, INSTALLED_TAG, PART_TAG
from ops.setup.console import SetupError

AMI_PARAMETER = "/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-24.04/latest/ami-id"
"""AWS's own pointer to its newest base image with NVIDIA's driver: torch brings CUDA's libraries itself."""


def look_place(aws: Aws, instance_type: str, vpc: str = "") -> Place:
    """The network, its zones that have the type, first those, and the image. Raises SetupError where one is missing."""
    network = _network(aws, vpc)
    zones = {o["Location"] for o in aws.pages(
        "ec2", "describe_instance_type_offerings", "InstanceTypeOfferings", LocationType="availability-zone",
        Filters=[{"Name": "instance-type", "Values": [instance_type]}])}  # fmt: skip
    found = aws.pages("ec2", "describe_subnets", "Subnets",
                      Filters=[{"Name": "vpc-id", "Values": [network["VpcId"]]}])  # fmt: skip
    first: dict[str, Subnet] = {}
    for entry in sorted(found, key=lambda s: (s["AvailabilityZone"], not s.get("DefaultForAz"), s["SubnetId"])):
        zone = entry["AvailabilityZone"]
        first.setdefault(zone, Subnet(entry["SubnetId"], zone, zone in zones))
    subnets = tuple(sorted(first.values(), key=lambda s: (not s.offers, s.zone)))
    cidrs = tuple(a["CidrBlock"] for a in network.get("CidrBlockAssociationSet", [])) or (network["CidrBlock"],)
    return Place(network["VpcId"], cidrs, subnets, *_image(aws))


def _network(aws: Aws, vpc: str) -> dict[str, Any]:
    filters = {"VpcIds": [vpc]} if vpc else {"Filters": [{"Name": "is-default", "Values": ["true"]}]}
    try:
        found: list[dict[str, Any]] = aws.ec2.describe_vpcs(**filters)["Vpcs"]
    except ClientError as error:
        if code_of(error) not in ("InvalidVpcID.NotFound", "InvalidVpcId.Malformed"):
            raise
        found = []
    if not found:
        raise SetupError(f"There is no VPC {vpc} in {aws.region}" if vpc else f"{aws.region} has no default VPC",
                         "--vpc vpc-..., one with public subnets; or: aws ec2 create-default-vpc")  # fmt: skip
    return found[0]


def _image(aws: Aws) -> tuple[str, str, str]:
    """Id, name and root device of the current Deep Learning AMI."""
    ami = _parameter(aws)
    image = aws.ec2.describe_images(ImageIds=[ami])["Images"][0]
    return ami, image.get("Name", "Deep Learning AMI"), image.get("RootDeviceName", "/dev/sda1")


def _parameter(aws: Aws) -> str:
    try:
        return str(aws.client("ssm").get_parameter(Name=AMI_PARAMETER)["Parameter"]["Value"])
    except ClientError as error:
        if code_of(error) != "ParameterNotFound":
            raise
        raise SetupError(f"{aws.region} publishes no Deep Learning AMI ({AMI_PARAMETER})",
                         "Another region: --region us-east-1") from None  # fmt: skip


def look_ours(aws: Aws, name: str) -> Ours:
    """All that carries the tag of this arena in this region."""
    mine = own(name)
    firewalls = {
        read_tags(g).get(PART_TAG, ""): _firewall(aws, g["GroupId"])
        for g in aws.pages("ec2", "describe_security_groups", "SecurityGroups", Filters=mine)
    }
    role, begun = found_role(aws, name)
    return Ours(
        instances=tuple(_instance(i) for r in aws.pages(
            "ec2", "describe_instances", "Reservations",
            Filters=[*mine, {"Name": "instance-state-name", "Values": list(LIVE)}]) for i in r["Instances"]),
        keys=tuple(k["KeyName"] for k in aws.ec2.describe_key_pairs(Filters=mine)["KeyPairs"]),
        host_firewall=firewalls.get("host"),
        balancer_firewall=firewalls.get("balancer"),
        addresses=tuple(_address(a) for a in aws.ec2.describe_addresses(Filters=mine)["Addresses"]),
        balancer=found_balancer(aws, name),
        targets=found_targets(aws, name),
        host_role=role,
        host_role_begun=begun,
        schedules=found_schedules(aws, name),
        images=tuple(_kept(i) for i in aws.ec2.describe_images(Owners=["self"], Filters=mine)["Images"]),
        snapshots=tuple(s["SnapshotId"] for s in aws.pages(
            "ec2", "describe_snapshots", "Snapshots", OwnerIds=["self"], Filters=mine)),
        volumes=tuple(v["VolumeId"] for v in aws.pages("ec2", "describe_volumes", "Volumes", Filters=mine)),
    )  # fmt: skip


def _instance(entry: dict[str, Any]) -> Instance:
    named = read_tags(entry)
    disks = [m["Ebs"]["VolumeId"] for m in entry.get("BlockDeviceMappings", []) if "Ebs" in m]
    return Instance(
        entry["InstanceId"], entry["State"]["Name"], entry["InstanceType"], entry["Placement"]["AvailabilityZone"],
        entry.get("PublicIpAddress", ""), entry.get("PrivateIpAddress", ""), named.get(DOMAIN_TAG, ""),
        named.get(INSTALLED_TAG, ""), entry.get("KeyName", ""), entry.get("VpcId", ""), disks[0] if disks else "",
    )  # fmt: skip


def _firewall(aws: Aws, group: str) -> Firewall:
    rules, odd = set(), []
    for rule in aws.pages("ec2", "describe_security_group_rules", "SecurityGroupRules",
                          Filters=[{"Name": "group-id", "Values": [group]}]):  # fmt: skip
        network = rule.get("CidrIpv4") or rule.get("CidrIpv6")
        if rule["IsEgress"]:
            continue
        if network and rule["IpProtocol"] == "tcp" and rule["FromPort"] == rule["ToPort"]:
            rules.add(Rule(rule["FromPort"], network))
        else:
            odd.append(rule["SecurityGroupRuleId"])
    return Firewall(group, frozenset(rules), tuple(sorted(odd)))


def _address(entry: dict[str, Any]) -> Address:
    return Address(entry["AllocationId"], entry["PublicIp"], entry.get("InstanceId") or "",
                   entry.get("AssociationId") or "")  # fmt: skip


def _kept(entry: dict[str, Any]) -> Image:
    snapshots = [
        m["Ebs"]["SnapshotId"] for m in entry.get("BlockDeviceMappings", []) if m.get("Ebs", {}).get("SnapshotId")
    ]
    return Image(entry["ImageId"], entry.get("CreationDate", ""), tuple(snapshots),
                 entry.get("RootDeviceName", "/dev/sda1"), entry.get("State", "available"))  # fmt: skip
