"""The role with which a host without port 22 can be reached through Session Manager."""

from __future__ import annotations

import json
from typing import Any

from botocore.exceptions import ClientError

from ops.aws.edge import Aws, code_of, read_tags, tags
from ops.aws.wanted import NAME_TAG
from ops.setup.console import SetupError

SESSIONS = "AmazonSSMManagedInstanceCore"
GONE = "NoSuchEntity"


def role_name(name: str) -> str:
    """Also the instance profile's."""
    return f"llm-arena-{name}-host"


def trusted(service: str) -> str:
    """The policy that lets a service take a role."""
    statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def checked(entry: dict[str, Any], name: str) -> dict[str, Any]:
    """A role of that name that is not ours stops everything. Raises SetupError."""
    if read_tags(entry).get(NAME_TAG) != name:
        raise SetupError(f"There is a role {entry['RoleName']} that is not ours: it lacks the tag {NAME_TAG}={name}",
                         "Another --name, or rename or tag that role")  # fmt: skip
    return entry


def get_role(aws: Aws, role: str, name: str) -> dict[str, Any] | None:
    """Ours or none. Raises SetupError for another's."""
    try:
        return checked(aws.client("iam").get_role(RoleName=role)["Role"], name)
    except ClientError as error:
        if code_of(error) != GONE:
            raise
        return None


def found_role(aws: Aws, name: str) -> tuple[bool, bool]:
    """Whether role and profile are whole, and whether any part is there."""
    role = get_role(aws, role_name(name), name)
    profile = _profile(aws, name)
    attached = role is not None and any(
        p["PolicyName"] == SESSIONS
        for p in aws.client("iam").list_attached_role_policies(RoleName=role_name(name))["AttachedPolicies"]
    )
    whole = attached and profile is not None and bool(profile["Roles"])
    return whole, role is not None or profile is not None


def _profile(aws: Aws, name: str) -> dict[str, Any] | None:
    try:
        profile: dict[str, Any] = aws.client("iam").get_instance_profile(InstanceProfileName=role_name(name))[
            "InstanceProfile"
        ]
    except ClientError as error:
        if code_of(error) != GONE:
            raise
        return None
    if read_tags(profile).get(NAME_TAG) != name:
        raise SetupError(f"There is an instance profile {role_name(name)} that is not ours", "Another --name")
    return profile


def make_role(aws: Aws, name: str) -> None:
    """Whatever part of it is missing."""
    iam, role = aws.client("iam"), role_name(name)
    if get_role(aws, role, name) is None:
        iam.create_role(RoleName=role, AssumeRolePolicyDocument=trusted("ec2.amazonaws.com"), Tags=tags(name, "role"))
    iam.attach_role_policy(RoleName=role, PolicyArn=f"arn:aws:iam::aws:policy/{SESSIONS}")
    profile = _profile(aws, name)
    if profile is None:
        profile = iam.create_instance_profile(InstanceProfileName=role, Tags=tags(name, "role"))["InstanceProfile"]
    if not profile["Roles"]:
        iam.add_role_to_instance_profile(InstanceProfileName=role, RoleName=role)


def remove_role(aws: Aws, name: str) -> None:
    """Profile, attachment and role, as far as they are there."""
    iam, role = aws.client("iam"), role_name(name)
    profile = _profile(aws, name)
    if profile is not None:
        for entry in profile["Roles"]:
            iam.remove_role_from_instance_profile(InstanceProfileName=role, RoleName=entry["RoleName"])
        iam.delete_instance_profile(InstanceProfileName=role)
    if get_role(aws, role, name) is not None:
        drop_role(aws, role)


def drop_role(aws: Aws, role: str) -> None:
    """A role and all its policies."""
    iam = aws.client("iam")
    for policy in iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]:
        iam.detach_role_policy(RoleName=role, PolicyArn=policy["PolicyArn"])
    for inline in iam.list_role_policies(RoleName=role)["PolicyNames"]:
        iam.delete_role_policy(RoleName=role, PolicyName=inline)
    iam.delete_role(RoleName=role)
