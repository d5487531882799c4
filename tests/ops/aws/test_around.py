"""The operator's own machine, the way to the host, and what is asked of it from outside."""

from __future__ import annotations

import http.server
import subprocess
import threading
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError, NoCredentialsError, ProfileNotFound

from ops.aws import here, remote, verify
from ops.aws.edge import readable
from ops.setup.console import SetupError
from tests.ops.aws.conftest import Account

REAL_REMOTE = remote.remote_for


def test_a_host_is_reached_by_its_key_or_by_a_session_or_not_at_all(account: Account) -> None:
    account.up()
    found = account.ours.instances[0]
    assert isinstance(REAL_REMOTE(account.aws, found.id), remote.Ssh)
    account.aws.ec2.describe_instances = lambda **_: {
        "Reservations": [{"Instances": [{"KeyName": "k", "State": {"Name": "stopping"}}]}]
    }
    with pytest.raises(SetupError, match="no public address; it is stopping"):
        REAL_REMOTE(account.aws, found.id)
    account.aws.ec2.describe_instances = lambda **_: {"Reservations": [{"Instances": [{}]}]}
    by_session = REAL_REMOTE(account.aws, found.id)
    assert by_session.interactive(["uptime"])[-1] == "command=uptime"


def test_a_public_side_that_does_not_answer_and_a_name_that_leads_elsewhere(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verify, "problem", lambda *_: "refused")
    status, _, err = account.up()
    assert (status, "/health (as arena.example): refused" in err) == (1, True)
    monkeypatch.setattr(verify, "problem", lambda *_: None)
    monkeypatch.setattr(verify, "_leads_here", lambda *_: False)
    status, out, _ = account.up()
    assert (status, "arena.example does not lead here yet: set its DNS record, A " in out) == (0, True)


@pytest.mark.parametrize("answer", [b"198.51.100.4\n", b"<html>", None])
def test_ones_own_address_is_asked_for_or_to_be_named(answer: bytes | None) -> None:
    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(answer or b"")

        def log_message(self, *_: Any) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Answer) as server:
        url = f"http://127.0.0.1:{server.server_port}"
        asked = threading.Thread(target=server.handle_request)
        asked.start()
        if answer == b"198.51.100.4\n":
            assert here.own_address(url) == "198.51.100.4"
        else:
            with pytest.raises(SetupError) as refused:
                here.own_address(url)
            assert "--ssh-from" in refused.value.fix
        asked.join()
    with pytest.raises(SetupError, match="cannot be found out"):
        here.own_address(url)


def test_the_key_and_the_code_are_those_of_this_machine(tmp_path: Path) -> None:
    with pytest.raises(SetupError, match="There is no public key"):
        here.public_key(None, tmp_path)
    odd = tmp_path / "id.pub"
    odd.write_text("ecdsa-sha2-nistp256 AAAA me\n")
    with pytest.raises(SetupError, match="no public key that EC2 takes"):
        here.public_key(odd)
    git = ["git", "-C", str(tmp_path), "-c", "user.name=a", "-c", "user.email=a@a.example"]
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "a"], check=True)
    subprocess.run([*git, "remote", "add", "origin", "git@git.example:a/b.git"], check=True)
    found = here.source("", "", "", tmp_path)
    assert (found.url, len(found.pin)) == ("https://git.example/a/b.git", 40)
    assert not here.is_published(tmp_path, found.pin)
    assert here.source("https://x.example/a.tar.gz", "", "AB" * 32, tmp_path).pin == "ab" * 32


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (NoCredentialsError(), "no AWS credentials"),
        (ProfileNotFound(profile="x"), "(x)"),
        (EndpointConnectionError(endpoint_url="https://ec2.example"), "cannot be reached"),
    ],
)
def test_what_boto_cannot_do_is_said_with_a_fix(error: Any, said: str) -> None:
    made = readable(error)
    assert said in made.what
    assert made.fix
