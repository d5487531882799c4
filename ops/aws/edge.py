"""The one way to AWS: clients made once, patience with what is only eventually so, refusals as one readable line."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,  # noqa: A004
    NoCredentialsError,
    NoRegionError,
    ProfileNotFound,
)

from ops.aws.wanted import NAME_TAG, PART_TAG
from ops.setup.console import Progress, SetupError

POLL_S = 5.0
T = TypeVar("T")
Tags = list[dict[str, str]]


class Aws:
    """A region of an account. ``sleep`` is a test's to replace."""

    def __init__(self, region: str = "", profile: str = "", sleep: Callable[[float], None] = time.sleep) -> None:
        self._session = boto3.Session(region_name=region or None, profile_name=profile or None)
        self._clients: dict[str, Any] = {}
        self._sleep = sleep
        self.region: str = self._session.region_name or ""
        if not self.region:
            raise NoRegionError

    def client(self, service: str) -> Any:
        """boto3's client of that service; throttled calls are tried again by itself."""
        if service not in self._clients:
            config = Config(retries={"mode": "standard", "max_attempts": 6}, connect_timeout=10, read_timeout=60)
            self._clients[service] = self._session.client(service, config=config)
        return self._clients[service]

    @property
    def ec2(self) -> Any:
        return self.client("ec2")

    def pages(self, service: str, operation: str, key: str, **asked: Any) -> Iterator[dict[str, Any]]:
        """Every entry of ``key`` on all pages."""
        for page in self.client(service).get_paginator(operation).paginate(**asked):
            yield from page[key]

    def until(self, what: str, limit_s: float, done: Callable[[], bool], fix: str = "") -> None:
        """Ask until it is so, saying ``what`` is waited for. Raises SetupError after ``limit_s`` of waiting."""
        waited = 0.0
        while not done():
            if waited >= limit_s:
                raise SetupError(f"Waited {limit_s / 60:.0f} minutes in vain: {what}",
                                 fix or "Run the same command to go on from here")  # fmt: skip
            Progress.show(f"waiting: {what} ({waited:.0f} s)")
            self._sleep(POLL_S)
            waited += POLL_S

    def patiently(self, call: Callable[[], T], codes: Iterable[str], what: str, limit_s: float = 300.0) -> T:
        """Call again while it is refused with one of ``codes``: AWS has not yet heard of its own changes.

        Raises the last refusal after ``limit_s``.
        """
        result: list[T] = []
        last: list[ClientError] = []

        def tried() -> bool:
            try:
                result.append(call())
            except ClientError as error:
                if code_of(error) not in codes:
                    raise
                last[:] = [error]
                return False
            return True

        try:
            self.until(what, limit_s, tried)
        except SetupError:
            raise last[0] from None
        return result[0]


def code_of(error: ClientError) -> str:
    """AWS's name of the refusal."""
    return str(error.response.get("Error", {}).get("Code", ""))


def tags(name: str, part: str, **more: str) -> Tags:
    """What every resource of ours carries from its first moment."""
    pairs = {NAME_TAG: name, PART_TAG: part, "Name": f"llm-arena-{name}", **more}
    return [{"Key": k, "Value": v} for k, v in pairs.items()]


def tagged(kind: str, name: str, part: str, **more: str) -> list[dict[str, Any]]:
    """The same as EC2 takes it with a resource's creation."""
    return [{"ResourceType": kind, "Tags": tags(name, part, **more)}]


def read_tags(entry: dict[str, Any], key: str = "Tags") -> dict[str, str]:
    """Tags as a dictionary."""
    return {t["Key"]: t["Value"] for t in entry.get(key, [])}


def own(name: str) -> list[dict[str, Any]]:
    """EC2's filter that lets only our own through."""
    return [{"Name": f"tag:{NAME_TAG}", "Values": [name]}]


def readable(error: BotoCoreError | ClientError) -> SetupError:
    """What happened and what to do, for whatever was not expected where it happened."""
    if isinstance(error, NoCredentialsError):
        return SetupError("There are no AWS credentials", "aws configure, aws sso login, or --profile NAME")
    if isinstance(error, NoRegionError):
        return SetupError("No AWS region is chosen", "--region us-east-1, or AWS_REGION")
    if isinstance(error, ProfileNotFound):
        return SetupError(str(error), "aws configure list-profiles names those there are")
    if isinstance(error, ConnectionError):
        return SetupError(f"AWS cannot be reached: {error}", "Is the network there, and the region's name right?")
    if not isinstance(error, ClientError):
        return SetupError(f"AWS: {error}", "aws sts get-caller-identity tries the same credentials")
    code, operation = code_of(error), error.operation_name
    said = " ".join(str(error.response.get("Error", {}).get("Message", "")).split())[:300]
    if code in ("UnauthorizedOperation", "AccessDenied", "AccessDeniedException"):
        return SetupError(f"These credentials may not {operation}: {said}", "ops/runbook.md, On AWS, has the policy")
    if code in ("ExpiredToken", "ExpiredTokenException", "RequestExpired", "AuthFailure", "InvalidClientTokenId",
                "UnrecognizedClientException"):  # fmt: skip
        return SetupError(f"AWS does not take these credentials ({code})", "aws sso login, or aws configure")
    return SetupError(f"AWS refused {operation}: {code}: {said}", "Run the same command to go on from here")
