"""An account of nobody's: moto in this process, a host that answers, and an arena asked for as an operator would."""

from __future__ import annotations

import functools
import json
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws
from moto.iam import models

from ops.aws import effects, here, look, verify
from ops.aws.command import main
from ops.aws.edge import Aws
from ops.aws.look import look_ours
from ops.aws.role import SESSIONS

COMMIT = "0123456789abcdef0123456789abcdef01234567"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHUnPPgCLCpnVsxvqjmtdHKIXZeVjmUBVhxkpCh3vYyJ"
UP = ["up", "--domain", "arena.example", "--source", "https://git.example/llm-arena.git", "--ref", COMMIT]
ONE_POLICY = json.dumps({SESSIONS: json.loads(models.aws_managed_policies_data)[SESSIONS]})
REAL_SESSION = boto3.Session
INSTALLED = "boot\nllm-arena-install: [0:05] 1/18 check\nllm-arena-install: done\n"


def refusal(code: str, operation: str, message: str = "No.") -> ClientError:
    """What boto3 raises when AWS refuses."""
    return ClientError({"Error": {"Code": code, "Message": message}}, operation)


class Host:
    """Stands for the machine behind the instance: a console, and what curl on it would print."""

    def __init__(self) -> None:
        self.consoles = [INSTALLED]
        self.models = ["llama-3.1-8b", "mistral-7b"]
        self.answer: dict[str, Any] = {
            "choices": [{"message": {"content": "Hello."}}], "usage": {"completion_tokens": 3},
        }  # fmt: skip
        self.asked: list[list[str]] = []

    def interactive(self, command: list[str]) -> list[str]:
        return ["ssh", *command]

    def run(self, command: str) -> str:
        words = shlex.split(command)
        self.asked.append(words)
        path = next(w for w in words if w.startswith("http://127.0.0.1:8000")).removeprefix("http://127.0.0.1:8000")
        return json.dumps({
            "/v1/models": {"data": [{"id": m} for m in self.models]},
            "/health": {"status": "healthy", "loaded_models": self.models[:1]},
            "/v1/chat/completions": self.answer,
        }[path])  # fmt: skip


class Account:
    """A region, and the command as a terminal would run it. ``refuse``: operations of EC2 that do not succeed."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self.waits: list[float] = []
        self.aws = Aws("us-east-1", sleep=self.waits.append)
        self.host = Host()
        self.certificate = ""
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.refuse: dict[str, Callable[[dict[str, Any]], ClientError | None]] = {}
        self._capsys = capsys
        events = self.aws.ec2.meta.events
        events.register("provide-client-params.ec2", self._called)

    def _called(self, params: dict[str, Any], model: Any, **_: Any) -> None:
        self.calls.append((model.name, params))
        if (
            model.name == "CreateImage"
        ):  # moto cannot tag the snapshot, which AWS does; it goes with its image all the same
            params["TagSpecifications"] = [s for s in params["TagSpecifications"] if s["ResourceType"] == "image"]
        why = self.refuse.get(model.name, lambda _: None)(params)
        if why is not None:
            raise why

    def names(self) -> list[str]:
        """EC2 operations asked so far."""
        return [name for name, _ in self.calls]

    def run(self, *argv: str) -> tuple[int, str, str]:
        """Exit status, stdout, stderr."""
        status = main(list(argv), self.aws)
        said = self._capsys.readouterr()
        return status, said.out, said.err

    def up(self, *more: str) -> tuple[int, str, str]:
        return self.run(*UP, *more)

    @property
    def ours(self) -> Any:
        return look_ours(self.aws, "arena")


@functools.cache
def session(**options: Any) -> Any:
    """Made once: reading the services' descriptions takes longer than a test."""
    return REAL_SESSION(**options)


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Account]:
    """Fresh; the outside world answers well until a test says otherwise."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / ".ssh").mkdir()
    (tmp_path / ".ssh" / "id_ed25519.pub").write_text(f"{KEY} me@laptop\n")
    monkeypatch.setenv("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")  # thousands, which take seconds to read
    monkeypatch.setattr(boto3, "Session", session)
    monkeypatch.setattr(models, "aws_managed_policies_data", ONE_POLICY)  # of a thousand
    with mock_aws(config={"iam": {"load_aws_managed_policies": True}}):
        made = Account(capsys)
        ami = made.aws.ec2.register_image(Name="Deep Learning Base", RootDeviceName="/dev/sda1")["ImageId"]
        monkeypatch.setattr(look, "_parameter", lambda _: ami)
        monkeypatch.setattr(here, "own_address", lambda: "203.0.113.7")
        monkeypatch.setattr(effects, "remote_for", lambda *_: made.host)
        monkeypatch.setattr("ops.aws.command.remote_for", lambda *_: made.host)
        monkeypatch.setattr(verify, "problem", lambda *_: None)
        monkeypatch.setattr(verify, "_leads_here", lambda *_: True)
        made.aws.ec2.get_console_output = lambda **_: {
            "Output": made.host.consoles.pop(0) if len(made.host.consoles) > 1 else made.host.consoles[0]
        }
        made.certificate = boto3.client("acm", "us-east-1").request_certificate(DomainName="arena.example")[
            "CertificateArn"
        ]
        yield made
