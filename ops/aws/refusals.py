"""Refusals that have a way out of their own: no quota, no capacity. Each says what to ask for or where else to try."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from ops.aws.edge import Aws
from ops.aws.prices import Prices
from ops.setup.console import SetupError

CAPACITY = ("InsufficientInstanceCapacity", "InsufficientHostCapacity", "InsufficientReservedInstanceCapacity",
            "Unsupported")  # fmt: skip
QUOTA = ("VcpuLimitExceeded", "InstanceLimitExceeded")

QUOTAS = {"g": ("L-DB2E81BA", "Running On-Demand G and VT instances"),
          "v": ("L-DB2E81BA", "Running On-Demand G and VT instances"),
          "p": ("L-417A185B", "Running On-Demand P instances")}  # fmt: skip
STANDARD = ("L-1216C47A", "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances")
KEPT = "What was made so far costs nothing and is found again by the same command; `down` removes it"


def quota(aws: Aws, instance_type: str, prices: Prices) -> SetupError:
    """Which quota, how much of it there is, and the command that asks for more."""
    code, title = QUOTAS.get(instance_type[0], STANDARD)
    needs = prices.shape(instance_type).vcpus if prices.knows(instance_type) else 4
    has = _quota(aws, code)
    now = "" if has is None else f"; it is {has:g} vCPU now"
    ask = (f"aws service-quotas request-service-quota-increase --service-code ec2 --quota-code {code} "
           f"--desired-value {max(needs, needs + int(has or 0))} --region {aws.region}")  # fmt: skip
    return SetupError(
        f"The account's quota does not allow a {instance_type} in {aws.region}: {title} ({code}) counts vCPUs, and "
        f"this one needs {needs}{now}",
        f"{ask}\nAnswered within minutes to two days; the console: Service Quotas, Amazon EC2, {code}\n{KEPT}",
    )


def _quota(aws: Aws, code: str) -> float | None:
    """None where it cannot be read."""
    try:
        found: dict[str, Any] = aws.client("service-quotas").get_service_quota(ServiceCode="ec2", QuotaCode=code)
        return float(found["Quota"]["Value"])
    except (ClientError, BotoCoreError, KeyError):
        return None


def capacity(aws: Aws, instance_type: str, refused: dict[str, str], prices: Prices) -> SetupError:
    """Every zone was asked; which types and regions have the like."""
    zones = ", ".join(f"{zone} ({code})" for zone, code in refused.items())
    types = " ".join(f"--type {t}" for t in prices.instead_of(instance_type))
    regions = " ".join(f"--region {r}" for r in prices.regions if r != aws.region)
    return SetupError(
        f"AWS has no {instance_type} to give in {aws.region} now: {zones}",
        f"Another type: {types}\nAnother region: {regions}\nOr the same again later. {KEPT}",
    )


def start(instance: str, zone: str) -> SetupError:
    """A stopped host stays in its zone."""
    return SetupError(
        f"AWS has no room in {zone} now to start {instance} again",
        "The same command again later\nOr move: `down --keep-data` makes an image, `up` launches from it in any zone",
    )
