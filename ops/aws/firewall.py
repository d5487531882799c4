"""Security groups: exactly the rules that are wanted, no others."""

from __future__ import annotations

from typing import Any

from ops.aws.edge import Aws, tagged
from ops.aws.found import Firewall, Place, Rule


def permission(rule: Rule) -> dict[str, Any]:
    """A rule as EC2 takes it."""
    made: dict[str, Any] = {"IpProtocol": "tcp", "FromPort": rule.port, "ToPort": rule.port}
    if ":" in rule.network:
        return {**made, "Ipv6Ranges": [{"CidrIpv6": rule.network}]}
    return {**made, "IpRanges": [{"CidrIp": rule.network}]}


def set_firewall(aws: Aws, name: str, part: str, place: Place, found: Firewall | None, rules: frozenset[Rule]) -> str:
    """Make it or make it so; its id. What is no longer wanted is closed before anything is opened."""
    if found is None:
        group = aws.ec2.create_security_group(
            GroupName=f"llm-arena-{name}-{part}", Description=f"LLM Arena {name}: {part}", VpcId=place.vpc,
            TagSpecifications=tagged("security-group", name, part),
        )["GroupId"]  # fmt: skip
        found = Firewall(group)
    if closed := found.rules - rules:
        aws.ec2.revoke_security_group_ingress(GroupId=found.id, IpPermissions=[permission(r) for r in sorted(closed)])
    if found.odd:
        aws.ec2.revoke_security_group_ingress(GroupId=found.id, SecurityGroupRuleIds=list(found.odd))
    if opened := rules - found.rules:
        aws.ec2.authorize_security_group_ingress(
            GroupId=found.id, IpPermissions=[permission(r) for r in sorted(opened)]
        )
    return found.id


def remove_firewall(aws: Aws, group: str) -> None:
    """After whatever used it; network interfaces let go of it a little later."""
    aws.patiently(
        lambda: aws.ec2.delete_security_group(GroupId=group), {"DependencyViolation"}, "the firewall to be free"
    )
