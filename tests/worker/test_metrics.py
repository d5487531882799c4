"""What the pool reports can be scraped over HTTP and parsed; it is bounded, and nobody else can undo it."""

from __future__ import annotations

import socket
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest
from prometheus_client import REGISTRY, Counter
from prometheus_client.parser import text_string_to_metric_families

from worker.errors import SettingsError
from worker.memory import Bytes
from worker.metrics import Metrics, Server
from worker.pool.meter import Meter

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


@pytest.fixture
def metrics() -> Metrics:
    return Metrics(["ant", "bee"])


@pytest.fixture
def server(metrics: Metrics) -> Iterator[Server]:
    running = metrics.serve("127.0.0.1:0")
    yield running
    running.close()


def get(url: str) -> str:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=20) as answer:
        return str(answer.read().decode())


def scrape(server: Server) -> Samples:
    families = text_string_to_metric_families(get(f"http://{server.address}/metrics"))
    return {(s.name, tuple(sorted(s.labels.items()))): s.value for family in families for s in family.samples}


def value(samples: Samples, name: str, **labels: str) -> float | None:
    return samples.get((f"arena_{name}", tuple(sorted(labels.items()))))


def report_everything(meter: Meter) -> None:
    meter.loaded("ant", 12.0)
    meter.loaded("ant", 14.0)
    meter.unloaded("ant", "room for bee", 0.4)
    meter.slept("bee", "l1", 0.3)
    meter.woke("bee", "l1", 1.5)
    meter.failed("bee", "wake")
    meter.holds("ant", Bytes(device=3 * 2**30, host=2**30))
    meter.waited(0.7)
    meter.refused("overloaded")
    meter.first_token("ant", 0.25)
    meter.answered("ant", 90, 3.0, "stop")
    meter.answered("ant", 5, 9.0, "cancelled")


def test_what_the_pool_reports_is_what_prometheus_reads(metrics: Metrics, server: Server) -> None:
    report_everything(metrics)
    found = scrape(server)
    assert value(found, "engine_loads_total", model="ant") == 2
    assert value(found, "engine_load_seconds_sum", model="ant") == 26
    assert value(found, "engine_load_seconds_bucket", model="ant", le="10.0") == 0
    assert value(found, "engine_load_seconds_bucket", model="ant", le="20.0") == 2
    assert value(found, "engine_evictions_total", model="ant", why="room") == 1
    assert value(found, "engine_unload_seconds_count", model="ant") == 1
    assert value(found, "engine_sleeps_total", model="bee", tier="l1") == 1
    assert value(found, "engine_sleep_seconds_sum", model="bee", tier="l1") == 0.3
    assert value(found, "engine_wakes_total", model="bee", tier="l1") == 1
    assert value(found, "engine_wake_seconds_sum", model="bee", tier="l1") == 1.5
    assert value(found, "engine_failures_total", model="bee", what="wake") == 1
    assert value(found, "engine_reserved_bytes", model="ant", ledger="device") == 3 * 2**30
    assert value(found, "engine_reserved_bytes", model="ant", ledger="host") == 2**30
    assert value(found, "lease_wait_seconds_sum") == 0.7
    assert value(found, "lease_refusals_total", kind="overloaded") == 1
    assert value(found, "first_token_seconds_bucket", model="ant", le="0.3") == 1
    assert value(found, "answers_total", model="ant", finish_reason="stop") == 1
    assert value(found, "tokens_total", model="ant") == 95


def test_the_rate_is_of_answers_that_came_to_their_end(metrics: Metrics, server: Server) -> None:
    report_everything(metrics)
    metrics.answered("ant", 0, 0.0, "stop")
    found = scrape(server)
    assert value(found, "tokens_per_second_count", model="ant") == 1
    assert value(found, "tokens_per_second_sum", model="ant") == 30


def test_every_name_is_ours_and_says_its_unit(metrics: Metrics, server: Server) -> None:
    report_everything(metrics)
    metrics.watch(running=lambda: 1, waiting=lambda: 2, held=lambda: {"ant": Bytes(1, 2)})
    for name, _ in scrape(server):
        assert name.startswith("arena_")
        plain = name.removesuffix("_bucket").removesuffix("_sum").removesuffix("_count").removesuffix("_created")
        assert plain.endswith(("_seconds", "_bytes", "_total", "_per_second", "_running", "_waiting", "_refused")) or (
            name.endswith("_created")
        )


def test_counters_begin_at_nought_so_that_the_first_load_is_an_increase(server: Server) -> None:
    assert value(scrape(server), "engine_loads_total", model="bee") == 0


