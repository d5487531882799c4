"""The certificate of the public name: ``python -m ops.install.certificate``, which a timer runs twice a day.

A first one that nobody trusts is made here, so that nginx starts and can answer the questions of those who issue a
real one. With ``--email`` that is Let's Encrypt, by certbot; without it the first one is renewed before it ends, for
hosts behind a balancer that has the real one. A certificate whose key is another one's is never put in place.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

RENEW_BEFORE_S = 30 * 86400
FIRST_DAYS = 397
CHAIN, KEY = "fullchain.pem", "privkey.pem"


class CertificateError(Exception):
    """One line, with what to do."""


def main(argv: list[str] | None = None) -> int:
    """0: in order, whether or not something was done. 1: why not, in one line."""
    parser = argparse.ArgumentParser(prog="python -m ops.install.certificate", description=__doc__.partition("\n")[0])
    parser.add_argument("--tls", type=Path, required=True, help="folder of fullchain.pem and privkey.pem")
    parser.add_argument("--domain", required=True, help="the public name; several: a.example,b.example")
    parser.add_argument("--webroot", type=Path, required=True, help="shown below /.well-known/acme-challenge")
    parser.add_argument("--email", help="agree to Let's Encrypt's terms with this address, and get a real certificate")
    options = parser.parse_args(argv)
    try:
        gid = options.tls.stat().st_gid
        if options.email:
            changed = _issued(options.tls, options.domain, options.webroot, options.email, gid)
        else:
            changed = ensure_first(options.tls, options.domain, gid)
        print(f"{describe(options.tls)}: {'new' if changed else 'as it was'}")
        if changed:
            _reload()
    except (CertificateError, OSError) as error:
        print(f"certificate: {error}", file=sys.stderr)
        return 1
    return 0


def ensure_first(tls: Path, domain: str, gid: int) -> bool:
    """Make one signed by itself where there is none, or renew one that was; whether there is a new one."""
    if (tls / CHAIN).exists() and (not _own(tls) or not ends_within(tls, RENEW_BEFORE_S)):
        return False
    names = [n.strip() for n in domain.split(",")]
    with tempfile.TemporaryDirectory(dir=tls) as folder:
        draft = Path(folder)
        _openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days",
                 str(FIRST_DAYS), "-subj", f"/CN={names[0]}/O=LLM Arena (not trusted)",
                 "-addext", "subjectAltName=" + ",".join(f"DNS:{n}" for n in names),
                 "-keyout", str(draft / KEY), "-out", str(draft / CHAIN))  # fmt: skip
        _install(draft, tls, gid)
    return True


def _issued(tls: Path, domain: str, webroot: Path, email: str, gid: int) -> bool:
    """Have certbot obtain or renew it, if it is time; whether there is a new one."""
    certbot = shutil.which("certbot")
    if certbot is None:
        raise CertificateError("certbot is not installed; apt-get install certbot")
    names = [n.strip() for n in domain.split(",")]
    lineage = Path(os.environ.get("ARENA_LETSENCRYPT_DIR", "/etc/letsencrypt"))
    words = [certbot, "certonly", "--non-interactive", "--agree-tos", "--email", email, "--keep-until-expiring",
             "--webroot", "--webroot-path", str(webroot), "--cert-name", "llm-arena",
             "--config-dir", str(lineage)]  # fmt: skip
    done = subprocess.run([*words, *(w for n in names for w in ("-d", n))], capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()[-1:] or ["no word"]
        raise CertificateError(f"certbot: {said[0]}; is {names[0]} this host's name, and port 80 open to all?")
    live = lineage / "live" / "llm-arena"
    if (tls / CHAIN).exists() and (live / CHAIN).read_bytes() == (tls / CHAIN).read_bytes():
        return False
    _install(live, tls, gid)
    return True


def _install(source: Path, tls: Path, gid: int) -> None:
    """Key and chain belong together, or neither is put in place. Raises CertificateError."""
    public = _openssl("x509", "-in", str(source / CHAIN), "-noout", "-pubkey")
    if public != _openssl("pkey", "-in", str(source / KEY), "-pubout"):
        raise CertificateError(f"{source}: the key is not the certificate's; obtain both anew")
    for name in (KEY, CHAIN):
        draft = tls / f".{name}.new"
        draft.unlink(missing_ok=True)
        draft.touch(mode=0o600)
        draft.write_bytes((source / name).read_bytes())
        os.chown(draft, os.getuid(), gid)
        draft.chmod(0o640)
        draft.replace(tls / name)


def _reload() -> None:
    """Where nginx does not run yet there is nobody to tell."""
    if shutil.which("systemctl") is None:
        return
    asked = subprocess.run(["systemctl", "is-active", "--quiet", "arena-nginx"], check=False)
    if asked.returncode == 0:
        subprocess.run(["systemctl", "reload", "arena-nginx"], check=True)


def ends_within(tls: Path, seconds: int) -> bool:
    """Whether it will have ended by then."""
    asked = ["openssl", "x509", "-in", str(tls / CHAIN), "-noout", "-checkend", str(seconds)]
    return subprocess.run(asked, capture_output=True, check=False).returncode != 0


def describe(tls: Path) -> str:
    """Whose it is and until when."""
    said = _openssl("x509", "-in", str(tls / CHAIN), "-noout", "-subject", "-enddate")
    return " ".join(said.split())


def _own(tls: Path) -> bool:
    """Whether it is signed by itself."""
    said = _openssl("x509", "-in", str(tls / CHAIN), "-noout", "-subject", "-issuer").splitlines()
    return len({line.partition("=")[2].strip() for line in said}) == 1


def _openssl(*words: str) -> str:
    try:
        done = subprocess.run(["openssl", *words], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise CertificateError("openssl is not installed; apt-get install openssl") from None
    if done.returncode:
        raise CertificateError(f"openssl {words[0]}: {done.stderr.strip().splitlines()[-1]}")
    return done.stdout


if __name__ == "__main__":
    sys.exit(main())
