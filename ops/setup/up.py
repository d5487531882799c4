"""``./ops/up``: from a bare clone to an arena where a battle can be started, one step after the other."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

from ops.setup import checks, readiness, state, store, supervise, venv
from ops.setup.catalog_kind import CatalogKind, default_catalog, has_nvidia_gpu, models_dir, read_kind
from ops.setup.console import SetupError, elapsed, note, step
from ops.setup.environment import Options, assemble, redis_server
from ops.setup.layout import ROOT, Layout, layout_of
from ops.setup.processes import RUN_ID, sweep
from ops.setup.programs import configuration, programs

EPILOG = """\
The first run downloads several GB and takes minutes; later ones only start the programs.
A running arena does not notice changed code: ./ops/down, then ./ops/up.
For the public, on a machine of its own: ./ops/up --production --help.
Settings are environment variables (ARENA_...), listed in README.md; logs are in DIR/logs.
"""


def parse(argv: list[str]) -> tuple[Options, Layout]:
    """The command line. Raises SystemExit with a message for a bad one."""
    parser = argparse.ArgumentParser(
        prog="./ops/up",
        description="Set up and start the arena: web, records, model worker and a store, in the foreground.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--port", type=int, default=5000, help="where the web server listens (default: 5000)")
    parser.add_argument("--host", default="127.0.0.1", help="on which address (default: 127.0.0.1; all: 0.0.0.0)")
    parser.add_argument("--data", metavar="DIR", help="database, logs, store (default: data, in the checkout)")
    parser.add_argument("--catalog", metavar="FILE", help="which models compete (default: ops/catalogs/t4.toml with an "
                        "NVIDIA GPU, else cpu.toml; echo.toml needs no models)")  # fmt: skip
    parser.add_argument("--detach", action="store_true", help="return when ready; stop with ./ops/down")
    said = parser.parse_args(argv)
    chosen = said.catalog or os.environ.get("ARENA_CATALOG") or default_catalog(has_nvidia_gpu())
    return Options(said.host, said.port, Path(chosen).absolute(), said.detach), layout_of(said.data)


def up(argv: list[str]) -> int:
    """The whole command; returns its exit status. Raises SetupError with what to do."""
    options, layout = parse(argv)
    if running := _running(layout):
        print(f"Already running at {running.url} (catalog {running.catalog}).")
        print("To restart it, for instance after a change of code or options: ./ops/down, then ./ops/up")
        return 0
    with state.only_one(layout):
        if left := state.load(layout):
            sweep(left.processes)
        environment = prepare(options, layout)
        started, process = launch(options, layout, environment)
        try:
            readiness.wait(options.url, layout, lambda: process.poll() is None)
        except BaseException:
            supervise.stop(started)
            layout.ended()
            raise
    step("Ready")
    print(f"\n  The arena is open: {options.url}\n", flush=True)
    if options.detach:
        print(f"  Logs: {layout.logs}   Stop: ./ops/down{_data_option(layout)}", flush=True)
        return 0
    print(f"  Logs: {layout.logs}   Stop: Ctrl-C", flush=True)
    return _follow(started, process, layout)


def prepare(options: Options, layout: Layout) -> dict[str, str]:
    """Everything before the start: checks, packages, UI, models, database. Returns the programs' environment."""
    gpu = has_nvidia_gpu()
    kind = read_kind(options.catalog, models_dir())
    variants = ("base", *([("gpu" if gpu else "cpu")] if kind.needs_vllm else []))
    check(options, layout, kind, variants, gpu)
    target = venv.Venv()
    venv.ensure(target, variants)
    environment = assemble(options, layout, target, os.environ)
    run(target, environment, "Building the pages", ["-m", "ops.assets"], "Correct what it says and run again")
    run(
        target,
        environment,
        "Fetching the models" if kind.models_bytes else "Checking the models",
        ["-m", "worker.models", "fetch", "--catalog", str(options.catalog)],
        "Run again to go on from here; a model that cannot be had can be switched off in the catalog (enabled = false)",
    )
    if os.environ.get("ARENA_REDIS_URL"):
        gate = ["-m", "ops.gate", "--redis", "--limit", "10", "--", "true"]
        run(target, environment, "Looking for Redis", gate, "Start that server, or unset ARENA_REDIS_URL to get one")
    run(target, environment, "Migrating the database", ["-m", "flask", "--app", "web", "migrate"],
        "Check ARENA_DATABASE_URL; the database is as it was before this step")  # fmt: skip
    return environment


