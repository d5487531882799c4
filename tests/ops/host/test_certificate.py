"""The certificate by certbot, whose place a program of the same name takes: issue, renewal, what goes wrong."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ops.install import certificate

CERTBOT = """#!/bin/sh
echo "$@" >> "$TOLD/certbot"
[ -e "$TOLD/fails" ] && { echo "Challenge failed for a.example" >&2; exit 1; }
live=$ARENA_LETSENCRYPT_DIR/live/llm-arena
[ -e "$live" ] && ! [ -e "$TOLD/due" ] && exit 0
mkdir -p "$live"
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 90 -subj /CN=a.example \\
  -keyout "$live/privkey.pem" -out "$live/fullchain.pem" 2>/dev/null
[ -e "$TOLD/mixed" ] && openssl genpkey -algorithm ED25519 -out "$live/privkey.pem"
exit 0
"""
SYSTEMCTL = """#!/bin/sh
echo "$@" >> "$TOLD/systemctl"
"""


@pytest.fixture
def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the programs write how they were called, and read how they shall behave."""
    for name, text in (("certbot", CERTBOT), ("systemctl", SYSTEMCTL)):
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(text)
        program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("TOLD", str(tmp_path))
    monkeypatch.setenv("ARENA_LETSENCRYPT_DIR", str(tmp_path / "letsencrypt"))
    (tmp_path / "tls").mkdir()
    certificate.ensure_first(tmp_path / "tls", "a.example", os.getgid())
    return tmp_path


def run(told: Path) -> int:
    words = ["--tls", f"{told}/tls", "--domain", "a.example,b.example", "--webroot", f"{told}/acme"]
    return certificate.main([*words, "--email", "you@a.example"])


def reloads(told: Path) -> int:
    file = told / "systemctl"
    return file.read_text().count("reload arena-nginx") if file.exists() else 0


def test_it_takes_the_first_ones_place_is_left_alone_and_is_renewed(told: Path) -> None:
    chain = told / "tls" / certificate.CHAIN
    first = chain.read_bytes()
    assert run(told) == 0
    issued = chain.read_bytes()
    assert issued == (told / "letsencrypt/live/llm-arena/fullchain.pem").read_bytes() != first
    asked = (told / "certbot").read_text().split()
    assert asked[asked.index("--webroot-path") + 1] == f"{told}/acme"
    assert [asked[n + 1] for n, word in enumerate(asked) if word == "-d"] == ["a.example", "b.example"]
    assert (told / "tls" / certificate.KEY).stat().st_mode & 0o777 == 0o640
    assert reloads(told) == 1
    assert run(told) == 0
    assert (chain.read_bytes(), reloads(told)) == (issued, 1)
    (told / "due").touch()
    assert run(told) == 0
    assert chain.read_bytes() != issued
    assert reloads(told) == 2


@pytest.mark.parametrize(
    ("way", "says"), [("fails", "Challenge failed"), ("mixed", "the key is not the certificate's")]
)
def test_what_goes_wrong_is_one_line_and_the_old_one_stays(
    told: Path, capsys: pytest.CaptureFixture[str], way: str, says: str
) -> None:
    before = (told / "tls" / certificate.CHAIN).read_bytes()
    (told / way).touch()
    assert run(told) == 1
    said = capsys.readouterr().err
    assert says in said
    assert said.count("\n") == 1
    assert (told / "tls" / certificate.CHAIN).read_bytes() == before
    assert reloads(told) == 0
