"""The instance: launched once whatever is interrupted, started, waited for, kept, terminated."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from botocore.exceptions import ClientError

from ops.aws import refusals
from ops.aws.cloud_init import DONE, GAVE_UP, progress, user_data
from ops.aws.edge import Aws, code_of, tagged
from ops.aws.found import Image, Place
from ops.aws.plan import key_name
from ops.aws.prices import Prices
from ops.aws.role import role_name
from ops.aws.wanted import DOMAIN_TAG, INSTALLED_TAG, Wanted
from ops.setup.console import Progress, SetupError, note

INSTALL_LIMIT_S = 3600.0
RUN_LIMIT_S = 900.0
PROFILE_UNKNOWN = "InvalidParameterValue"


def launch(aws: Aws, wanted: Wanted, place: Place, firewall: str, kept: Image | None, prices: Prices) -> str:
    """One instance, in the first zone that has room; its id. Raises SetupError for quota or capacity."""
    refused: dict[str, str] = {}
    for subnet in (s for s in place.subnets if s.offers):
        asked = request(wanted, place, subnet.id, firewall, kept)
        try:
            return _run(aws, asked, wanted.by_session)
        except ClientError as error:
            code = code_of(error)
            if code in refusals.QUOTA:
                raise refusals.quota(aws, wanted.instance_type, prices) from None
            if code not in refusals.CAPACITY:
                raise
            refused[subnet.zone] = code
            note(f"{subnet.zone} has no room ({code})")
    raise refusals.capacity(aws, wanted.instance_type, refused, prices)


def request(wanted: Wanted, place: Place, subnet: str, firewall: str, kept: Image | None) -> dict[str, Any]:
    """What RunInstances is asked. The token follows from all of it: asked twice, AWS launches once."""
    asked: dict[str, Any] = {
        "ImageId": kept.id if kept else place.ami, "InstanceType": wanted.instance_type, "MinCount": 1, "MaxCount": 1,
        "UserData": user_data(wanted, place), "EbsOptimized": True,
        "MetadataOptions": {"HttpTokens": "required", "HttpEndpoint": "enabled", "HttpPutResponseHopLimit": 1},
        "BlockDeviceMappings": [{
            "DeviceName": kept.root_device if kept else place.root_device,
            "Ebs": {"VolumeSize": wanted.disk_gb, "VolumeType": "gp3", "Encrypted": True, "DeleteOnTermination": True},
        }],
        "NetworkInterfaces": [{
            "DeviceIndex": 0, "SubnetId": subnet, "Groups": [firewall], "AssociatePublicIpAddress": True,
            "DeleteOnTermination": True,
        }],
        "TagSpecifications": [
            *tagged("instance", wanted.name, "host", **{DOMAIN_TAG: wanted.domain}),
            *tagged("volume", wanted.name, "disk"), *tagged("network-interface", wanted.name, "host"),
        ],
    }  # fmt: skip
    if wanted.by_session:
        asked["IamInstanceProfile"] = {"Name": role_name(wanted.name)}
    else:
        asked["KeyName"] = key_name(wanted)
    asked["ClientToken"] = _token(asked)
    return asked


def _token(asked: dict[str, Any], salt: str = "") -> str:
    """The firewall's id is in it, and that is new after each ``down``: an old arena's token never comes back."""
    said = {k: v for k, v in asked.items() if k != "ClientToken"}
    return hashlib.sha256((json.dumps(said, sort_keys=True) + salt).encode()).hexdigest()[:64]


def _run(aws: Aws, asked: dict[str, Any], with_role: bool) -> str:
    def call() -> dict[str, Any]:
        made: dict[str, Any] = aws.ec2.run_instances(**asked)["Instances"][0]
        return made

    # A role that was just made is not known to EC2 for some seconds.
    made = aws.patiently(call, {PROFILE_UNKNOWN} if with_role else (), "the role to be known", 60)
    if made["State"]["Name"] in ("shutting-down", "terminated"):  # the token's first instance, ended by hand since
        asked = {**asked, "ClientToken": _token(asked, made["InstanceId"])}
        made = call_again(aws, asked)
    return str(made["InstanceId"])


def call_again(aws: Aws, asked: dict[str, Any]) -> dict[str, Any]:
    """The same with another token."""
    made: dict[str, Any] = aws.ec2.run_instances(**asked)["Instances"][0]
    return made


def state(aws: Aws, instance: str) -> str:
    """Its state; ``pending`` while EC2 has not yet heard of it."""
    try:
        found = aws.ec2.describe_instances(InstanceIds=[instance])["Reservations"]
    except ClientError as error:
        if code_of(error) != "InvalidInstanceID.NotFound":
            raise
        return "pending"
    return str(found[0]["Instances"][0]["State"]["Name"])


def start(aws: Aws, instance: str, zone: str) -> None:
    """A host that is stopping is first let stop. Raises SetupError when its zone is full."""
    aws.until(f"{instance} to stop", RUN_LIMIT_S, lambda: state(aws, instance) != "stopping")
    try:
        aws.ec2.start_instances(InstanceIds=[instance])
    except ClientError as error:
        if code_of(error) in refusals.CAPACITY:
            raise refusals.start(instance, zone) from None
        if code_of(error) in refusals.QUOTA:
            raise refusals.quota(aws, _type(aws, instance), Prices.load()) from None
        raise


def _type(aws: Aws, instance: str) -> str:
    found = aws.ec2.describe_instances(InstanceIds=[instance])["Reservations"]
    return str(found[0]["Instances"][0]["InstanceType"])


def await_running(aws: Aws, instance: str) -> None:
    """Until it runs. Raises SetupError, with AWS's reason, when it ends instead."""

    def running() -> bool:
        now = state(aws, instance)
        if now in ("terminated", "shutting-down"):
            found = aws.ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]
            why = found.get("StateReason", {}).get("Message", "AWS gave no reason")
            raise SetupError(f"{instance} ended instead of starting: {why}",
                             "Run the same command: it launches another")  # fmt: skip
        return now == "running"

    aws.until(f"{instance} to run", RUN_LIMIT_S, running)


