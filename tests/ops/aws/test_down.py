"""`down` removes what is ours and nothing else; `status`, `ssh`, `models` and `verify` look at what is there."""

from __future__ import annotations

import subprocess
from typing import Any

import pytest

from ops.aws.cloud_init import MOST_BYTES, script, user_data
from ops.aws.edge import Aws
from ops.aws.found import Place, Subnet
from ops.aws.prices import Prices
from ops.aws.remote import Session, Ssh
from ops.aws.wanted import Source, Wanted
from ops.setup.console import SetupError
from tests.ops.aws.conftest import COMMIT, Account

PLACE = Place("vpc-1", ("172.31.0.0/16",), (Subnet("subnet-1", "us-east-1a"),), "ami-1", "Deep Learning", "/dev/sda1")
WANTED = Wanted("arena", "arena.example", Source("https://git.example/a.git", COMMIT), catalog="ops/catalogs/t4.toml")


def test_down_asks_and_touches_nothing_that_is_not_tagged(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    account.up()
    ec2 = account.aws.ec2
    image = ec2.describe_instances()["Reservations"][0]["Instances"][0]["ImageId"]
    other = ec2.run_instances(ImageId=image, MinCount=1, MaxCount=1)["Instances"][0]["InstanceId"]
    foreign = ec2.create_security_group(GroupName="llm-arena-arena", Description="another's")["GroupId"]
    _, planned, _ = account.run("down", "--dry-run")
    assert other not in planned
    monkeypatch.setattr("builtins.input", lambda _: "no")
    assert account.run("down")[0] == 1
    assert account.ours.instances
    monkeypatch.setattr("builtins.input", lambda _: "arena")
    assert account.run("down")[0] == 0
    assert account.ours == type(account.ours)()
    assert ec2.describe_instances(InstanceIds=[other])["Reservations"][0]["Instances"][0]["State"]["Name"] == "running"
    assert ec2.describe_security_groups(GroupIds=[foreign])["SecurityGroups"]
    status, out, _ = account.run("down", "--yes")
    assert (status, "Nothing in us-east-1 carries the tag" in out) == (0, True)


def test_kept_data_is_what_the_next_host_is_launched_from(account: Account) -> None:
    account.up()
    assert account.run("down", "--keep-data", "--yes")[0] == 0
    kept = account.ours.image
    assert (kept is not None, account.ours.instances, account.ours.addresses) == (True, (), ())
    assert account.up()[0] == 0
    assert [p for n, p in account.calls if n == "RunInstances"][-1]["ImageId"] == kept.id
    assert account.run("down", "--yes")[0] == 0
    assert (account.ours.images, account.ours.snapshots) == ((), ())


def test_status_says_what_there_is_and_what_it_costs(account: Account) -> None:
    status, out, _ = account.run("status")
    assert (status, "There is no host" in out) == (1, True)
    account.up()
    status, out, _ = account.run("status")
    assert (status, "g4dn.xlarge us-east-1a, running" in out, "a month" in out) == (0, True, True)


def test_ssh_models_and_verify_need_a_host_that_runs(account: Account) -> None:
    for command in ("ssh", "models", "verify"):
        status, _, err = account.run(command)
        assert (status, "-> python -m ops.aws up" in err) == (1, True)
    account.up()
    assert account.run("ssh", "--print", "--", "nvidia-smi")[1] == "ssh nvidia-smi\n"
    assert account.run("models")[1].split() == ["llama-3.1-8b", "in", "memory", "mistral-7b"]
    assert account.run("verify")[0] == 0
    account.host.models = []
    assert "names no model" in account.run("verify")[2]


def test_ssh_trusts_a_hosts_key_by_its_instance_not_by_its_address() -> None:
    words = Ssh("192.0.2.1", "i-1", "key").interactive(["uptime"])
    assert words[-2:] == ["ubuntu@192.0.2.1", "uptime"]
    assert "HostKeyAlias=i-1" in words


@pytest.mark.parametrize(("status", "said"), [(255, "opens port 22"), (7, "On the host: no route")])
def test_an_ssh_that_fails_says_which_side_failed(monkeypatch: pytest.MonkeyPatch, status: int, said: str) -> None:
    done = subprocess.CompletedProcess([], status, "", "x\nno route\n")
    monkeypatch.setattr("shutil.which", lambda _: "ssh")
    monkeypatch.setattr("subprocess.run", lambda *_, **__: done)
    with pytest.raises(SetupError) as error:
        Ssh("192.0.2.1", "i-1").run("true")
    assert said in error.value.what + error.value.fix


def test_a_session_waits_for_the_answer_and_tells_a_failure(account: Account) -> None:
    answers = [{"Status": "InProgress"},
               {"Status": "Success", "StandardOutputContent": "{}", "StandardErrorContent": ""},
               {"Status": "Failed", "StandardOutputContent": "", "StandardErrorContent": "a\nrefused\n"}]  # fmt: skip
    ssm: Any = account.aws.client("ssm")
    ssm.send_command = lambda **_: {"Command": {"CommandId": "1"}}
    ssm.get_command_invocation = lambda **_: answers.pop(0)
    assert Session(account.aws, "i-1").run("true") == "{}"
    with pytest.raises(SetupError, match="refused"):
        Session(account.aws, "i-1").run("true")
    assert Session(account.aws, "i-1").interactive([])[:3] == ["aws", "ssm", "start-session"]


@pytest.mark.parametrize("pin", [COMMIT, "ab" * 32])
def test_the_hosts_script_is_shell_pinned_and_small(pin: str) -> None:
    wanted = Wanted("arena", "arena.example", Source("https://x.example/it's.git", pin), email="me@arena.example")
    text = script(wanted, PLACE)
    assert subprocess.run(["bash", "-n"], input=text, text=True, check=False).returncode == 0
    assert pin in text
    assert "./ops/up --production --domain arena.example --bind 0.0.0.0:5000" in text
    assert len(user_data(wanted, PLACE).encode()) < MOST_BYTES


def test_the_hosts_command_is_one_that_the_installer_understands() -> None:
    from ops.aws.cloud_init import installer
    from ops.install.command import parser

    words = installer(WANTED, PLACE)
    said = parser().parse_args(words[2:])
    assert (said.domain, said.bind, said.proxies) == ("arena.example", "0.0.0.0:5000", "127.0.0.1/32")
    assert "172.31.0.0/16" in said.private


def test_a_month_of_twelve_hour_days_still_pays_for_disk_and_address() -> None:
    bill = Prices.load().bill("g4dn.xlarge", 100, balanced=False)
    assert bill.month == pytest.approx(730 * 0.526 + 8 + 730 * 0.005)
    assert bill.half == pytest.approx(365 * 0.526 + 8 + 730 * 0.005)


def test_waiting_ends(account: Account) -> None:
    aws: Aws = account.aws
    with pytest.raises(SetupError, match="in vain"):
        aws.until("nothing", 30, lambda: False)
    assert sum(account.waits) == 30
