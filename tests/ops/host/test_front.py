"""Streams through nginx while nginx and web are loaded anew and started anew: no word is lost, none comes twice."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from pydantic import SecretStr

from ops.bench.sockets.server import begun, raise_limits
from ops.install.secrets import redis_urls
from tests.ops.host.conftest import Installed
from tests.ops.host.crowd import Crowd, Viewer
from tests.processes import wait_for
from web.settings import WebSettings
from worker.contract import channel
from worker.contract.events import SideDelta

OF_A_BATTLE = 4
"""Sockets: tabs of one person."""
ADDRESSES = 200
SECONDS = 300.0
"""So long the slowest machine may take for everybody to come back."""


@pytest.mark.parametrize(
    ("sockets", "hz"), [(60, 10.0), pytest.param(1000, 2.0, marks=pytest.mark.long)], ids=["60", "1000"]
)
def test_no_word_is_lost_or_repeated_while_nginx_and_web_are_loaded_anew(
    running: Installed, sockets: int, hz: float
) -> None:
    streamed(running, sockets, hz, [reload_nginx, reload_web])


@pytest.mark.long
def test_no_word_is_lost_or_repeated_while_web_is_stopped_and_started(running: Installed) -> None:
    streamed(running, 1000, 2.0, [restart_web])


def streamed(running: Installed, sockets: int, hz: float, steps: list[Callable[[Installed, Crowd], None]]) -> None:
    """Words go to every battle all the while; in the end every viewer must have each of them once, in order."""
    raise_limits()
    crowd = Crowd(running.url, running.host.etc / "tls" / "fullchain.pem", viewers(running, sockets))
    battles = list({v.battle for v in crowd.viewers})
    over, said = threading.Event(), [0]
    with crowd.watching():
        wait_for("everybody to follow", lambda: crowd.following(1), SECONDS)
        speaking = threading.Thread(target=speak, args=(running, battles, hz, over, said))
        speaking.start()
        try:
            with crowd.coming():
                for step in steps:
                    step(running, crowd)
        finally:
            over.set()
            speaking.join()
        wait_for(
            "everybody to have heard the end", lambda: all(v.words[-1:] == [said[0] - 1] for v in crowd.viewers), 60
        )
    wanted = list(range(said[0]))
    lost = sum(len(set(wanted) - set(v.words)) for v in crowd.viewers)
    repeated = sum(len(v.words) - len(set(v.words)) for v in crowd.viewers)
    came = sum(v.came for v in crowd.viewers)
    print(
        f"{sockets} sockets, {len(battles)} battles, {said[0]} words to each: {sockets * said[0]} wanted, {lost} lost, "
        f"{repeated} repeated; {came - sockets} came back, {crowd.newcomers} newcomers, "
        f"{len(crowd.refused)} handshakes refused {set(crowd.refused)}"
    )
    assert crowd.newcomers > len(steps)
    assert crowd.refused == []
    assert (lost, repeated) == (0, 0)
    assert [v.notes for v in crowd.viewers if v.notes] == []
    assert all(v.words == wanted for v in crowd.viewers)
    assert said[0] > len(steps)


def viewers(running: Installed, count: int) -> list[Viewer]:
    """Every battle's are of a session of its own; addresses are as many as this machine's own network lends."""
    values = running.processes["arena-web"].unit.environment()
    settings = WebSettings(
        redis_url=redis_urls(running.host)["admin"], database_url=values.get("ARENA_DATABASE_URL"),
        data_dir=Path(values["ARENA_DATA_DIR"]), catalog=Path(values["ARENA_CATALOG"]),
        secret_key=SecretStr(values["ARENA_SECRET_KEY"]),
    )  # fmt: skip
    made = []
    for _ in range(0, count, OF_A_BATTLE):
        cookie, (battle,) = begun(settings, 1, state="finished")  # records sends nothing again that is finished
        made += [Viewer(battle, cookie, f"127.0.0.{2 + len(made) % ADDRESSES}") for _ in range(OF_A_BATTLE)]
    return made[:count]


def speak(running: Installed, battles: list[str], hz: float, over: threading.Event, said: list[int]) -> None:
    with running.redis() as client:
        while not over.wait(1 / hz):
            for battle in battles:
                channel.publish(client, battle, [SideDelta("a", f"{said[0]} ")])
            said[0] += 1


def reload_nginx(running: Installed, crowd: Crowd) -> None:
    """As ``systemctl reload arena-nginx`` and the certificate's timer do: nobody's socket ends."""
    nginx = running.processes["arena-nginx"]
    before, came = workers(nginx.pid), [v.came for v in crowd.viewers]
    nginx.signal(signal.SIGHUP)
    wait_for("new nginx processes", lambda: workers(nginx.pid) - before, process=nginx)
    assert [v.came for v in crowd.viewers] == came


def reload_web(running: Installed, crowd: Crowd) -> None:
    """As ``systemctl reload arena-web`` does: the sockets that systemd holds stay, and everybody comes back to them."""
    web = running.processes["arena-web"]
    times = max(v.came for v in crowd.viewers) + 1
    web.signal(signal.SIGHUP)
    wait_for("everybody to come back", lambda: crowd.following(times), SECONDS, web)


def restart_web(running: Installed, crowd: Crowd) -> None:
    """As ``systemctl restart arena-web`` does."""
    web = running.processes["arena-web"]
    times = max(v.came for v in crowd.viewers) + 1
    web.signal(signal.SIGTERM)
    web.wait(30)
    web.start()
    wait_for("everybody to come back", lambda: crowd.following(times), SECONDS, web)


def workers(pid: int) -> set[int]:
    return {child.pid for child in psutil.Process(pid).children(recursive=True)}
