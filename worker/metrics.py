"""The worker's ``/metrics`` for Prometheus: what the pool and the battles report through :class:`Meter`, as series.

Names begin with ``arena_`` and end in their unit. Labels take few values, whatever happens: models are the catalog's,
words are from lists in this file. Nothing of a prompt, an answer or a battle is in them. Series name models, so the
address is for operators alone.

The registry is this object's own: every engine vLLM starts with statistics unregisters all ``vllm:`` collectors of the
process's shared registry, and may do so without touching these.
"""

from __future__ import annotations

import contextlib
import socket
import socketserver
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, make_wsgi_app
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from worker.errors import SettingsError
from worker.memory import Bytes, Tier

_MOVE_S = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 160, 320, 900)
_WAIT_S = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 40, 80, 120, 180, 300)
_FIRST_TOKEN_S = (0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1, 1.5, 2.5, 5, 10, 20, 60)
_RATE = (1, 2, 5, 10, 15, 20, 30, 40, 50, 75, 100, 150, 250, 500)

_OTHER = "other"
_WHYS = ("room", "idle", "memory", "operator", "died", "catalog")
_FAILURES = ("load", "wake", "sleep", "unload", "died")
_REFUSALS = ("unavailable", "overloaded", "apart")
_ENDINGS = ("stop", "length", "cancelled", "failed")


