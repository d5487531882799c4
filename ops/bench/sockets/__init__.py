"""Sockets of one web process: memory when idle, cost and delay of a frame, a reconnect storm; against one Redis
connection per socket.

Everything is real: gunicorn with gevent as shipped, SQLite, a Redis server, and a crowd of viewers in a process of its
own on the same machine. CPU is the web process's own CPU time, so that what else runs on the machine counts little;
delays are from before the publishing call to after the viewer's ``recv``, and do depend on who else wants the cores.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import redis

from ops.bench.report import Row, paired
from ops.bench.sockets.server import EACH, OURS, CrowdProcess, Server, raise_limits, serving
from worker.contract import channel
from worker.contract.events import SideDelta

OTHER = "one Redis connection per socket (flask-sock as documented)"
SLICE_S = 0.005


def add_arguments(parser: Any) -> None:
    parser.add_argument("--idle", type=int, default=10_000, help="idle sockets (default 10000)")
    parser.add_argument("--sockets", type=int, default=1000, help="sockets that are streamed to (default 1000)")
    parser.add_argument("--hz", type=float, default=25.0, help="frames a second on each (default 25)")
    parser.add_argument("--seconds", type=float, default=10.0, help="how long each run streams (default 10)")
    parser.add_argument("--runs", type=int, default=3, help="paired runs (default 3)")
    parser.add_argument("--only", default="idle,one,many,storm", help="parts, comma-separated (default all)")


@dataclass(frozen=True, slots=True)
class Streamed:
    """One run. ``core``: share of one core the web process used; ``us``: its CPU microseconds per delta delivered."""

    core: float
    us: float
    with_store_us: float
    p50_ms: float
    p99_ms: float
    delivered: float
    frames_s: float


def run(args: Any) -> tuple[str, list[Row]]:
    """Rows for the report; raises AssertionError when not every socket opens."""
    limit = raise_limits()
    parts = args.only.split(",")
    rows: list[Row] = []
    if "idle" in parts:
        rows += _idle(min(args.idle, limit - 500), args.runs)
    if "one" in parts:
        rows += _streaming("1 battle", args, 1)
    if "many" in parts:
        battles = max(1, args.sockets // 4)
        rows += _streaming(f"{battles} battles", args, battles)
    if "storm" in parts:
        rows += _storms(args)
    return OTHER, rows


def _idle(count: int, runs: int) -> list[Row]:
    """The other needs two files a socket, so it holds fewer: what each takes is compared, what we hold is told."""
    ours = [_holding(OURS, count) for _ in range(runs)]
    other = [_holding(EACH, count // 5) for _ in range(runs)]

    def row(measure: str, unit: str, nth: int) -> Row:
        return paired(measure, unit, [held[nth] for held in ours], [held[nth] for held in other])

    return [
        row("idle sockets, each following a battle", "sockets", 0),
        row("the web process holding them", "MiB", 1),
        row("memory of each", "KiB", 2),
    ]


def _holding(app: str, count: int) -> tuple[float, float, float]:
    """``(sockets held, MiB of the process, KiB a socket)``."""
    with serving(app, max(1, count // 4)) as server, CrowdProcess(server) as crowd:
        crowd.ask("open", battles=server.battles, count=1, timeout=30)  # everything is imported and connected
        before = server.rss()
        entered = crowd.ask("open", battles=server.battles, count=count - 1, timeout=300)
        _settle(server)
        held, after = entered["opened"] + 1, server.rss()
    return held, after / 2**20, (after - before) / 1024 / held


def _streaming(shape: str, args: Any, battles: int) -> list[Row]:
    ours, other = [], []
    for _ in range(args.runs):
        ours.append(_streamed(OURS, args, battles))
        other.append(_streamed(EACH, args, battles))
    name = f"{args.sockets} x {args.hz:g} Hz, {shape}"

    def row(measure: str, unit: str, of: Callable[[Streamed], float]) -> Row:
        return paired(f"{name}: {measure}", unit, [of(r) for r in ours], [of(r) for r in other])

    return [
        row("CPU of a core", "%", lambda r: 100 * r.core),
        row("CPU a frame", "µs", lambda r: r.us),
        row("with the store's", "µs", lambda r: r.with_store_us),
        row("frames", "1/s", lambda r: r.frames_s),
        row("delivered in time", "%", lambda r: 100 * r.delivered),
        row("delay p50", "ms", lambda r: r.p50_ms),
        row("delay p99", "ms", lambda r: r.p99_ms),
    ]


def _streamed(app: str, args: Any, battles: int) -> Streamed:
    with serving(app, battles) as server, CrowdProcess(server) as crowd:
        entered = crowd.ask("open", battles=server.battles, count=args.sockets, timeout=120)
        assert entered["opened"] == args.sockets, f"only {entered['opened']} of {args.sockets} sockets opened"
        _publish(server, args.hz, 1.0)
        _settle(server)
        crowd.ask("count")
        began, cpu, store = time.monotonic(), server.cpu_s(), server.store_cpu_s()
        published = _publish(server, args.hz, args.seconds)
        cpu, store, seconds = server.cpu_s() - cpu, server.store_cpu_s() - store, time.monotonic() - began
        found = crowd.ask("count")
    deltas = max(1, found["deltas"])
    p50, p99, _ = found["ms"]
    return Streamed(
        core=cpu / seconds,
        us=cpu / deltas * 1e6,
        with_store_us=(cpu + store) / deltas * 1e6,
        p50_ms=p50,
        p99_ms=p99,
        delivered=deltas / (published * args.sockets / battles),
        frames_s=found["frames"] / seconds,
    )


def _publish(server: Server, hz: float, seconds: float) -> int:
    """Each battle one delta every ``1 / hz`` s, spread over that time as a worker spreads them; how many."""
    published, slices = 0, max(1, round(1 / hz / SLICE_S))
    with redis.Redis.from_url(server.redis_url) as client:
        together = _Together(client)
        begin = time.monotonic()
        for tick in range(int(seconds * hz) * slices):
            due = begin + tick / hz / slices
            time.sleep(max(0.0, due - time.monotonic()))
            for battle in server.battles[tick % slices :: slices]:
                channel.publish(together, battle, [SideDelta("a", f"{time.monotonic_ns():019d}")])
                published += 1
            together.send()
    return published


class _Together:
    """A client that sends the publishing of many battles in one piece, as a worker's event loop does."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._hashes: dict[str, str] = {}
        self._pipe = client.pipeline(transaction=False)

    def register_script(self, script: str) -> Any:
        if script not in self._hashes:
            self._hashes[script] = self._client.script_load(script)

        def call(keys: Any, args: Any) -> int:
            self._pipe.evalsha(self._hashes[script], len(keys), *keys, *args)
            return 1

        return call

    def send(self) -> None:
        self._pipe.execute()


