"""``python -m ops.aws``: options, what is printed, and every way of ending as an exit status and a readable line."""

from __future__ import annotations

import argparse
import os
import shlex
import sys
from pathlib import Path

from botocore.exceptions import BotoCoreError, ClientError

from ops.aws import effects, here, verify
from ops.aws.edge import Aws, readable
from ops.aws.fit import catalog_file, checked_fit
from ops.aws.found import Instance, Ours, Place
from ops.aws.look import look_ours, look_place
from ops.aws.plan import Step, plan, plan_down, spoken, the_host
from ops.aws.prices import Prices
from ops.aws.remote import remote_for
from ops.aws.wanted import Wanted, checked_domain, checked_name, checked_networks, checked_night
from ops.setup.console import Progress, SetupError, elapsed, note, show
from ops.setup.layout import ROOT

ABOUT = """\
One GPU host on AWS with the arena on it: found by its tag or launched, installed by ./ops/up --production, verified.
Run again, `up` goes on where it was interrupted and changes only what is not yet as asked.
"""


def main(argv: list[str], aws: Aws | None = None) -> int:
    """``argv``: command and options. ``aws``: a test's. Returns the exit status."""
    said = parser().parse_args(argv)
    try:
        return int(said.run(said, aws or Aws(said.region, said.profile)))
    except SetupError as error:
        show(error)
        return 1
    except (BotoCoreError, ClientError) as error:
        show(readable(error))
        return 1
    except KeyboardInterrupt:
        Progress.clear()
        print("\nStopped. Run the same command to go on from here.", file=sys.stderr)
        return 130


