"""What is known on the operator's own machine: their address, their key, the code they are looking at."""

from __future__ import annotations

import ipaddress
import subprocess
import urllib.request
from pathlib import Path

from ops.aws.wanted import Source, checked_source
from ops.setup.console import SetupError
from ops.setup.layout import ROOT

WHO_AM_I = "https://checkip.amazonaws.com"
KEYS = ("id_ed25519.pub", "id_ecdsa.pub", "id_rsa.pub")
KINDS = ("ssh-ed25519", "ssh-rsa")
"""What EC2 imports."""


def own_address(url: str = WHO_AM_I) -> str:
    """As AWS sees it. Raises SetupError where nobody says."""
    fix = "--ssh-from YOUR_ADDRESS, or --session and no port 22"
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310
            said = answer.read(100).decode("ascii", "replace").strip()
        return str(ipaddress.ip_address(said))
    except OSError as error:
        raise SetupError(f"Your address cannot be found out: {url}: {error}", fix) from None
    except ValueError:
        raise SetupError(f"Your address cannot be found out: {url} answers something else", fix) from None


def public_key(file: Path | None, home: Path | None = None) -> str:
    """The one line of ``file``, or of the first usual one there is. Raises SetupError."""
    folder = (home or Path.home()) / ".ssh"
    files = [file] if file else [folder / name for name in KEYS if (folder / name).exists()]
    fix = "--public-key FILE; ssh-keygen -t ed25519 makes one; or --session needs none"
    if not files:
        raise SetupError(f"There is no public key in {folder}", fix)
    for one in files:
        try:
            words = one.read_text().split()
        except (OSError, UnicodeDecodeError) as error:
            raise SetupError(f"{one} cannot be read: {error}", fix) from None
        if len(words) >= 2 and words[0] in KINDS:
            return " ".join(words[:2])
    raise SetupError(f"{files[0]} is no public key that EC2 takes ({', '.join(KINDS)})", fix)


def source(url: str, ref: str, sha256: str, root: Path = ROOT) -> Source:
    """What the host installs: as named, else this checkout's commit at its origin. Raises SetupError."""
    if sha256:
        return checked_source(url, sha256.lower())
    return checked_source(url or _https(_git(root, "config", "--get", "remote.origin.url")), _commit(root, ref))


def _commit(root: Path, ref: str) -> str:
    if len(ref) == 40:
        return ref.lower()
    return _git(root, "rev-parse", "--verify", "--quiet", f"{ref or 'HEAD'}^{{commit}}")


def is_published(root: Path, commit: str) -> bool:
    """Whether some branch of a remote is known to hold it: one that was never pushed cannot be fetched."""
    return bool(_git(root, "branch", "-r", "--contains", commit))


def _https(url: str) -> str:
    """``git@host:owner/name.git`` as the host can fetch it, without a key."""
    if url.startswith("git@") and ":" in url:
        host, _, path = url.removeprefix("git@").partition(":")
        return f"https://{host}/{path}"
    return url


def _git(root: Path, *words: str) -> str:
    try:
        done = subprocess.run(["git", "-C", str(root), *words], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
