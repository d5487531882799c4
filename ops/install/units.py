"""systemd's units, from the templates in ``ops/systemd/``; the commands are those of ``./ops/up`` on a laptop."""

from __future__ import annotations

import shlex

from ops.install import several
from ops.install.config import DRAIN_S, private_upstream, store_server
from ops.install.host import Host, require, told
from ops.setup.layout import ROOT, Layout
from ops.setup.programs import Program, programs
from ops.setup.venv import Venv

TEMPLATES = ROOT / "ops" / "systemd"
WORKER_UNIT = "vllm-arena.service"
WORKER_TEMPLATE = "vllm-arena@.service"
TARGET = "arena.target"
OTHERS = ("arena-web.service", "arena-records.service", "arena-redis.service", "arena-nginx.service",
          "arena-backup.timer", "arena-certificate.timer")  # fmt: skip
"""What the target has besides workers."""
USUAL_DRAIN_S = 5
"""What a program's ``stop_wait_s`` allows for battles; see ARENA_DRAIN_S."""


def worker_units(host: Host) -> list[str]:
    """One worker for each GPU; ``vllm-arena.service`` where there is one, or none."""
    return [WORKER_UNIT] if host.options.gpus < 2 else [f"vllm-arena@{n}.service" for n in range(host.options.gpus)]


def write(host: Host) -> None:
    """Every unit that this host has."""
    before = len(host.changed)
    rendered = render(host)
    for name, text in rendered.items():
        host.write(host.units / name, text)
    told(f"{len(rendered)} units in {host.units}", len(host.changed) > before)


def render(host: Host) -> dict[str, str]:
    """The text of each unit, by its name."""
    values = _values(host)
    made = {}
    for template in sorted(TEMPLATES / name for name in names(host)):
        text = template.read_text()
        if template.name == WORKER_UNIT:
            made[WORKER_UNIT] = filled(text, {**values, **_instance("")})
            made[WORKER_TEMPLATE] = filled(text, {**values, **_instance("%i")}).replace("arena@%%h", "gpu%i@%%h")
        else:
            made[template.name] = filled(text, values)
    return made


def names(host: Host) -> list[str]:
    """Of the templates that this host has a use for."""
    return [WORKER_UNIT, TARGET] if host.options.worker_only else [file.name for file in TEMPLATES.iterdir()]


def filled(text: str, values: dict[str, str]) -> str:
    """``@NAME@`` replaced by what it stands for."""
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    return text


def _instance(name: str) -> dict[str, str]:
    """A worker of several sees its own GPU only, and is known to the others by its number."""
    return {
        "INSTANCE_TITLE": f" on GPU {name}" if name else "",
        "INSTANCE_ENVIRONMENT": f" CUDA_VISIBLE_DEVICES={name}" if name else "",
    }


def _values(host: Host) -> dict[str, str]:
    commands = {p.name: p for p in programs(Layout(host.var), Venv(host.venv), None, {})}
    common = {
        "CURRENT": str(host.current),
        "ETC": str(host.etc),
        "VAR": str(host.var),
        "MODELS": str(host.models),
        "PYTHON": str(host.python),
        "WANTED": " ".join([*worker_units(host), *(() if host.options.worker_only else OTHERS)]),
        "GPU_GROUPS": " video render" if host.real else "",
        "WORKER": _line(host, commands["worker"]),
        "WORKER_STOP_S": str(commands["worker"].stop_wait_s - USUAL_DRAIN_S + DRAIN_S),
    }
    return common if host.options.worker_only else {**common, **_values_of_the_first(host, commands)}


def _values_of_the_first(host: Host, commands: dict[str, Program]) -> dict[str, str]:
    """What the units need that a host of workers has not."""
    options = host.options
    certificate = ["-m", "ops.install.certificate", "--tls", str(host.etc / "tls"), "--domain", options.domain]
    certificate += ["--webroot", str(host.var / "acme"), *(["--email", options.email] if options.email else [])]
    return {
        "RECORDS": _line(host, commands["records"]),
        "WEB": _line(host, commands["web"]),
        "REDIS": _escaped([str(store_server(host)), str(host.etc / "redis" / "redis.conf")]),
        "NGINX": _escaped([require("nginx", "nginx"), "-c", str(host.etc / "nginx" / "nginx.conf")]),
        "CERTIFICATE": _escaped([str(host.python), *certificate]),
        "BIND": options.bind,
        "PRIVATE_UPSTREAM": f"127.0.0.1:{private_upstream(host)}",
        "STOP_S": str(commands["web"].stop_wait_s),
        "STORE_ALONE": "no" if options.store_bind else "yes",
        "STORE_FROM": several.allowed(host),
    }


def _line(host: Host, program: Program) -> str:
    """Behind the gate that waits for the store, which may come up later than its unit says."""
    return _escaped([str(host.python), "-m", "ops.gate", "--redis", "--", *program.command])


def _escaped(words: list[str]) -> str:
    return shlex.join(words).replace("%", "%%").replace("$", "$$")
