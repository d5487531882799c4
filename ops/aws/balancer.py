"""An application load balancer with a certificate of ACM, in front of web on port 5000."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError

from ops.aws.edge import Aws, code_of, read_tags, tags
from ops.aws.found import Balancer, Place, Targets
from ops.aws.wanted import IDLE_S, NAME_TAG, WEB_PORT, Wanted
from ops.setup.console import SetupError

POLICY = "ELBSecurityPolicy-TLS13-1-2-2021-06"
DRAIN_S = 60
"""As long as a worker lets battles end."""


def _mine(aws: Aws, name: str, operation: str, key: str, arn: str, missing: str) -> dict[str, Any] | None:
    """By name, then by tag. Raises SetupError for another's."""
    elb = aws.client("elbv2")
    try:
        found = getattr(elb, operation)(Names=[f"llm-arena-{name}"])[key]
    except ClientError as error:
        if code_of(error) != missing:
            raise
        return None
    if not found:
        return None
    said = elb.describe_tags(ResourceArns=[found[0][arn]])["TagDescriptions"]
    if not said or read_tags(said[0]).get(NAME_TAG) != name:
        raise SetupError(
            f"There is a load balancer or target group llm-arena-{name} that is not ours", "Another --name"
        )
    entry: dict[str, Any] = found[0]
    return entry


def found_balancer(aws: Aws, name: str) -> Balancer | None:
    """Ours, with its listeners and its patience."""
    found = _mine(aws, name, "describe_load_balancers", "LoadBalancers", "LoadBalancerArn", "LoadBalancerNotFound")
    if found is None:
        return None
    elb, arn = aws.client("elbv2"), found["LoadBalancerArn"]
    said = {a["Key"]: a["Value"] for a in elb.describe_load_balancer_attributes(LoadBalancerArn=arn)["Attributes"]}
    listeners = {
        entry["Port"]: next((c["CertificateArn"] for c in entry.get("Certificates", [])), "")
        for entry in aws.pages("elbv2", "describe_listeners", "Listeners", LoadBalancerArn=arn)
    }
    return Balancer(arn, found["DNSName"], int(said.get("idle_timeout.timeout_seconds", 60)), listeners)


def found_targets(aws: Aws, name: str) -> Targets | None:
    """Ours, and who is in it."""
    found = _mine(aws, name, "describe_target_groups", "TargetGroups", "TargetGroupArn", "TargetGroupNotFound")
    if found is None:
        return None
    arn = found["TargetGroupArn"]
    said = aws.client("elbv2").describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]
    return Targets(arn, frozenset(t["Target"]["Id"] for t in said if t["TargetHealth"]["State"] != "draining"))


def make_targets(aws: Aws, wanted: Wanted, place: Place) -> str:
    """The target group; its ARN."""
    found = found_targets(aws, wanted.name)
    if found is not None:
        return found.arn
    elb = aws.client("elbv2")
    arn = str(elb.create_target_group(
        Name=wanted.title, Protocol="HTTP", Port=WEB_PORT, VpcId=place.vpc, TargetType="instance",
        HealthCheckPath="/health", HealthCheckIntervalSeconds=10, HealthCheckTimeoutSeconds=5, HealthyThresholdCount=2,
        UnhealthyThresholdCount=3, Matcher={"HttpCode": "200"}, Tags=tags(wanted.name, "targets"),
    )["TargetGroups"][0]["TargetGroupArn"])  # fmt: skip
    elb.modify_target_group_attributes(
        TargetGroupArn=arn, Attributes=[{"Key": "deregistration_delay.timeout_seconds", "Value": str(DRAIN_S)}]
    )
    return arn


def attach_target(aws: Aws, arn: str, instance: str) -> None:
    """This host, and no host of before."""
    elb = aws.client("elbv2")
    said = elb.describe_target_health(TargetGroupArn=arn)["TargetHealthDescriptions"]
    elb.register_targets(TargetGroupArn=arn, Targets=[{"Id": instance, "Port": WEB_PORT}])
    if old := [{"Id": t["Target"]["Id"]} for t in said if t["Target"]["Id"] != instance]:
        elb.deregister_targets(TargetGroupArn=arn, Targets=old)


def set_balancer(aws: Aws, wanted: Wanted, place: Place, firewall: str, targets: str) -> str:
    """Make it or make it so: patience, 443 with the certificate, 80 sent there. Returns its DNS name."""
    elb = aws.client("elbv2")
    found = found_balancer(aws, wanted.name)
    if found is None:
        elb.create_load_balancer(
            Name=wanted.title, Subnets=[s.id for s in place.subnets], SecurityGroups=[firewall], Type="application",
            Scheme="internet-facing", Tags=tags(wanted.name, "balancer"),
        )  # fmt: skip
        found = found_balancer(aws, wanted.name)
        assert found is not None
    attributes = {
        "idle_timeout.timeout_seconds": str(IDLE_S),
        "routing.http.drop_invalid_header_fields.enabled": "true",
    }
    elb.modify_load_balancer_attributes(
        LoadBalancerArn=found.arn, Attributes=[{"Key": k, "Value": v} for k, v in attributes.items()]
    )
    _set_listeners(aws, wanted, found, targets)
    return found.dns


def _set_listeners(aws: Aws, wanted: Wanted, balancer: Balancer, targets: str) -> None:
    elb = aws.client("elbv2")
    there = {e["Port"]: e["ListenerArn"]
             for e in aws.pages("elbv2", "describe_listeners", "Listeners", LoadBalancerArn=balancer.arn)}  # fmt: skip
    redirect = {"Protocol": "HTTPS", "Port": "443", "StatusCode": "HTTP_301"}
    listeners: dict[int, dict[str, Any]] = {
        443: {"Protocol": "HTTPS", "SslPolicy": POLICY, "Certificates": [{"CertificateArn": wanted.certificate}],
              "DefaultActions": [{"Type": "forward", "TargetGroupArn": targets}]},
        80: {"Protocol": "HTTP", "DefaultActions": [{"Type": "redirect", "RedirectConfig": redirect}]},
    }  # fmt: skip
    for port, asked in listeners.items():
        if port in there:
            elb.modify_listener(ListenerArn=there[port], Port=port, **asked)
        else:
            elb.create_listener(LoadBalancerArn=balancer.arn, Port=port, Tags=tags(wanted.name, "listener"), **asked)
    for port in set(there) - set(listeners):
        elb.delete_listener(ListenerArn=there[port])


def remove_balancer(aws: Aws, name: str) -> None:
    """With its listeners; waits until its network interfaces no longer hold the firewall."""
    found = found_balancer(aws, name)
    if found is not None:
        aws.client("elbv2").delete_load_balancer(LoadBalancerArn=found.arn)
        aws.until("the balancer to go", 600, lambda: found_balancer(aws, name) is None)


def remove_targets(aws: Aws, name: str) -> None:
    """After the balancer, which holds it for some seconds."""
    found = found_targets(aws, name)
    if found is not None:
        aws.patiently(lambda: aws.client("elbv2").delete_target_group(TargetGroupArn=found.arn),
                      {"ResourceInUse"}, "the targets to go")  # fmt: skip