def parser() -> argparse.ArgumentParser:
    """All commands and their options."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--name", default="arena", help="which arena, if there are several (default: %(default)s)")
    common.add_argument("--region", default="", help="default: AWS_REGION or the profile's")
    common.add_argument("--profile", default="", help="of ~/.aws/config")
    made = argparse.ArgumentParser(prog="python -m ops.aws", description=ABOUT)
    commands = made.add_subparsers(required=True, metavar="up|status|ssh|models|verify|down")

    def command(name: str, run: object, text: str) -> argparse.ArgumentParser:
        one = commands.add_parser(name, parents=[common], help=text, description=text)
        one.set_defaults(run=run)
        return one

    _up_options(command("up", run_up, "find or launch the host, install, verify"))
    command("status", run_status, "what there is, and what it costs")
    for name, run, text in (("ssh", run_ssh, "a shell on the host, or the command after --"),
                            ("models", run_models, "what the host serves, and what is in memory"),
                            ("verify", run_verify, "/health, /v1/models and a chat")):  # fmt: skip
        one = command(name, run, text)
        one.add_argument("--identity", default="", metavar="FILE", help="private key (default: ssh's own choice)")
        if name == "ssh":
            one.add_argument("--print", action="store_true", dest="only_print", help="print the command and do nothing")
            one.add_argument("command", nargs="*", metavar="-- COMMAND")
    down = command("down", run_down, "remove all that carries the arena's tag, and nothing else")
    down.add_argument(
        "--keep-data", action="store_true", help="keep an image of the disk; the next `up` launches from it"
    )
    down.add_argument("--yes", action="store_true", help="do not ask")
    down.add_argument("--dry-run", action="store_true", help="print the plan and do nothing")
    return made


def _up_options(up: argparse.ArgumentParser) -> None:
    add = up.add_argument
    add("--domain", default="", help="the public name, such as arena.example (default: the host's, if there is one)")
    add("--email", default="", help="a certificate from Let's Encrypt, agreeing to its terms")
    add("--certificate", default="", metavar="ARN", help="of ACM: a load balancer carries it, in front of the host")
    add("--type", default="g4dn.xlarge", help="default: %(default)s")
    add("--disk", type=int, default=100, metavar="GB", help="gp3, encrypted (default: %(default)s)")
    add("--vpc", default="", help="default: the region's default VPC")
    add("--catalog", default="", help="of this checkout (default: the one made for the type's GPU)")
    add("--database", default="", metavar="URL", help="PostgreSQL elsewhere (default: on the host)")
    add("--ssh-from", action="append", default=[], metavar="ADDRESS", help="who may use port 22 (default: you)")
    add("--public-key", type=Path, metavar="FILE", help="default: ~/.ssh/id_ed25519.pub, then others")
    add("--session", action="store_true", help="no key and no port 22: sessions through SSM")
    add("--source", default="", metavar="URL", help="git repository or tarball (default: this checkout's origin)")
    add("--ref", default="", help="commit the host installs (default: this checkout's)")
    add("--sha256", default="", help="of the tarball --source names")
    add("--night", default="", metavar="HH:MM[-HH:MM]", help="stop the host then, and start it again")
    add("--no-night", action="store_true", help="no longer stop at night")
    add("--timezone", default="UTC", help="of --night (default: %(default)s)")
    add("--workdays", action="store_true", help="--night from Monday to Friday only")
    add("--dry-run", action="store_true", help="print the plan and do nothing")


def run_up(said: argparse.Namespace, aws: Aws) -> int:
    """The plan, then the plan carried out."""
    prices, ours = Prices.load(), look_ours(aws, checked_name(said.name))
    host = the_host(ours, said.name)
    wanted = _wanted(said, host, prices)
    place = look_place(aws, wanted.instance_type, host.vpc if host else said.vpc)
    steps = plan(wanted, place, ours)
    _show_plan(f"Plan for {wanted.title} in {aws.region}", steps)
    print(prices.spoken(wanted.instance_type, wanted.disk_gb, wanted.balanced, aws.region), flush=True)
    for line in (*_differences(said, wanted, host), *_fit(said, wanted, prices)):
        note(line)
    if said.dry_run:
        return 0
    doing = effects.Doing(aws, wanted, place, ours, prices)
    effects.up(doing, steps)
    _told(doing, place)
    return 0


def _wanted(said: argparse.Namespace, host: Instance | None, prices: Prices) -> Wanted:
    """Options, what is known here, and for a host that is there what cannot be changed on it."""
    instance_type = host.type if host else said.type
    shape = prices.shape(instance_type)
    catalog = catalog_file(said.catalog, shape)
    by_session = not host.key if host else said.session
    return Wanted(
        name=said.name, domain=checked_domain(said.domain.lower() or (host.domain if host else "")),
        source=here.source(said.source, said.ref, said.sha256), instance_type=instance_type, disk_gb=said.disk,
        public_key="" if by_session else here.public_key(said.public_key),
        ssh_from=() if by_session else checked_networks(said.ssh_from or [here.own_address()]),
        catalog=str(catalog.relative_to(ROOT)), email=said.email, certificate=said.certificate, database=said.database,
        night=checked_night(said.night, said.timezone, said.workdays) if said.night else None, no_night=said.no_night,
    )  # fmt: skip


def _differences(said: argparse.Namespace, wanted: Wanted, host: Instance | None) -> list[str]:
    """What `up` leaves as it is, said aloud."""
    if host is None:
        known = wanted.source.is_git and not said.source and not here.is_published(ROOT, wanted.source.pin)
        return (
            [f"{wanted.source.pin[:12]} is in no branch of a remote here: push it, or the host cannot fetch it"]
            if known
            else []
        )
    lines = []
    if said.type not in (host.type, "g4dn.xlarge"):
        lines.append(f"the host stays a {host.type}; another type: `down --keep-data`, then `up --type {said.type}`")
    if host.installed and host.installed != wanted.source.pin:
        lines.append(f"the host runs {host.installed[:12]}, not {wanted.source.pin[:12]}; to upgrade: "
                     "ops/runbook.md, On AWS")  # fmt: skip
    return lines


def _fit(said: argparse.Namespace, wanted: Wanted, prices: Prices) -> list[str]:
    return list(checked_fit(ROOT / wanted.catalog, wanted.instance_type, prices.shape(wanted.instance_type)))


def _show_plan(title: str, steps: list[Step]) -> None:
    print(f"{title}:")
    for number, one in enumerate(steps, 1):
        print(f"{number:>3}. {one}")


def _told(doing: effects.Doing, place: Place) -> None:
    wanted, ids = doing.wanted, doing.ids
    print(f"\n[{elapsed()}] {wanted.title} runs: https://{wanted.domain}/   Its address: {ids.get('dns') or ids['ip']}")
    print(f"  Inside {place.vpc}, for the application: VLLM_BASE_URL=http://{_private(doing)}:8000")
    print(f"  A shell: python -m ops.aws ssh --name {wanted.name}", flush=True)


def _private(doing: effects.Doing) -> str:
    found = look_ours(doing.aws, doing.wanted.name).instances
    return found[0].private_ip if found else ""


def run_status(said: argparse.Namespace, aws: Aws) -> int:
    """What there is; 0 when a host runs."""
    ours, prices = look_ours(aws, checked_name(said.name)), Prices.load()
    host = the_host(ours, said.name)
    for title, value in _facts(ours, host):
        print(f"{title:<12} {value}")
    if host is None:
        print(
            f"There is no host of {said.name} in {aws.region}"
            + ("; what is above remains" if _facts(ours, host) else "")
        )
        return 1
    if prices.knows(host.type):
        print(prices.spoken(host.type, _disk_gb(aws, host), ours.balancer is not None, aws.region))
    return 0 if host.state == "running" else 1


def _facts(ours: Ours, host: Instance | None) -> list[tuple[str, str]]:
    facts = []
    if host:
        installed = host.installed[:12] or "not yet verified: run `up`"
        facts = [("host", f"{host.id} {host.type} {host.zone}, {host.state}"), ("domain", host.domain),
                 ("addresses", f"public {host.public_ip or '-'}, inside {host.private_ip or '-'}"),
                 ("installed", installed)]  # fmt: skip
    facts += [("address", f"{a.ip}{'' if a.instance else ', attached to nothing'}") for a in ours.addresses]
    facts += [("firewall", spoken(ours.host_firewall.rules))] if ours.host_firewall else []
    facts += [("balancer", ours.balancer.dns)] if ours.balancer else []
    facts += [("night", f"{what} {cron} {zone}") for what, (cron, zone, _) in sorted(ours.schedules.crons.items())]
    return facts + [("kept image", f"{i.id} of {i.made}") for i in ours.images]


def _disk_gb(aws: Aws, host: Instance) -> int:
    return int(aws.ec2.describe_volumes(VolumeIds=[host.disk])["Volumes"][0]["Size"]) if host.disk else 0


def _running(aws: Aws, name: str) -> Instance:
    """The host. Raises SetupError unless it runs."""
    host = the_host(look_ours(aws, checked_name(name)), name)
    if host is None:
        raise SetupError(f"There is no host of {name} in {aws.region}", "python -m ops.aws up --domain ...")
    if host.state != "running":
        raise SetupError(f"The host {host.id} is {host.state}", "python -m ops.aws up")
    return host


def run_ssh(said: argparse.Namespace, aws: Aws) -> int:
    """Becomes ssh, or the AWS client's session."""
    words = remote_for(aws, _running(aws, said.name).id, said.identity).interactive(said.command)
    if said.only_print:
        print(shlex.join(words))
        return 0
    try:
        os.execvp(words[0], words)  # noqa: S606
    except FileNotFoundError:
        fix = {"ssh": "apt-get install openssh-client", "aws": "Install the AWS CLI and its session-manager-plugin"}
        raise SetupError(f"{words[0]} is not installed here", fix[words[0]]) from None