class Metrics:
    """A :class:`worker.pool.meter.Meter` that Prometheus can read; ``models`` are the catalog's ids."""

    def __init__(self, models: Iterable[str]) -> None:
        self.registry = registry = CollectorRegistry()
        self._models: set[str] = set()

        def counter(name: str, what: str, *labels: str) -> Counter:
            return Counter(f"arena_{name}", what, labels, registry=registry)

        def histogram(name: str, what: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
            return Histogram(f"arena_{name}", what, labels, registry=registry, buckets=buckets)

        self._loads = counter("engine_loads_total", "Engines brought up from nothing", "model")
        self._load_s = histogram("engine_load_seconds", "Start to ready", _MOVE_S, "model")
        self._wakes = counter("engine_wakes_total", "Engines woken and verified", "model", "tier")
        self._wake_s = histogram("engine_wake_seconds", "Asleep to verified", _MOVE_S, "model", "tier")
        self._sleeps = counter("engine_sleeps_total", "Engines put to sleep", "model", "tier")
        self._sleep_s = histogram("engine_sleep_seconds", "Idle to asleep", _MOVE_S, "model", "tier")
        self._evictions = counter("engine_evictions_total", "Engines unloaded, by the reason", "model", "why")
        self._unload_s = histogram("engine_unload_seconds", "Idle to gone", _MOVE_S, "model")
        self._failures = counter("engine_failures_total", "Moves that failed, and engines that died", "model", "what")
        self._reserved = Gauge(
            "arena_engine_reserved_bytes", "What the ledgers hold for it", ["model", "ledger"], registry=registry
        )
        what = "Whether the catalog file was refused when last read, so that an older one serves"
        self._catalog_refused = Gauge("arena_catalog_refused", what, registry=registry)
        self._waits = histogram("lease_wait_seconds", "A battle's arrival to its engines", _WAIT_S)
        self._refusals = counter("lease_refusals_total", "Battles the pool refused, by kind", "kind")
        self._first_s = histogram("first_token_seconds", "Lease to first text", _FIRST_TOKEN_S, "model")
        self._rate = histogram("tokens_per_second", "Of one finished answer", _RATE, "model")
        self._tokens = counter("tokens_total", "Tokens generated", "model")
        self._answers = counter("answers_total", "Answers, by how they ended", "model", "finish_reason")
        self.know(models)

    def know(self, models: Iterable[str]) -> None:
        """These ids are in the catalog too, from now on; any other is counted as ``other``."""
        for model in models:
            self._models.add(model)
            for each in (self._loads, self._tokens):  # a counter that begins at 1 shows no increase
                each.labels(model)

    def watch(
        self,
        *,
        running: Callable[[], int] | None = None,
        waiting: Callable[[], int] | None = None,
        held: Callable[[], Mapping[str, Bytes]] | None = None,
    ) -> None:
        """Ask these at every scrape, from the server's thread: battles running and waiting, bytes measured by model.

        To be called once.
        """
        self.registry.register(_Watched(running, waiting, held, self._models))

    def serve(self, address: str) -> Server:
        """Answer ``GET /metrics`` at ``host:port`` until closed. Raises SettingsError in a line with the fix."""
        return Server(address, self.registry)

    def _model(self, model: str) -> str:
        return model if model in self._models else _OTHER

    # ── what is reported ─────────────────────────────────────────────────────────────────────────────────────────

    def catalog_refused(self, refused: bool) -> None:
        self._catalog_refused.set(refused)

    def loaded(self, model: str, seconds: float) -> None:
        self._loads.labels(self._model(model)).inc()
        self._load_s.labels(self._model(model)).observe(seconds)

    def unloaded(self, model: str, why: str, seconds: float) -> None:
        word = next((w for w in _WHYS if w in why.split()), _OTHER)  # "room for llama" names a model
        self._evictions.labels(self._model(model), word).inc()
        self._unload_s.labels(self._model(model)).observe(seconds)

    def slept(self, model: str, tier: Tier, seconds: float) -> None:
        self._sleeps.labels(self._model(model), tier).inc()
        self._sleep_s.labels(self._model(model), tier).observe(seconds)

    def woke(self, model: str, tier: Tier, seconds: float) -> None:
        self._wakes.labels(self._model(model), tier).inc()
        self._wake_s.labels(self._model(model), tier).observe(seconds)

    def failed(self, model: str, what: str) -> None:
        self._failures.labels(self._model(model), what if what in _FAILURES else _OTHER).inc()

    def holds(self, model: str, reserved: Bytes) -> None:
        self._reserved.labels(self._model(model), "device").set(reserved.device)
        self._reserved.labels(self._model(model), "host").set(reserved.host)

    def waited(self, seconds: float) -> None:
        self._waits.observe(seconds)

    def refused(self, kind: str) -> None:
        self._refusals.labels(kind if kind in _REFUSALS else _OTHER).inc()

    def first_token(self, model: str, seconds: float) -> None:
        self._first_s.labels(self._model(model)).observe(seconds)

    def answered(self, model: str, tokens: int, seconds: float, finish_reason: str) -> None:
        name = self._model(model)
        self._answers.labels(name, finish_reason if finish_reason in _ENDINGS else _OTHER).inc()
        self._tokens.labels(name).inc(max(tokens, 0))
        if finish_reason in ("stop", "length") and tokens > 0 and seconds > 0:
            self._rate.labels(name).observe(tokens / seconds)


class _Watched(Collector):
    """Gauges read when they are asked for; one that cannot be read is left out of that scrape."""

    def __init__(
        self,
        running: Callable[[], int] | None,
        waiting: Callable[[], int] | None,
        held: Callable[[], Mapping[str, Bytes]] | None,
        models: set[str],
    ) -> None:
        self._counts = {"running": running, "waiting": waiting}
        self._held = held
        self._models = models

    def describe(self) -> Iterator[GaugeMetricFamily]:
        """Asked for at registration, when nothing may be there yet to be read."""
        return iter(())

    def collect(self) -> Iterator[GaugeMetricFamily]:
        for name, read in self._counts.items():
            with contextlib.suppress(Exception):
                if read is not None:
                    yield GaugeMetricFamily(f"arena_battles_{name}", f"Battles {name} now", value=read())
        with contextlib.suppress(Exception):
            if self._held is not None:
                labels = ["model", "ledger"]
                family = GaugeMetricFamily("arena_engine_resident_bytes", "Measured as held by it now", labels=labels)
                for model, amount in self._held().items():
                    if model in self._models:
                        family.add_metric([model, "device"], amount.device)
                        family.add_metric([model, "host"], amount.host)
                yield family


# ── over HTTP ────────────────────────────────────────────────────────────────────────────────────────────────────

_VARIABLE = "ARENA_METRICS_ADDRESS"
LOOK_S = 0.1
"""A worker that stops waits no longer than this for its metrics."""


class Server:
    """``/metrics`` on a thread of its own. ``address``: where it answers; ``close()`` any number of times."""

    def __init__(self, address: str, registry: CollectorRegistry) -> None:
        host, port = _parsed(address)
        try:
            self._server = _Http(host, port)
        except (OSError, UnicodeError) as error:
            why = (getattr(error, "strerror", None) or "no such host").lower()
            raise SettingsError(f"{_VARIABLE}: cannot listen on {address}: {why}; choose another address") from None
        self._server.set_app(_only_metrics(make_wsgi_app(registry, disable_compression=True)))
        self.address = f"{f'[{host}]' if ':' in host else host}:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(LOOK_S,), name="metrics", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """No longer answer, and let the port go."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)


def _parsed(address: str) -> tuple[str, int]:
    host, _, port = address.strip().rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not port.isascii() or not port.isdecimal() or int(port) > 65535:
        raise SettingsError(f"{_VARIABLE}: {address!r} is no host:port; use for instance 127.0.0.1:9100")
    return host, int(port)


class _Http(socketserver.ThreadingMixIn, WSGIServer):
    daemon_threads = True
    allow_reuse_port = False  # or a second worker would silently take every other scrape

    def __init__(self, host: str, port: int) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        super().__init__((host, port), _Quiet)

    def server_bind(self) -> None:
        """As WSGIServer does it, without asking DNS for the machine's name: that can take a minute."""
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]  # type: ignore[assignment]
        self.setup_environ()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A scraper that hung up is no error of ours."""


class _Quiet(WSGIRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the base class's name)
        """A line per scrape would drown the log."""


def _only_metrics(app: Callable[..., Any]) -> Callable[..., Any]:
    def route(environ: dict[str, Any], start_response: Callable[..., Any]) -> Any:
        if environ["PATH_INFO"] == "/metrics" and environ["REQUEST_METHOD"] in ("GET", "HEAD"):
            return app(environ, start_response)
        start_response("404 Not Found", [("Content-Type", "text/plain")])
        return [b"metrics are at /metrics\n"]

    return route
