"""`up` against an account that is empty, that has a host, that was left half-way, or that says no."""

from __future__ import annotations

import json
from typing import Any

import boto3
import pytest

from ops.aws import effects, here
from ops.aws.command import main
from tests.ops.aws.conftest import COMMIT, UP, Account, refusal

BALANCED = ("--session", "--night", "20:00-08:00", "--timezone", "Europe/Berlin")


def steps_of(text: str) -> list[str]:
    """The numbered plan."""
    return [line.split(". ", 1)[1] for line in text.splitlines() if line[:3].strip().isdigit() and ". " in line[:6]]


def counts(account: Account) -> dict[str, int]:
    """How many of each kind carry the tag."""
    ours = account.ours
    return {
        "hosts": len(ours.instances), "keys": len(ours.keys), "addresses": len(ours.addresses),
        "firewalls": (ours.host_firewall is not None) + (ours.balancer_firewall is not None),
        "volumes": len(ours.volumes), "balancers": int(ours.balancer is not None),
        "targets": int(ours.targets is not None), "schedules": len(ours.schedules.crons), "roles": int(ours.host_role),
    }  # fmt: skip


def test_a_fresh_account_gets_one_host_as_promised_and_again_changes_nothing(account: Account) -> None:
    _, planned, _ = account.up("--dry-run")
    assert not any(name.startswith(("Run", "Create", "Allocate", "Import")) for name in account.names())
    status, out, err = account.up()
    assert (status, err) == (0, "")
    assert steps_of(planned) == steps_of(out)
    carried_out = [
        line.split(" ", 1)[1].split(" ", 1)[1] for line in out.splitlines() if line.startswith("[") and "/" in line[:12]
    ]
    assert carried_out == steps_of(planned)
    assert "$0.542 an hour" in out
    assert counts(account) == {"hosts": 1, "keys": 1, "addresses": 1, "firewalls": 1, "volumes": 1, "balancers": 0,
                               "targets": 0, "schedules": 0, "roles": 0}  # fmt: skip
    asked = next(p for n, p in account.calls if n == "RunInstances")
    assert asked["MetadataOptions"]["HttpTokens"] == "required"
    assert asked["BlockDeviceMappings"][0]["Ebs"] | {"VolumeSize": 0} == {
        "VolumeSize": 0, "VolumeType": "gp3", "Encrypted": True, "DeleteOnTermination": True,
    }  # fmt: skip
    for name, params in account.calls:
        if name in ("RunInstances", "CreateSecurityGroup", "AllocateAddress", "ImportKeyPair"):
            tags = [t for spec in params["TagSpecifications"] for t in spec["Tags"]]
            assert {"Key": "llm-arena:name", "Value": "arena"} in tags
    rules = {(r.port, r.network) for r in account.ours.host_firewall.rules}
    assert rules == {(443, "0.0.0.0/0"), (443, "::/0"), (80, "0.0.0.0/0"), (80, "::/0"), (5000, "172.31.0.0/16"),
                     (8000, "172.31.0.0/16"), (22, "203.0.113.7/32")}  # fmt: skip
    before = len(account.calls)
    status, out, _ = account.up()
    assert (status, [s.split()[0] for s in steps_of(out)]) == (0, ["verify"])
    assert all(n.startswith(("Describe", "CreateTags", "Get")) for n in account.names()[before:])


def test_a_stopped_host_is_started_and_keeps_its_address(account: Account) -> None:
    account.up()
    ip = account.ours.addresses[0].ip
    account.aws.ec2.stop_instances(InstanceIds=[account.ours.instances[0].id])
    status, out, _ = account.up()
    assert status == 0
    assert [s.split()[:2] for s in steps_of(out)] == [["start", "host"], ["wait", "host"], ["verify", "arena"]]
    assert (account.ours.instances[0].state, account.ours.addresses[0].ip) == ("running", ip)
    assert counts(account)["hosts"] == 1