def check(options: Options, layout: Layout, kind: CatalogKind, variants: tuple[str, ...], gpu: bool) -> None:
    """Fail now for what would fail later."""
    checks.free_port(options.host, options.port)
    checks.free_private_port(os.environ)
    if kind.needs_vllm:
        checks.vllm_runs_here(gpu)
    target = venv.Venv()
    packages = int(sum(venv.SIZES[v] for v in venv.unfilled(target, variants)) * checks.GB)
    needs = {target.path: packages, models_dir(): kind.models_bytes, layout.data: checks.GB // 5}
    checks.enough_disk(needs, {target.path: "packages", models_dir(): "models", layout.data: "data"})
    if packages or kind.models_bytes:
        parts = f"packages {packages / checks.GB:.1f} GB, models {kind.models_bytes / checks.GB:.1f} GB"
        note(f"Disk needed for what is still to be fetched: {parts}")


def run(target: venv.Venv, environment: Mapping[str, str], what: str, arguments: list[str], fix: str) -> None:
    """One step that is a command of the environment; its output is the person's to read."""
    step(what)
    done = subprocess.run([str(target.python), *arguments], cwd=ROOT, env=dict(environment), check=False)
    if done.returncode:
        raise SetupError(f"{what}: failed (exit status {done.returncode}, see above)", fix)


def launch(
    options: Options, layout: Layout, environment: dict[str, str]
) -> tuple[state.State, subprocess.Popen[bytes]]:
    """Start supervisord and everything under it, and record that it runs."""
    target = venv.Venv()
    server = redis_server(target, os.environ)
    if server is not None:
        environment[store.USERS_FILE] = str(store.write(layout.run, layout.redis_socket))
    wanted = programs(layout, target, server, environment)
    step("Starting " + ", ".join(p.name for p in wanted))
    conf = layout.run / "supervisord.conf"
    conf.write_text(configuration(wanted, layout, target))
    layout.supervisor_socket.unlink(missing_ok=True)
    process = supervise.start(conf, layout, target, environment, options.detach)
    started = state.State(process.pid, environment[RUN_ID], options.url, str(options.catalog))
    started.save(layout)
    return started, process


def _running(layout: Layout) -> state.State | None:
    known = state.load(layout)
    return known if known and known.alive and supervise.program_states(layout) is not None else None


def _data_option(layout: Layout) -> str:
    return "" if layout.data == ROOT / "data" else f" --data {layout.data}"


def _follow(started: state.State, process: subprocess.Popen[bytes], layout: Layout) -> int:
    """Stay until Ctrl-C or until somebody runs `ops/down`; say when a program had to be restarted."""
    known: dict[str, int] = {}
    try:
        while process.poll() is None:
            for program in supervise.program_states(layout) or []:
                if known.setdefault(program.name, program.started) != program.started:
                    known[program.name] = program.started
                    note(f"{elapsed()} {program.name} was restarted; see {program.log}")
            time.sleep(1)
    except KeyboardInterrupt:
        print("\nStopping ...", flush=True)
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        supervise.stop(started)
    sweep(started.processes)
    layout.ended()
    print("Stopped.", flush=True)
    return 0


def down(argv: list[str]) -> int:
    """``./ops/down``: stop what runs on a data folder, leaving no process."""
    parser = argparse.ArgumentParser(prog="./ops/down", description="Stop the arena that ./ops/up started.")
    parser.add_argument("--data", metavar="DIR", help="its data folder (default: data, in the checkout)")
    layout = layout_of(parser.parse_args(argv).data)
    known = state.load(layout)
    if known is None or not (known.processes()):
        print(f"Nothing is running on {layout.data}.")
        return 0
    supervise.stop(known)
    layout.ended()
    print(f"Stopped {known.url}")
    return 0
