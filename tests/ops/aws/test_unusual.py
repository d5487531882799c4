"""What seldom happens: hosts ended from outside, things of others in the way, a place that has not what is needed."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import boto3
import pytest

from ops.aws import effects, look
from ops.aws.found import Subnet
from ops.aws.night import group_name
from tests.ops.aws.conftest import Account, refusal
from tests.ops.aws.test_up import BALANCED, counts, steps_of

pytestmark = pytest.mark.long
REAL_PARAMETER = look._parameter


def test_a_host_ended_by_hand_is_launched_again_though_its_token_names_the_old_one(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, asked = account.aws.ec2.run_instances, []

    def told(**words: Any) -> Any:
        """AWS answers a token that it knows with the instance that it made then, whatever became of it."""
        asked.append(words["ClientToken"])
        made = run(**words)
        if len(asked) == 1:
            account.aws.ec2.terminate_instances(InstanceIds=[made["Instances"][0]["InstanceId"]])
            made["Instances"][0]["State"]["Name"] = "terminated"
        return made

    monkeypatch.setattr(account.aws.ec2, "run_instances", told)
    assert account.up()[0] == 0
    assert len(set(asked)) == 2
    assert counts(account)["hosts"] == 1


def test_a_host_that_ends_instead_of_starting_says_why_and_the_next_up_launches_another(account: Account) -> None:
    real = effects.UP["launch", "host"]

    def launched(doing: Any) -> None:
        real(doing)
        doing.aws.ec2.terminate_instances(InstanceIds=[doing.ids["host"]])

    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(effects.UP, ("launch", "host"), launched)
        status, _, err = account.up()
    assert (status, "ended instead of starting" in err, "launches another" in err) == (1, True, True)
    assert account.up()[0] == 0
    kinds = counts(account)
    assert (kinds["hosts"], kinds["addresses"], kinds["volumes"]) == (1, 1, 1)


def test_a_host_that_ec2_has_not_heard_of_yet_is_waited_for(account: Account) -> None:
    unheard = [refusal("InvalidInstanceID.NotFound", "DescribeInstances")]
    ids = "InstanceIds"
    account.refuse["DescribeInstances"] = lambda p: unheard.pop() if unheard and p.get(ids) else None
    assert account.up()[0] == 0
    assert not unheard


def test_a_role_that_ec2_has_not_heard_of_yet_is_waited_for_and_not_for_ever(account: Account) -> None:
    unheard = [refusal("InvalidParameterValue", "RunInstances")]
    account.refuse["RunInstances"] = lambda _: unheard.pop() if unheard else None
    assert account.up("--session")[0] == 0
    assert account.run("down", "--yes")[0] == 0
    account.refuse["RunInstances"] = lambda _: refusal("InvalidParameterValue", "RunInstances")
    status, _, err = account.up("--session")
    assert (status, "AWS refused RunInstances: InvalidParameterValue" in err) == (1, True)
    assert counts(account)["hosts"] == 0


def test_a_stopped_host_beyond_the_quota_says_which_quota_and_stays(account: Account) -> None:
    account.up()
    account.aws.ec2.stop_instances(InstanceIds=[account.ours.instances[0].id])
    assert account.run("status")[0] == 1
    status, _, err = account.run("verify")
    assert (status, "is stopped" in err) == (1, True)
    account.refuse["StartInstances"] = lambda _: refusal("VcpuLimitExceeded", "StartInstances")
    status, _, err = account.up()
    assert (status, "L-DB2E81BA" in err) == (1, True)
    assert account.ours.instances[0].state == "stopped"


@pytest.mark.parametrize("offers", [True, False], ids=["one zone", "no zone with the type"])
def test_a_network_that_will_not_do_is_said_before_anything_is_made(
    account: Account, monkeypatch: pytest.MonkeyPatch, offers: bool
) -> None:
    real = look.look_place(account.aws, "g4dn.xlarge")
    place = dataclasses.replace(real, subnets=(Subnet("subnet-1", "us-east-1a", offers),))
    monkeypatch.setattr("ops.aws.command.look_place", lambda *_: place)
    status, _, err = account.up(*(("--certificate", account.certificate) if offers else ()))
    said = "subnets in two zones" if offers else "No zone with a subnet"
    assert (status, said in err, "--vpc" in err) == (1, True, True)
    assert set(counts(account).values()) == {0}


def test_a_region_without_the_image_or_without_a_network_names_another(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(look, "_parameter", REAL_PARAMETER)
    monkeypatch.setattr(look, "AMI_PARAMETER", "/aws/service/nothing/of/the/kind")
    status, _, err = account.up()
    assert (status, "publishes no Deep Learning AMI" in err, "--region" in err) == (1, True, True)
    boto3.client("ssm", "us-east-1").put_parameter(Name="/of/a/test", Value="ami-1", Type="String")
    monkeypatch.setattr(look, "AMI_PARAMETER", "/of/a/test")
    assert look._parameter(account.aws) == "ami-1"


def test_a_rule_added_by_hand_is_taken_away(account: Account) -> None:
    account.up()
    group = account.ours.host_firewall.id
    source = {"IpProtocol": "tcp", "FromPort": 1, "ToPort": 9999, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
    account.aws.ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=[source])
    assert account.ours.host_firewall.odd
    _, planned, _ = account.up("--dry-run")
    assert "firewall" in steps_of(planned)[0]
    assert account.up()[0] == 0
    assert not account.ours.host_firewall.odd
    assert 443 in {rule.port for rule in account.ours.host_firewall.rules}


def test_another_certificate_and_another_host_reach_the_balancer(account: Account) -> None:
    base = ("--session", "--certificate")
    assert account.up(*base, account.certificate)[0] == 0
    newer = boto3.client("acm", "us-east-1").request_certificate(DomainName="arena.example")["CertificateArn"]
    elb, arn = account.aws.client("elbv2"), account.ours.balancer.arn
    elsewhere = {"Type": "redirect", "RedirectConfig": {"Protocol": "HTTPS", "Port": "443", "StatusCode": "HTTP_301"}}
    elb.create_listener(LoadBalancerArn=arn, Protocol="HTTP", Port=8080, DefaultActions=[elsewhere])
    _, planned, _ = account.up(*base, newer, "--dry-run")
    assert steps_of(planned)[0].split()[:2] == ["change", "balancer"]
    assert account.up(*base, newer)[0] == 0
    assert account.ours.balancer.listeners == {443: newer, 80: ""}
    before = account.ours.instances[0].id
    account.aws.ec2.terminate_instances(InstanceIds=[before])
    assert account.up(*base, newer)[0] == 0
    assert set(account.ours.targets.instances) == {account.ours.instances[0].id} != {before}


def _vpc(aws: Any) -> str:
    return str(aws.ec2.describe_vpcs()["Vpcs"][0]["VpcId"])


def _balancer(account: Account, aws: Any) -> None:
    aws.client("elbv2").create_target_group(Name="llm-arena-arena", Protocol="HTTP", Port=1, VpcId=_vpc(aws))


def _schedules(account: Account, aws: Any) -> None:
    aws.client("scheduler").create_schedule_group(Name=group_name("arena"))


def _profile(account: Account, aws: Any) -> None:
    boto3.client("iam").create_instance_profile(InstanceProfileName="llm-arena-arena-host")


@pytest.mark.parametrize("make", [_balancer, _schedules, _profile])
def test_what_is_anothers_is_left_alone_by_up_and_by_down(
    account: Account, make: Callable[[Account, Any], None]
) -> None:
    make(account, account.aws)
    for words in (account.up(*BALANCED, "--certificate", account.certificate), account.run("down", "--yes")):
        assert (words[0], "that is not ours" in words[2], "Another --name" in words[2]) == (1, True, True)
    assert not any(name.startswith(("Run", "Create", "Allocate")) for name in account.names())


def test_down_finds_disks_and_snapshots_that_were_left_alone(account: Account) -> None:
    account.up()
    ec2, tag = account.aws.ec2, [{"Key": "llm-arena:name", "Value": "arena"}]
    disk = ec2.create_volume(AvailabilityZone="us-east-1a", Size=1)["VolumeId"]
    ec2.create_tags(Resources=[disk], Tags=tag)
    snapshot = ec2.create_snapshot(VolumeId=disk)["SnapshotId"]
    ec2.create_tags(Resources=[snapshot], Tags=tag)
    _, planned, _ = account.run("down", "--dry-run")
    assert all(one in planned for one in (disk, snapshot))
    assert account.run("down", "--yes")[0] == 0
    assert (account.ours.volumes, account.ours.snapshots) == ((), ())


def test_down_without_an_answer_does_nothing(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    account.up()

    def nobody(_: str) -> str:
        raise EOFError

    monkeypatch.setattr("builtins.input", nobody)
    assert account.run("down")[0] == 1
    assert account.ours.instances


def test_an_image_that_fails_removes_nothing(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    account.up()
    described = account.aws.ec2.describe_images
    broken = {"Images": [{"State": "failed"}]}
    monkeypatch.setattr(account.aws.ec2, "describe_images",
                        lambda **words: broken if words.get("ImageIds") else described(**words))  # fmt: skip
    status, _, err = account.run("down", "--keep-data", "--yes")
    assert (status, "nothing was removed" in err) == (1, True)
    assert len(account.ours.instances) == 1


def test_what_up_leaves_as_it_is_is_said(account: Account) -> None:
    account.up()
    other = "f" * 40
    status, out, _ = account.up("--type", "g5.xlarge", "--ref", other, "--dry-run")
    assert status == 0
    assert "stays a g4dn.xlarge" in out
    assert "the host runs 0123456789ab, not ffffffffffff" in out