def test_a_laptop_that_moved_opens_port_22_to_itself_alone(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    account.up()
    monkeypatch.setattr(here, "own_address", lambda: "198.51.100.9")
    _, out, _ = account.up()
    assert "open 22 from 198.51.100.9/32; close 22 from 203.0.113.7/32" in steps_of(out)[0]
    assert {r.network for r in account.ours.host_firewall.rules if r.port == 22} == {"198.51.100.9/32"}


def test_no_quota_says_which_and_how_to_ask(account: Account) -> None:
    account.refuse["RunInstances"] = lambda _: refusal("VcpuLimitExceeded", "RunInstances")
    status, _, err = account.up()
    assert status == 1
    assert "L-DB2E81BA" in err
    assert "aws service-quotas request-service-quota-increase" in err
    assert account.names().count("RunInstances") == 1
    assert (counts(account)["hosts"], counts(account)["addresses"]) == (0, 0)  # nothing that costs
    del account.refuse["RunInstances"]
    assert account.up()[0] == 0
    assert counts(account)["firewalls"] == 1


def test_no_capacity_is_tried_in_every_zone_and_then_says_where_else(account: Account) -> None:
    account.refuse["RunInstances"] = lambda _: refusal("InsufficientInstanceCapacity", "RunInstances")
    status, _, err = account.up()
    assert status == 1
    subnets = [p["NetworkInterfaces"][0]["SubnetId"] for n, p in account.calls if n == "RunInstances"]
    assert len(subnets) == len(set(subnets)) == 5  # us-east-1e has no g4dn.xlarge
    assert "--type g4dn.2xlarge" in err
    assert "--region us-west-2" in err
    assert counts(account)["addresses"] == 0


def test_room_in_the_second_zone_is_enough(account: Account) -> None:
    full = [refusal("InsufficientInstanceCapacity", "RunInstances")]
    account.refuse["RunInstances"] = lambda _: full.pop() if full else None
    assert account.up()[0] == 0
    assert account.ours.instances[0].zone == "us-east-1b"
    assert counts(account)["hosts"] == 1


def test_a_zone_that_is_full_keeps_a_stopped_host_and_says_what_to_do(account: Account) -> None:
    account.up()
    account.aws.ec2.stop_instances(InstanceIds=[account.ours.instances[0].id])
    account.refuse["StartInstances"] = lambda _: refusal("InsufficientInstanceCapacity", "StartInstances")
    status, _, err = account.up()
    assert status == 1
    assert "--keep-data" in err
    assert account.ours.instances[0].state == "stopped"


@pytest.mark.parametrize("options", [(), BALANCED], ids=["plain", "balanced"])
def test_interrupted_after_any_step_it_goes_on_and_nothing_is_there_twice(
    account: Account, monkeypatch: pytest.MonkeyPatch, options: tuple[str, ...]
) -> None:
    options = (*options, "--certificate", account.certificate) if options else ()
    _, planned, _ = account.up(*options, "--dry-run")
    for verb_what in [tuple(s.split(None, 1)) for s in steps_of(planned)]:
        step = next(key for key in effects.UP if key[0] == verb_what[0] and verb_what[1].startswith(f"{key[1]} "))
        real = effects.UP[step]

        def once(doing: Any, real: Any = real) -> None:
            real(doing)
            raise KeyboardInterrupt

        with monkeypatch.context() as patched:
            patched.setitem(effects.UP, step, once)
            status, _, err = account.up(*options)
        assert status in (0, 130), err
    status, out, err = account.up(*options)
    assert (status, [s.split()[0] for s in steps_of(out)]) == (0, ["verify"]), err
    kinds = counts(account)
    assert set(kinds.values()) <= {0, 1, 2}
    assert (kinds["hosts"], kinds["volumes"], kinds["addresses"] + kinds["balancers"]) == (1, 1, 1)
    assert account.names().count("RunInstances") == 1
    assert account.run("down", "--yes")[0] == 0
    assert set(counts(account).values()) == {0}


def test_launched_twice_with_the_same_wish_carries_the_same_token(account: Account) -> None:
    tokens = []

    def lost(params: dict[str, Any]) -> Any:
        tokens.append(params["ClientToken"])
        return KeyboardInterrupt()

    account.refuse["RunInstances"] = lost
    assert [account.up()[0] for _ in range(2)] == [130, 130]
    assert tokens[0] == tokens[1]
    account.run("down", "--yes")
    account.up()
    assert tokens[2] != tokens[0]  # an arena that was removed never comes back by its token


def test_a_balanced_host_is_hidden_behind_its_balancer(account: Account) -> None:
    base = ("--session", "--certificate", account.certificate)
    status, _, err = account.up(*BALANCED, *base[1:])
    assert status == 0, err
    ours = account.ours
    assert {r.port for r in ours.host_firewall.rules} == {5000, 8000}
    assert (ours.balancer.idle_s, ours.balancer.listeners) == (3600, {443: account.certificate, 80: ""})
    group = account.aws.client("elbv2").describe_target_groups()["TargetGroups"][0]
    assert (group["HealthCheckPath"], group["Port"]) == ("/health", 5000)
    assert "KeyName" not in next(p for n, p in account.calls if n == "RunInstances")
    crons = ours.schedules.crons
    assert crons["stop"][:2] == ("cron(0 20 * * ? *)", "Europe/Berlin")
    assert crons["start"][:2] == ("cron(0 8 * * ? *)", "Europe/Berlin")
    assert {c[2] for c in crons.values()} == {ours.instances[0].id}
    status, out, _ = account.up(*base, "--night", "22:30", "--workdays")
    assert steps_of(out)[0].split()[:2] == ["change", "night"]
    assert {w: c[0] for w, c in account.ours.schedules.crons.items()} == {"stop": "cron(30 22 ? * MON-FRI *)"}
    account.up(*base, "--no-night")
    assert not account.ours.schedules.group


def test_what_the_installer_says_is_waited_for_and_giving_up_is_told(account: Account) -> None:
    account.host.consoles = ["", "llm-arena-install: [1:00] 16/18 models\n", "llm-arena-install: gave up\n"]
    status, _, err = account.up()
    assert status == 1
    assert "gave up" in err
    assert "journalctl -u llm-arena-install" in err
    assert len(account.waits) == 2
    account.host.consoles = ["llm-arena-install: done\n"]
    status, out, _ = account.up()
    assert status == 0
    assert [s.split()[:2] for s in steps_of(out)] == [["wait", "installation"], ["verify", "arena"]]
    assert account.ours.instances[0].installed == COMMIT


def test_a_model_that_does_not_answer_is_no_success(account: Account) -> None:
    account.host.answer = {"error": {"message": "The model is being loaded."}}
    status, _, err = account.up()
    assert status == 1
    assert "llama-3.1-8b did not answer: The model is being loaded." in err
    assert account.ours.instances[0].installed == ""


def test_the_notes_two_mistakes_are_said_with_figures_before_anything_is_made(account: Account) -> None:
    _, out, _ = account.up("--type", "g4dn.2xlarge", "--dry-run")
    assert "has one T4, not two" in out
    status, _, err = account.up("--catalog", "tests/worker/models/seed_notes.toml")
    assert status == 1
    assert "needs 17.09 GiB" in err
    assert counts(account) == dict.fromkeys(counts(account), 0)


def test_two_hosts_of_one_name_are_a_persons_to_decide(account: Account) -> None:
    account.up()
    ami = account.aws.ec2.describe_instances()["Reservations"][0]["Instances"][0]["ImageId"]
    tag = {"ResourceType": "instance", "Tags": [{"Key": "llm-arena:name", "Value": "arena"}]}
    account.aws.ec2.run_instances(ImageId=ami, MinCount=1, MaxCount=1, TagSpecifications=[tag])
    status, _, err = account.up()
    assert (status, "2 instances carry the tag" in err) == (1, True)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--ssh-from", "0.0.0.0/0"), "not opened to everybody"),
        (("--ssh-from", "home"), "no address or network"),
        (("--night", "25:00"), "no night"),
        (("--night", "20:00", "--timezone", "Mars/Base"), "no time zone"),
        (("--type", "g9.huge"), "not in ops/aws/prices.toml"),
        (("--domain", "not a name"), "no public name"),
        (("--ref", "v1"), "pins no code"),
        (("--source", "git@git.example:x/y"), "https alone"),
        (("--vpc", "vpc-0123456789abcdef0"), "There is no VPC"),
        (("--name", "X"), "cannot be the arena's name"),
        (("--public-key", "/nonexistent"), "cannot be read"),
        (("--catalog", "/etc/passwd"), "no catalog of this checkout"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_in_one_line(account: Account, options: tuple[str, ...], said: str) -> None:
    status, _, err = account.run(*UP, *options)
    assert (status, said in err, "-> " in err) == (1, True, True), err
    assert not any(n.startswith(("Run", "Create")) for n in account.names())


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("UnauthorizedOperation", "may not DescribeSecurityGroups"),
        ("ExpiredToken", "does not take these credentials"),
        ("InternalError", "AWS refused DescribeSecurityGroups: InternalError"),
    ],
)  # fmt: skip
def test_refusals_of_aws_are_one_line_with_a_fix(account: Account, code: str, said: str) -> None:
    account.refuse["DescribeSecurityGroups"] = lambda _: refusal(code, "DescribeSecurityGroups")
    status, _, err = account.up()
    assert (status, said in err, "-> " in err, "Traceback" in err) == (1, True, True, False)


def test_no_region_and_no_credentials_say_what_to_set(capsys: pytest.CaptureFixture[str], account: Account) -> None:
    assert main(["status"]) == 1
    assert "--region us-east-1" in capsys.readouterr().err


def test_a_role_of_another_is_never_taken(account: Account) -> None:
    iam = boto3.client("iam")
    iam.create_role(RoleName="llm-arena-arena-host", AssumeRolePolicyDocument=json.dumps({}))
    status, _, err = account.up("--session")
    assert (status, "that is not ours" in err) == (1, True)
    assert account.run("down", "--yes")[0] == 1
    assert iam.get_role(RoleName="llm-arena-arena-host")
