"""``./ops/up --production``: reads its options, says the plan, carries it out step by step."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from ops.install import program, several
from ops.install.host import Host, Options
from ops.install.steps import STEPS, Step
from ops.setup.catalog_kind import default_catalog, has_nvidia_gpu
from ops.setup.console import SetupError, elapsed, step

ABOUT = """\
Installs the arena on this machine for the public, as root; run again, it upgrades: backup, new release, migration,
drain, restart of what changed. Every step looks first and changes only what is not yet so, so it can be run at any
time and goes on after an interruption. Settings of yours go into /etc/llm-arena/*.local.env and catalog.toml, which are
never overwritten.
"""

PRIVATE = "127.0.0.0/8,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,::1/128,fc00::/7"


def parser() -> argparse.ArgumentParser:
    """Of this command alone; ``./ops/up --help`` is the one for a laptop."""
    made = argparse.ArgumentParser(prog="./ops/up --production", description=ABOUT)
    add = made.add_argument
    add("--domain", default="", help="the public name, such as arena.example; needed but with --worker-only")
    add("--email", default="", help="get a certificate from Let's Encrypt, agreeing to its terms; else one of our own")
    add("--catalog", type=Path, help="models for the first start (default: t4.toml with an NVIDIA GPU, else cpu.toml); "
        "later it is /etc/llm-arena/catalog.toml")  # fmt: skip
    add("--database", default="postgresql", help="postgresql (on this host), sqlite, or the URL of one elsewhere")
    add("--postgres", default="postgresql://postgres@/postgres?host=/var/run/postgresql", metavar="URL",
        help="who makes the role and the database (default: %(default)s)")  # fmt: skip
    add("--private", default=PRIVATE, metavar="NETWORKS", help="who may use the port inside (default: %(default)s)")
    add("--proxies", default="127.0.0.1/32", metavar="NETWORKS", help="whose X-Forwarded-For is believed: nginx, and a "
        "balancer's network if there is one (default: %(default)s)")  # fmt: skip
    add("--bind", default="127.0.0.1:5000", metavar="HOST:PORT", help="web itself, behind nginx (default: %(default)s; "
        "for a balancer 0.0.0.0:5000)")  # fmt: skip
    add("--http-port", type=int, default=80)
    add("--https-port", type=int, default=443)
    add("--private-port", type=int, default=8000, help="/v1 and /health for the application inside (default: 8000)")
    add("--gpus", type=int, help="workers, one for each GPU (default: as many as there are)")
    add("--store-bind", default="", metavar="ADDRESS[:PORT]", help="the store listens there too, for workers on other "
        "hosts; a private address of this one (default: on no address)")  # fmt: skip
    add("--store-from", default=PRIVATE, metavar="NETWORKS", help="from where they may come (default: %(default)s)")
    add("--worker-only", action="store_true", help="this host runs workers for the arena of another one")
    add("--broker", type=Path, metavar="FILE", help="with --worker-only, the first time: the other host's "
        "/etc/llm-arena/secrets/join.url, brought here")  # fmt: skip
    add("--no-fetch", dest="fetch", action="store_false", help="the models are there already, or come later")
    add("--no-backup", dest="backup", action="store_false", help="an upgrade without a backup first")
    add("--venv", type=Path, metavar="DIR", help="use this virtual environment instead of making one")
    add("--root", type=Path, default=Path("/"), metavar="DIR", help="install below DIR: nothing outside is touched, "
        "nothing is started")  # fmt: skip
    add("--dry-run", action="store_true", help="print the steps and do nothing")
    return made


def install(argv: list[str]) -> int:
    """The whole command; returns its exit status. Raises SetupError with what to do."""
    said = parser().parse_args(argv)
    host = Host(_options(said))
    plan = [s for s in STEPS if _belongs(s, host) and (said.backup or s.name != "backup")]
    name = "a host of workers" if said.worker_only else said.domain
    if said.dry_run:
        print(f"{'Upgrade' if host.current.exists() else 'Installation'} of {name} below {host.options.root}:")
        for number, one in enumerate(plan, 1):
            print(f"{number:>3}. {one.name:<14} {one.what}")
        return 0
    if os.getuid() != 0:
        raise SetupError("Only root can install a host", "sudo ./ops/up --production ...")
    carry_out(host, plan)
    print(f"\n[{elapsed()}] {name} is installed. Look after it: {host.current}/ops/runbook.md")
    if not said.worker_only:
        print(f"  The operator's key: {host.etc}/secrets/admin_key")
    if said.store_bind:
        print(f"  For --broker on other hosts: {host.etc}/secrets/{several.JOIN}")
    print(f"  Your settings: {host.etc}/*.local.env", flush=True)
    return 0


def carry_out(host: Host, plan: Sequence[Step]) -> None:
    """One step after the other. What fails before anything was stopped leaves the release before as the one that runs.

    Raises SetupError of the step that failed.
    """
    host.remember()
    before, untouched = program.running(host), True
    for number, one in enumerate(plan, 1):
        step(f"{number}/{len(plan)} {one.name}: {one.what}")
        untouched = untouched and not one.stops
        try:
            one.do(host)
        except BaseException:
            if untouched:
                program.go_back(host, before)
            raise
        finally:
            host.keep_in_mind()
    host.forget()


def _belongs(one: Step, host: Host) -> bool:
    """Whether a step is one of this host's."""
    return (host.real or not one.machine) and (one.of_workers or not host.options.worker_only)


def _options(said: argparse.Namespace) -> Options:
    if said.worker_only and said.store_bind:
        raise SetupError("A host of workers has no store", "--store-bind is for the first host, --broker for this one")
    if not said.worker_only and (said.broker or not said.domain):
        raise SetupError("An arena needs a name: --domain", "For workers of another host's arena: --worker-only")
    gpus = len(list(Path("/dev").glob("nvidia[0-9]*"))) if said.gpus is None else said.gpus
    catalog = (said.catalog or default_catalog(has_nvidia_gpu())).absolute()
    return Options(
        root=said.root.absolute(), domain=said.domain, catalog=catalog, database=said.database, postgres=said.postgres,
        venv=said.venv.absolute() if said.venv else None, email=said.email, bind=said.bind, proxies=said.proxies,
        private=said.private, http_port=said.http_port, https_port=said.https_port, private_port=said.private_port,
        gpus=gpus, fetch=said.fetch, store_bind=said.store_bind, store_from=said.store_from,
        worker_only=said.worker_only, broker=said.broker.absolute() if said.broker else None,
    )  # fmt: skip
