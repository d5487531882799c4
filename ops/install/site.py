"""nginx's files, from the templates in ``ops/nginx/``, and the first certificate, without which it would not start."""

from __future__ import annotations

import shutil
from pathlib import Path

from ops.install import certificate, several
from ops.install.config import origin, private_upstream
from ops.install.host import NGINX, Host, told
from ops.install.units import filled
from ops.setup.console import SetupError
from ops.setup.layout import ROOT

TEMPLATES = ROOT / "ops" / "nginx"

TIMES = {"SHORT_S": "15", "READ_S": "75", "STREAM_S": "3600"}
"""A head, a body; an ordinary answer; silence of a stream. The arena's own heartbeat is every 20 s, so an hour of
silence is somebody else's stream that thinks for long (``/v1``)."""

LIMITS = {"RATE": "30", "BURST": "120", "LINES": "600"}
"""Of one address: requests a second, at once, and connections (web itself allows 512 sockets, and ``ARENA_LIMITS``
count what a session may do)."""


def write(host: Host) -> None:
    """The site. Raises SetupError for networks that are none."""
    before = len(host.changed)
    for name, text in render(host, {**TIMES, **LIMITS}).items():
        host.write(host.etc / "nginx" / name, text)
    host.folder(host.etc / "nginx.local", 0o755)
    made = certificate.ensure_first(host.etc / "tls", host.options.domain, host.gid(NGINX))
    if made:
        host.changed.add(host.etc / "tls")
    told(f"{host.etc}/nginx, certificate for {host.options.domain}", len(host.changed) > before)


def render(host: Host, chosen: dict[str, str]) -> dict[str, str]:
    """The text of each file, by its name; ``chosen``: times and limits, which tests scale down."""
    options = host.options
    values = {
        **chosen,
        "ETC": str(host.etc),
        "VAR": str(host.var),
        "MIME": str(mime_types()),
        "DOMAIN": options.domain,
        "ORIGIN": origin(host),
        "BIND": options.bind,
        "PRIVATE_UPSTREAM": f"127.0.0.1:{private_upstream(host)}",
        "HTTP_PORT": str(options.http_port),
        "HTTPS_PORT": str(options.https_port),
        "PRIVATE_PORT": str(options.private_port),
        "HOST": origin(host).removeprefix("https://"),
        "ALLOW": "".join(f"    allow {network};\n" for network in several.networks("--private", options.private)),
    }
    return {file.name: filled(file.read_text(), values) for file in sorted(TEMPLATES.glob("*.conf"))}


def mime_types() -> Path:
    """Debian's and nginx.org's place. Raises SetupError where nginx is not installed."""
    for place in ("/etc/nginx/mime.types", "/usr/share/nginx/mime.types"):
        if Path(place).exists():
            return Path(place)
    missing = "" if shutil.which("nginx") else "nginx is not installed"
    raise SetupError(missing or "nginx has no mime.types", "apt-get install nginx")
