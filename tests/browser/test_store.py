"""The browser's fold is Python's fold, and no event is ever applied twice, out of order, or after a gap."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from typing import Any

import msgspec
from playwright.sync_api import Page, WebSocketRoute

from worker.contract import events as ev
from worker.contract.view import fold_all

BATTLE = "b" * 22
FACTS = ev.ModelFacts(id="m", name="M")
FAILURE = ev.Failure(code="engine_failed", message="It broke.")


def random_events(seed: int) -> list[ev.StoredEvent]:
    """Any order at all, sensible or not: the fold is total."""
    rng = random.Random(seed)

    def side() -> ev.Side:
        return rng.choice(ev.SIDES)

    kinds: list[Callable[[], ev.StoredEvent]] = [
        lambda: ev.TurnStarted(turn=rng.randint(1, 3), prompt="Why? 👩‍👧"),
        lambda: ev.BattleQueued(position=rng.randint(1, 9), eta_s=rng.choice((None, 12.5))),
        lambda: ev.BattleLoading(fraction=rng.random(), eta_s=rng.choice((None, 3.0))),
        lambda: ev.SideStarted(side=side()),
        *[lambda: ev.SideDelta(side=side(), text=rng.choice(("word ", "é", "日本", "\n")))] * 6,
        lambda: ev.SideDone(side=side(), finish_reason=rng.choice(("stop", "length", "cancelled"))),
        lambda: ev.SideFailed(side=side(), error=FAILURE),
        lambda: ev.BattleRestarted(attempt=rng.randint(2, 5)),
        ev.BattleVotable,
        lambda: ev.BattleVoted(winner=rng.choice(("a", "b", "tie", "both_bad"))),
        lambda: ev.BattleRevealed(models=ev.RevealedModels(a=FACTS, b=FACTS)),
        lambda: ev.BattleFailed(error=FAILURE, votable=rng.random() < 0.5),
        lambda: ev.BattleCancelled(
            by=rng.choice(("user", "operator")), reason=rng.choice(("", "Maintenance.")), votable=rng.random() < 0.5
        ),
        lambda: ev.TurnRetried(
            turn=rng.randint(1, 3), retry=rng.randint(1, 2), sides=rng.choice((("a",), ("b",), ev.SIDES))
        ),
    ]
    begin: list[ev.StoredEvent] = [ev.TurnStarted(turn=1, prompt="Why?")] if rng.random() < 0.9 else []
    return begin + [rng.choice(kinds)() for _ in range(rng.randint(0, 40))]


def frame(seq: int, event: ev.StoredEvent) -> dict[str, Any]:
    """As the log stamps it."""
    return {"battle": BATTLE, "seq": seq, **json.loads(ev.encode(event))}


def snapshot(seq: int, view: ev.BattleView, epoch: str = "e1") -> dict[str, Any]:
    found: dict[str, Any] = json.loads(ev.encode(ev.Snapshot(battle=BATTLE, epoch=epoch, seq=seq, view=view)))
    return found


def batch(seq: int, events: list[ev.StoredEvent], n: int | None = None) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(ev.encode(ev.Batch(battle=BATTLE, seq=seq, n=n or len(events), events=events)))
    return found


def delta(text: str) -> ev.SideDelta:
    return ev.SideDelta(side="a", text=text)


BEGUN = fold_all([ev.TurnStarted(turn=1, prompt="Why?")])


def accepted(page: Page, frames: list[dict[str, Any]]) -> tuple[list[str], int, str]:
    """Outcomes, then seq and side a's text of what is held in the end."""
    result = page.evaluate("(frames) => harness.acceptAll(null, frames)", frames)
    cursor = result["cursor"]
    return result["outcomes"], cursor["seq"], cursor["view"]["turns"][0]["a"]["text"]


def test_both_folds_agree_on_every_sequence(harness: Page) -> None:
    sequences = [random_events(seed) for seed in range(500)]
    frames = [[frame(i, e) for i, e in enumerate(events, 1)] for events in sequences]
    folded = harness.evaluate("(all) => all.map((events) => harness.foldAll(events))", frames)
    for events, theirs in zip(sequences, folded, strict=True):
        assert theirs == json.loads(msgspec.json.encode(fold_all(events))), events


def test_what_continues_the_cursor_is_applied(harness: Page) -> None:
    frames = [snapshot(1, BEGUN), frame(2, delta("x")), batch(5, [delta("yz")], n=3), frame(6, delta("!"))]
    assert accepted(harness, frames) == (["applied"] * 4, 6, "xyz!")


def test_what_is_held_already_is_ignored(harness: Page) -> None:
    frames = [snapshot(4, BEGUN), frame(4, delta("old")), batch(3, [delta("older")]), frame(5, delta("new"))]
    assert accepted(harness, frames) == (["applied", "ignored", "ignored", "applied"], 5, "new")


def test_after_a_gap_nothing_is_applied(harness: Page) -> None:
    overlapping = batch(4, [delta("half known")], n=3)
    frames = [snapshot(2, BEGUN), frame(4, delta("late")), overlapping, batch(9, [delta("far")], n=2)]
    assert accepted(harness, frames) == (["applied", "gap", "gap", "gap"], 2, "")