def await_installed(aws: Aws, instance: str, ssh: str) -> None:
    """Until the host says that its installer is done; its last line is the progress. SetupError if it gave up."""

    def installed() -> bool:
        console = aws.ec2.get_console_output(InstanceId=instance, Latest=True).get("Output") or ""
        outcome, line = progress(console)
        if outcome == GAVE_UP:
            raise SetupError(f"The installer on {instance} gave up", f"{ssh} -- journalctl -u llm-arena-install -e")
        if line:
            Progress.show(line)
        return outcome == DONE

    aws.until("the installer", INSTALL_LIMIT_S, installed, f"{ssh} -- journalctl -u llm-arena-install -f")


def remember(aws: Aws, instance: str, pin: str) -> None:
    """It was installed and answered: nobody has to wait for that again."""
    aws.ec2.create_tags(Resources=[instance], Tags=[{"Key": INSTALLED_TAG, "Value": pin}])


def keep(aws: Aws, name: str, instance: str) -> None:
    """Stop it and make an image of its disk, whole before anything is removed. The same instance has one image."""
    if state(aws, instance) not in ("stopped", "stopping"):
        aws.ec2.stop_instances(InstanceIds=[instance])
    aws.until(f"{instance} to stop", RUN_LIMIT_S, lambda: state(aws, instance) == "stopped")
    title = f"llm-arena-{name}-{instance}"
    found = aws.ec2.describe_images(Owners=["self"], Filters=[{"Name": "name", "Values": [title]}])["Images"]
    image = found[0]["ImageId"] if found else aws.ec2.create_image(
        InstanceId=instance, Name=title, Description="Kept by python -m ops.aws down --keep-data",
        TagSpecifications=[*tagged("image", name, "image"), *tagged("snapshot", name, "image")],
    )["ImageId"]  # fmt: skip

    def whole() -> bool:
        now = aws.ec2.describe_images(ImageIds=[image])["Images"][0]["State"]
        if now == "failed":
            raise SetupError(f"The image {image} failed; nothing was removed", "Run the same command again")
        return bool(now == "available")

    aws.until(f"image {image}", INSTALL_LIMIT_S, whole)


def terminate(aws: Aws, instance: str) -> None:
    """And its disk, which goes with it."""
    aws.ec2.terminate_instances(InstanceIds=[instance])
    aws.until(f"{instance} to end", RUN_LIMIT_S, lambda: state(aws, instance) == "terminated")