def test_battles_and_held_bytes_are_read_at_each_scrape(metrics: Metrics, server: Server) -> None:
    running = [3]
    metrics.watch(running=lambda: running[0], waiting=lambda: 4, held=lambda: {"ant": Bytes(5, 6), "gnu": Bytes(7, 8)})
    assert value(scrape(server), "battles_running") == 3
    running[0] = 9
    found = scrape(server)
    assert value(found, "battles_running") == 9
    assert value(found, "battles_waiting") == 4
    assert value(found, "engine_resident_bytes", model="ant", ledger="device") == 5
    assert value(found, "engine_resident_bytes", model="ant", ledger="host") == 6
    assert "gnu" not in str(found)


def test_a_figure_that_cannot_be_read_is_left_out_and_spoils_no_other(metrics: Metrics, server: Server) -> None:
    def broken() -> int:
        raise RuntimeError("dictionary changed size during iteration")

    metrics.watch(running=broken, waiting=lambda: 4)
    found = scrape(server)
    assert value(found, "battles_running") is None
    assert value(found, "battles_waiting") == 4
    assert value(found, "engine_loads_total", model="ant") == 0


def test_labels_take_few_values_whatever_is_reported(metrics: Metrics, server: Server) -> None:
    for n in range(200):
        metrics.loaded(f"model-{n}", 1.0)
        metrics.unloaded("ant", f"reason {n}", 1.0)
        metrics.failed("ant", f"thing {n}")
        metrics.refused(f"kind {n}")
        metrics.answered("ant", 1, 1.0, f"ending {n}")
    before = len(scrape(server))
    metrics.loaded("model-500", 1.0)
    metrics.unloaded("ant", "reason 500", 1.0)
    found = scrape(server)
    assert len(found) == before
    assert value(found, "engine_loads_total", model="other") == 201
    metrics.know(["model-500"])
    metrics.loaded("model-500", 1.0)
    assert value(scrape(server), "engine_loads_total", model="model-500") == 1


def test_an_engine_that_unregisters_what_it_finds_takes_nothing_of_ours(metrics: Metrics, server: Server) -> None:
    """vLLM does this to the process's shared registry whenever an engine with statistics starts."""
    report_everything(metrics)
    before = scrape(server)
    theirs = Counter("vllm:requests", "Of the first engine")
    ours = [c for c in REGISTRY._collector_to_names if str(getattr(c, "_name", "")).startswith("arena_")]
    assert ours == []  # or the second engine's start could reach them
    for collector in list(REGISTRY._collector_to_names):
        if str(getattr(collector, "_name", "")).startswith("vllm:"):
            REGISTRY.unregister(collector)
    assert theirs not in REGISTRY._collector_to_names
    assert scrape(server) == before


def test_two_in_one_process_do_not_meet(metrics: Metrics, server: Server) -> None:
    other = Metrics(["ant"])
    other.loaded("ant", 1.0)
    assert value(scrape(server), "engine_loads_total", model="ant") == 0


# ── the server ───────────────────────────────────────────────────────────────────────────────────────────────────


def test_only_metrics_are_there(server: Server) -> None:
    with pytest.raises(urllib.error.HTTPError) as caught:
        get(f"http://{server.address}/")
    assert caught.value.code == 404
    caught.value.close()


def test_a_closed_server_lets_its_port_go(metrics: Metrics) -> None:
    first = metrics.serve("127.0.0.1:0")
    address = first.address
    first.close()
    first.close()
    with pytest.raises(urllib.error.URLError):
        get(f"http://{address}/metrics")
    second = metrics.serve(address)
    assert second.address == address
    second.close()


@pytest.mark.skipif(not socket.has_ipv6, reason="needs IPv6")
def test_it_answers_on_ipv6(metrics: Metrics) -> None:
    try:
        probe = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("no IPv6 on this machine")
    probe.close()
    server = metrics.serve("[::1]:0")
    assert server.address.startswith("[::1]:")
    assert "arena_engine_loads_total" in get(f"http://{server.address}/metrics")
    server.close()


@pytest.mark.parametrize("address", ["9100", "127.0.0.1", ":9100", "127.0.0.1:http", "127.0.0.1:70000", "", "a:-1"])
def test_an_address_that_is_none_is_refused_with_an_example(metrics: Metrics, address: str) -> None:
    with pytest.raises(SettingsError, match=r"^ARENA_METRICS_ADDRESS: .*use for instance 127\.0\.0\.1:9100$"):
        metrics.serve(address)


def test_a_busy_address_is_refused_in_words(metrics: Metrics, server: Server) -> None:
    with pytest.raises(SettingsError, match=r"^ARENA_METRICS_ADDRESS: .*already in use; choose another"):
        metrics.serve(server.address)


@pytest.mark.parametrize("host", ["no-such-host.invalid", "a..b", "256.256.256.256"])
def test_a_host_that_is_not_ours_is_refused_in_words(metrics: Metrics, host: str) -> None:
    with pytest.raises(SettingsError, match=r"^ARENA_METRICS_ADDRESS: cannot listen on .*choose another address$"):
        metrics.serve(f"{host}:9100")