def test_a_snapshot_replaces_what_was_held(harness: Page) -> None:
    later = fold_all([ev.TurnStarted(turn=1, prompt="Why?"), delta("whole")])
    frames = [snapshot(1, BEGUN), frame(2, delta("part")), snapshot(1, later, epoch="e2"), frame(2, delta(" text"))]
    assert accepted(harness, frames) == (["applied"] * 4, 2, "whole text")


class Server:
    """The other end of the page's socket, played by the test."""

    def __init__(self, page: Page) -> None:
        self.heard: list[dict[str, Any]] = []
        self.sockets: list[WebSocketRoute] = []
        page.route_web_socket("**/ws", self._meet)

    def _meet(self, socket: WebSocketRoute) -> None:
        self.sockets.append(socket)
        socket.on_message(lambda text: self.heard.append(json.loads(text)))
        self.send(ev.Hello(protocol=ev.SUBPROTOCOL, heartbeat_s=20, server_time=0))

    def send(self, *messages: dict[str, Any] | msgspec.Struct) -> None:
        for message in messages:
            text = json.dumps(message) if isinstance(message, dict) else ev.encode(message).decode()
            self.sockets[-1].send(text)

    def wait_heard(self, page: Page, count: int) -> None:
        """Until the page has sent ``count`` messages in all; the browser's frames drive the wait."""
        while len(self.heard) < count:
            page.evaluate("() => new Promise(requestAnimationFrame)")


def watching(page: Page) -> Server:
    """A store that follows the battle, and has asked for it."""
    server = Server(page)
    page.evaluate(f"() => {{ window.store = new harness.Store('ws://harness.test/ws'); store.watch('{BATTLE}'); }}")
    server.wait_heard(page, 1)
    return server


def text_becomes(page: Page, text: str) -> None:
    page.wait_for_function("(text) => store.view.value.turns.at(-1)?.a.text === text", arg=text)


def test_a_gap_makes_the_page_ask_once_from_where_it_is(harness: Page) -> None:
    server = watching(harness)
    assert server.heard == [{"type": "subscribe", "battle": BATTLE}]
    server.send(snapshot(1, BEGUN), frame(2, delta("a")), frame(4, delta("c")), frame(5, delta("d")))
    server.wait_heard(harness, 2)
    assert server.heard[1:] == [{"type": "subscribe", "battle": BATTLE, "epoch": "e1", "after": 2}]
    server.send(ev.Resumed(battle=BATTLE, epoch="e1", seq=2), batch(5, [delta("bcd")], n=3), frame(6, delta("e")))
    text_becomes(harness, "abcde")
    assert len(server.heard) == 2


def test_a_lost_line_is_picked_up_with_the_cursor_and_nothing_comes_twice(harness: Page) -> None:
    server = watching(harness)
    server.send(snapshot(1, BEGUN), frame(2, delta("one ")))
    text_becomes(harness, "one ")
    server.sockets[-1].close(code=ev.CloseCode.SLOW)
    server.wait_heard(harness, 2)
    assert server.heard[-1] == {"type": "subscribe", "battle": BATTLE, "epoch": "e1", "after": 2}
    server.send(ev.Resumed(battle=BATTLE, epoch="e1", seq=2), batch(3, [delta("two")]))
    text_becomes(harness, "one two")


def test_a_refusal_for_good_is_shown_and_not_repeated(harness: Page) -> None:
    server = watching(harness)
    server.send(ev.Error(code="unknown_battle", message="There is no such battle of yours.", battle=BATTLE))
    server.sockets[-1].close(code=ev.CloseCode.UNKNOWN)
    harness.wait_for_function("() => store.link.value === 'stopped'")
    assert harness.evaluate("() => store.gone.value") == "There is no such battle of yours."
    assert len(server.sockets) == 1


def test_pings_are_answered(harness: Page) -> None:
    server = watching(harness)
    server.send(ev.Ping(n=7))
    server.wait_heard(harness, 2)
    assert server.heard[-1] == {"type": "pong", "n": 7}


def test_which_closings_are_final(harness: Page) -> None:
    codes = {k: v for k, v in vars(ev.CloseCode).items() if k.isupper()}
    back = harness.evaluate("(codes) => codes.map((code) => harness.comesBack(code))", list(codes.values()))
    final = {name for name, comes in zip(codes, back, strict=True) if not comes}
    assert final == {"TOO_BIG", "BAD_MESSAGE", "SESSION", "FORBIDDEN", "UNKNOWN", "VERSION"}


def test_waits_between_attempts_are_jittered_and_bounded(harness: Page) -> None:
    delays = harness.evaluate("() => [...Array(40).keys()].map((n) => harness.retryDelay(n, () => 0.999))")
    assert delays[0] < 500 < delays[1] < 1000
    assert max(delays) < 15_000
    assert harness.evaluate("() => harness.retryDelay(9, () => 0)") == 0