def _storms(args: Any) -> list[Row]:
    ours, other = [], []
    for _ in range(args.runs):
        ours.append(_storm(OURS, args))
        other.append(_storm(EACH, args))
    name = f"{args.sockets} come back at once"

    def row(measure: str, unit: str, nth: int) -> Row:
        return paired(f"{name}: {measure}", unit, [run[nth] for run in ours], [run[nth] for run in other])

    return [row("until the last has", "s", 0), row("resumed", "%", 1), row("CPU of each", "ms", 2)]


def _storm(app: str, args: Any) -> tuple[float, float, float]:
    """Everybody is thrown out at once and comes back with a cursor, as after a deploy."""
    with serving(app, max(1, args.sockets // 4)) as server, CrowdProcess(server) as crowd:
        crowd.ask("open", battles=server.battles, count=args.sockets, timeout=120)
        _publish(server, args.hz, 1.0)
        _settle(server)
        cpu = server.cpu_s()
        back = crowd.ask("storm", timeout=120)
        cpu = server.cpu_s() - cpu
    return back["seconds"], 100 * back["resumed"] / args.sockets, cpu / args.sockets * 1e3


def _settle(server: Server) -> None:
    """Until the web process has nothing to do, 10 s at most."""
    for _ in range(50):
        before = server.cpu_s()
        time.sleep(0.2)
        if server.cpu_s() - before < 0.02:
            return
