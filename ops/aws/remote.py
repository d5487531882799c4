"""Commands on the host: over ssh with the operator's own key, or over Session Manager where there is no port 22."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import dataclass
from typing import Any, Protocol

from botocore.exceptions import ClientError

from ops.aws.edge import Aws, code_of
from ops.setup.console import SetupError

USER = "ubuntu"
LIMIT_S = 600.0
_LOOK = "python -m ops.aws ssh, then: journalctl -u vllm-arena -u arena-web -e; python -m ops.doctor"


class Remote(Protocol):
    """A way to the host."""

    def run(self, command: str) -> str:
        """What the command printed. Raises SetupError when it fails, with the end of what it said."""

    def interactive(self, command: list[str]) -> list[str]:
        """The words that open a shell there, or run ``command``."""


@dataclass(frozen=True)
class Ssh:
    """``instance`` stands for the host's key, so that an address given to a new host raises no false alarm."""

    address: str
    instance: str
    identity: str = ""

    def interactive(self, command: list[str]) -> list[str]:
        options = ["-o", "StrictHostKeyChecking=accept-new", "-o", f"HostKeyAlias={self.instance}",
                   "-o", "ServerAliveInterval=15"]  # fmt: skip
        key = ["-i", self.identity] if self.identity else []
        return ["ssh", *options, *key, f"{USER}@{self.address}", *command]

    def run(self, command: str) -> str:
        if shutil.which("ssh") is None:
            raise SetupError("ssh is not installed here", "apt-get install openssh-client")
        batch = ["-o", "BatchMode=yes", "-o", "ConnectTimeout=20"]
        words = self.interactive([])
        try:
            done = subprocess.run([words[0], *batch, *words[1:], "--", command], capture_output=True, text=True,
                                  timeout=LIMIT_S, check=False)  # fmt: skip
        except subprocess.TimeoutExpired:
            raise SetupError(f"{self.address} did not answer for {LIMIT_S:.0f} s", _LOOK) from None
        if done.returncode == 255:
            said = (done.stderr.strip().splitlines() or ["no word"])[-1]
            raise SetupError(f"ssh {USER}@{self.address}: {said}",
                             "Has your address changed? `up` opens port 22 to it. Another key: --identity")  # fmt: skip
        if done.returncode:
            said = ((done.stderr or done.stdout).strip().splitlines() or ["no word"])[-1]
            raise SetupError(f"On the host: {said}", _LOOK)
        return done.stdout


@dataclass(frozen=True)
class Session:
    """Through AWS's agent on the host; needs the role that `up --session` makes."""

    aws: Aws
    instance: str

    def interactive(self, command: list[str]) -> list[str]:
        words = ["aws", "ssm", "start-session", "--region", self.aws.region, "--target", self.instance]
        if command:
            document = ["--document-name", "AWS-StartInteractiveCommand"]
            return [*words, *document, "--parameters", f"command={' '.join(command)}"]
        return words

    def run(self, command: str) -> str:
        ssm = self.aws.client("ssm")
        asked = self.aws.patiently(
            lambda: ssm.send_command(
                DocumentName="AWS-RunShellScript", InstanceIds=[self.instance],
                Parameters={"commands": [command], "executionTimeout": [str(int(LIMIT_S))]},
            ), {"InvalidInstanceId"}, "the agent on the host",
        )["Command"]["CommandId"]  # fmt: skip
        answer: dict[str, Any] = {}

        def ended() -> bool:
            try:
                answer.update(ssm.get_command_invocation(CommandId=asked, InstanceId=self.instance))
            except ClientError as error:
                if code_of(error) != "InvocationDoesNotExist":
                    raise
                return False
            return answer["Status"] not in ("Pending", "InProgress", "Delayed")

        self.aws.until("the host's answer", LIMIT_S, ended)
        if answer["Status"] != "Success":
            said = (answer["StandardErrorContent"] or answer["StandardOutputContent"]).strip().splitlines()
            raise SetupError(f"On the host: {said[-1] if said else answer['Status']}", _LOOK)
        return str(answer["StandardOutputContent"])


def remote_for(aws: Aws, instance: str, identity: str = "") -> Remote:
    """ssh where the host was launched with a key, else a session."""
    found = aws.ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]
    if not found.get("KeyName"):
        return Session(aws, instance)
    address = found.get("PublicIpAddress", "")
    if not address:
        raise SetupError(
            f"{instance} has no public address; it is {found['State']['Name']}", "python -m ops.aws up ..."
        )
    return Ssh(address, instance, identity)