def run_models(said: argparse.Namespace, aws: Aws) -> int:
    """One line a model."""
    remote = remote_for(aws, _running(aws, said.name).id, said.identity)
    listed, here = verify.models(remote), verify.loaded(remote)
    for model in listed:
        print(f"{model:<32} {'in memory' if model in here else ''}".rstrip())
    return 0


def run_verify(said: argparse.Namespace, aws: Aws) -> int:
    """Three questions."""
    host, ours = _running(aws, said.name), look_ours(aws, said.name)
    public = ours.balancer.dns if ours.balancer else host.public_ip
    verify.verify(remote_for(aws, host.id, said.identity), public, host.domain)
    print("All three answer.")
    return 0


def run_down(said: argparse.Namespace, aws: Aws) -> int:
    """The plan, a question, the plan carried out."""
    ours = look_ours(aws, checked_name(said.name))
    steps = plan_down(ours, said.keep_data)
    if not steps:
        print(f"Nothing in {aws.region} carries the tag of {said.name}.")
        return 0
    _show_plan(f"Removal of llm-arena-{said.name} in {aws.region}", steps)
    if said.dry_run:
        return 0
    if not said.yes and not _agreed(said.name, said.keep_data):
        raise SetupError("Nothing was removed", f"Type {said.name}, or give --yes")
    effects.down(aws, said.name, steps)
    print(f"\n[{elapsed()}] Nothing is left" + (" but the image; `up` launches from it." if said.keep_data else "."))
    return 0


def _agreed(name: str, keeps: bool) -> bool:
    lost = "The disk is kept as an image." if keeps else "Battles, votes and models on its disk are lost."
    try:
        return input(f"{lost} Type {name} to go on: ").strip() == name
    except EOFError:
        return False
