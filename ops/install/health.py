"""Whether what was installed can be used: asked as visitors and as the application inside would ask it."""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Callable

from ops.install import config, joined, units
from ops.install.host import Host, told
from ops.setup.console import Progress, SetupError

LIMIT_S = 1800.0
"""The first start loads two models from a cold disk."""


def check(host: Host) -> None:
    """Return when a battle can be begun. Raises SetupError saying what is missing."""
    if host.options.worker_only:
        _until(host, lambda: _joined(host))
        told(f"{', '.join(joined.names(units.worker_units(host)))}: battles are taken", False)
        return
    inside = f"http://127.0.0.1:{host.options.private_port}"
    _until(host, lambda: problem(f"{inside}/ready"))
    models = [m["id"] for m in ask(f"{inside}/v1/models")["data"]]
    told(f"/v1/models: {', '.join(models)}", False)
    page = problem(f"https://127.0.0.1:{host.options.https_port}/", host.options.domain)
    if page is not None:
        raise SetupError(f"The page does not come through nginx: {page}", "journalctl -u arena-nginx -e")
    told(f"https://{host.options.domain}/", False)


def _until(host: Host, missing: Callable[[], str | None]) -> None:
    """Raises SetupError saying what is still missing when the patience is at its end."""
    deadline = time.monotonic() + LIMIT_S
    where = "-u vllm-arena" if host.options.worker_only else "-u vllm-arena -u arena-web"
    while (said := missing()) is not None:
        if time.monotonic() > deadline:
            raise SetupError(f"Not ready after {LIMIT_S:.0f} s: {said}", f"journalctl {where} -e")
        Progress.show(f"waiting: {said}")
        time.sleep(1)


def _joined(host: Host) -> str | None:
    """What is missing until this host's workers take battles."""
    words = [str(host.python), "-m", "ops.install.joined", *joined.names(units.worker_units(host))]
    environment = {"PATH": os.defpath, **config.secret_environment(host, "worker")}
    done = subprocess.run(words, cwd=host.current, env=environment, capture_output=True, text=True, check=False)
    return None if done.returncode == 0 else done.stderr.strip().splitlines()[-1]


def ask(url: str, name: str = "") -> dict[str, list[dict[str, str]]]:
    """The JSON that comes from there; ``name`` is the host asked for. Raises OSError."""
    with _open(url, name) as answer:
        return dict(json.loads(answer.read()))


def problem(url: str, name: str = "") -> str | None:
    """None if the answer is 200, else why not, in the arena's words."""
    try:
        with _open(url, name):
            return None
    except urllib.error.HTTPError as error:
        try:
            return str(json.loads(error.read())["detail"])
        except (ValueError, KeyError, TypeError):
            return f"the answer is {error.code}"
    except OSError as error:
        return str(getattr(error, "reason", error))


def _open(url: str, name: str):  # type: ignore[no-untyped-def]
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # ourselves, perhaps with a first certificate
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
    request = urllib.request.Request(url, headers={"Host": name} if name else {})  # noqa: S310
    return opener.open(request, timeout=15)
