"""Stops the host at night, by EventBridge Scheduler.

Not by a timer on the host: a stopped one cannot start itself again, and these schedules can be changed without it.
"""

from __future__ import annotations

import json
from typing import Any

from botocore.exceptions import ClientError

from ops.aws.edge import Aws, code_of, read_tags, tags
from ops.aws.found import Schedules
from ops.aws.role import drop_role, get_role, trusted
from ops.aws.wanted import NAME_TAG, Night
from ops.setup.console import SetupError

ACTIONS = {"stop": "stopInstances", "start": "startInstances"}
TARGET = "arn:aws:scheduler:::aws-sdk:ec2:"
GONE = "ResourceNotFoundException"


def group_name(name: str) -> str:
    """Schedules carry no tags, their group does."""
    return f"llm-arena-{name}"


def _role(name: str) -> str:
    return f"llm-arena-{name}-night"


def _group(aws: Aws, name: str) -> bool:
    """Whether ours is there. Raises SetupError for another's."""
    scheduler = aws.client("scheduler")
    try:
        found = scheduler.get_schedule_group(Name=group_name(name))
    except ClientError as error:
        if code_of(error) != GONE:
            raise
        return False
    if found.get("State") == "DELETING":
        return False
    if read_tags(scheduler.list_tags_for_resource(ResourceArn=found["Arn"])).get(NAME_TAG) != name:
        raise SetupError(f"There is a schedule group {group_name(name)} that is not ours", "Another --name")
    return True


def found_schedules(aws: Aws, name: str) -> Schedules:
    """The group, the role and each schedule."""
    role = get_role(aws, _role(name), name) is not None
    if not _group(aws, name):
        return Schedules(False, role)
    crons = {}
    for entry in aws.pages("scheduler", "list_schedules", "Schedules", GroupName=group_name(name)):
        one = aws.client("scheduler").get_schedule(GroupName=group_name(name), Name=entry["Name"])
        instances = json.loads(one["Target"].get("Input") or "{}").get("InstanceIds", [""])
        crons[one["Name"]] = (one["ScheduleExpression"], one.get("ScheduleExpressionTimezone", "UTC"), instances[0])
    return Schedules(True, role, crons)


def set_night(aws: Aws, name: str, night: Night, instance: str) -> None:
    """Role, group and schedules as wanted; those no longer wanted go."""
    scheduler = aws.client("scheduler")
    role = _make_role(aws, name, instance)
    if not _group(aws, name):
        aws.patiently(lambda: scheduler.create_schedule_group(Name=group_name(name), Tags=tags(name, "night")),
                      {"ConflictException"}, "an earlier schedule group to go")  # fmt: skip
    there, wanted = found_schedules(aws, name).crons, night.expressions()
    for what, cron in wanted.items():
        asked: dict[str, Any] = {
            "Name": what, "GroupName": group_name(name), "ScheduleExpression": cron, "State": "ENABLED",
            "ScheduleExpressionTimezone": night.zone, "FlexibleTimeWindow": {"Mode": "OFF"},
            "Target": {"Arn": TARGET + ACTIONS[what], "RoleArn": role,
                       "Input": json.dumps({"InstanceIds": [instance]})},
        }  # fmt: skip
        call = scheduler.update_schedule if what in there else scheduler.create_schedule
        # A role that was just made is not known to the scheduler for some seconds.
        aws.patiently(lambda call=call, asked=asked: call(**asked), {"ValidationException"}, "the schedules' role", 60)  # type: ignore[misc]
    for what in set(there) - set(wanted):
        scheduler.delete_schedule(GroupName=group_name(name), Name=what)


def _make_role(aws: Aws, name: str, instance: str) -> str:
    """May stop and start this one instance; its ARN."""
    iam, role = aws.client("iam"), _role(name)
    made = get_role(aws, role, name)
    if made is None:
        made = iam.create_role(RoleName=role, AssumeRolePolicyDocument=trusted("scheduler.amazonaws.com"),
                               Tags=tags(name, "night"))["Role"]  # fmt: skip
    arn = f"arn:aws:ec2:{aws.region}:*:instance/{instance}"
    statement = {"Effect": "Allow", "Action": ["ec2:StopInstances", "ec2:StartInstances"], "Resource": arn}
    iam.put_role_policy(RoleName=role, PolicyName="night",
                        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))  # fmt: skip
    return str(made["Arn"])


def remove_night(aws: Aws, name: str) -> None:
    """Group, its schedules and the role, as far as they are there."""
    scheduler = aws.client("scheduler")
    if _group(aws, name):
        for what in found_schedules(aws, name).crons:
            scheduler.delete_schedule(GroupName=group_name(name), Name=what)
        scheduler.delete_schedule_group(Name=group_name(name))
    if get_role(aws, _role(name), name) is not None:
        drop_role(aws, _role(name))
