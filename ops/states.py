"""Every state in which a visitor meets the arena, each reached in one line: swept for accessibility, and pictured.

The pages are those of a running arena. What depends on the moment (waiting, streaming, failing) is told by a script
over the page's own socket; what depends on the past (a board, a list, a shared battle) is lived through once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from playwright.sync_api import BrowserContext, Page

from ops.scripted import BATTLE, MODELS, STARTED, WRITTEN, Script
from worker.contract import events as ev

PROMPT_FIELD = "Your prompt"
FAILURE = ev.Failure(code="engine_failed", message="The model ran out of memory.")
FACTS = {side: {n: getattr(m, n) for n in m.__struct_fields__} for side, m in (("a", MODELS.a), ("b", MODELS.b))}


@dataclass
class Visit:
    """One visitor's page on the arena at ``url``; ``past`` is a battle that was voted and shared before."""

    page: Page
    url: str
    past: Past
    _script: Script | None = field(default=None)

    def goto(self, path: str, shows: str = "h1") -> None:
        self.page.goto(self.url + path)
        self.page.locator(shows).first.wait_for()

    def tell(self, *events: ev.StoredEvent) -> None:
        """A battle from its beginning, and these events of it."""
        if self._script is None:
            self._script = Script(self.page, self.url)
        self._script.restart()
        self._script.tell(*events)

    def sees(self, text: str) -> None:
        """On a narrow screen it may be in the pane behind."""
        self.page.get_by_text(text).first.wait_for(state="attached")

    def write(self, text: str) -> None:
        self.page.get_by_label(PROMPT_FIELD).fill(text)

    def answer(self, path: str, **reply: Any) -> None:
        self.page.route(path, lambda route: route.fulfill(**reply))


@dataclass(frozen=True)
class Past:
    """What happened before: one finished battle of a visitor whose cookies are ``cookies``."""

    cookies: list[Any]
    share: str
    model: str


@dataclass(frozen=True)
class State:
    """``reach`` brings a fresh page there. ``own``: it takes the cookies of :class:`Past`. ``noise``: the console may
    tell of the refused request that the state is about."""

    name: str
    reach: Callable[[Visit], None]
    own: bool = False
    noise: bool = False


def live(past: Page, url: str) -> Past:
    """Begin, judge and share one battle, as a visitor does through the API of the page ``past``."""
    headers = {"Origin": url}
    past.goto(url)
    begun = past.request.post(f"{url}/api/battles", data={"prompt": "Name three rivers."}, headers=headers).json()
    battle = begun["id"] if "id" in begun else begun["battle"]
    past.goto(f"{url}/battles/{battle}")
    past.locator("button:not([disabled])", has_text="Tie").wait_for()
    voted = past.request.post(f"{url}/api/battles/{battle}/vote", data={"winner": "a"}, headers=headers).json()
    shared = past.request.post(f"{url}/api/battles/{battle}/share", headers=headers).json()
    share = next(str(v) for k, v in shared.items() if k in ("url", "id", "share"))
    return Past(past.context.cookies(), share.rsplit("/", 1)[-1], voted["models"]["a"]["id"])


def _told(shows: str, *events: ev.StoredEvent) -> Callable[[Visit], None]:
    def reach(visit: Visit) -> None:
        visit.tell(*events)
        visit.sees(shows)

    return reach


def _page(path: str) -> Callable[[Visit], None]:
    return lambda visit: visit.goto(path)


def _named(visit: Visit) -> None:
    visit.goto("/")
    visit.page.get_by_text("Compare two models of your choice").click()
    visit.page.get_by_label("The other model").wait_for()


def _composing(visit: Visit) -> None:
    visit.goto("/")
    visit.write("Explain tides to a sailor.\nIn two paragraphs.")


def _over_limit(visit: Visit) -> None:
    visit.goto("/")
    visit.write("ä" * 8_001)
    visit.sees("too long")


def _error(visit: Visit) -> None:
    visit.page.route("**/api/battles", lambda route: route.abort())
    visit.goto("/")
    visit.write("Keep me.")
    visit.page.keyboard.press("Enter")
    visit.page.get_by_role("alert").first.wait_for()


def _offline(visit: Visit) -> None:
    visit.tell(*STARTED, *WRITTEN[:2])
    visit.sees("Euclid")
    visit.page.route_web_socket("**/ws", lambda socket: socket.close(code=1013))
    assert visit._script is not None
    visit._script.drop(ev.CloseCode.GOING_AWAY)
    visit.page.locator(".offline").wait_for()


def _choosing(visit: Visit) -> None:
    _told("Which answer is better?", *STARTED, *WRITTEN, ev.BattleVotable())(visit)
    visit.page.keyboard.press("Alt+1")
    visit.page.get_by_role("button", name="Undo").wait_for()


def _reasons(visit: Visit) -> None:
    visit.answer(f"**/api/battles/{BATTLE}/vote", json={"winner": "a", "models": FACTS}, status=201)
    _choosing(visit)
    visit.page.get_by_role("button", name="Count it now").click()
    visit.sees("You preferred A")


SECOND = (
    *STARTED, *WRITTEN, ev.BattleVotable(), ev.TurnStarted(turn=2, prompt="And why does it never end?"),
    ev.SideStarted(side="a"), ev.SideDelta(side="a", text="Because the **same step** works again."),
)  # fmt: skip
REVEALED = (ev.BattleVoted(winner="a"), ev.BattleRevealed(models=MODELS))

STATES = (
    State("empty", _page("/")),
    State("composing", _composing),
    State("named", _named),
    State("over-limit", _over_limit),
    State("queued", _told("2nd in line", ev.BattleQueued(position=2, eta_s=30))),
    State("loading", _told("Loading the models", ev.BattleLoading(fraction=0.5, eta_s=9))),
    State("streaming", _told("Writing", *STARTED, *WRITTEN[:2])),
    State("stopped", _told("Half", *STARTED, ev.SideDelta(side="a", text="Half"), ev.BattleCancelled("user"))),
    State("failed-side", _told(FAILURE.message, *STARTED, *WRITTEN[:3], ev.SideFailed(side="b", error=FAILURE))),
    State("votable", _told("Which answer is better?", *STARTED, *WRITTEN, ev.BattleVotable())),
    State("choosing", _choosing),
    State("voted", _told("You preferred A", *STARTED, *WRITTEN, *REVEALED)),
    State("reasons", _reasons),
    State("second-turn", _told("same step", *SECOND)),
    State("offline", _offline),
    State("error", _error, noise=True),
    State("history-empty", _page("/battles")),
    State("history", lambda visit: visit.goto("/battles", "text=Name three rivers."), own=True),
    State("shared", lambda visit: visit.goto(f"/shared/{visit.past.share}", ".prose")),
    State("leaderboard", _page("/leaderboard")),
    State("model", lambda visit: visit.goto(f"/models/{visit.past.model}")),
    State("about", _page("/about")),
    State("notice", _page("/notice")),
    State("docs", lambda visit: visit.goto("/docs", "h1, h2")),
    State("not-found", _page("/nowhere"), noise=True),
    State("operator", _page("/operator"), noise=True),
)


def enter(context: BrowserContext, state: State, url: str, past: Past) -> Page:
    """A page of ``context``, brought to ``state``."""
    if state.own:
        context.add_cookies(past.cookies)
    page = context.new_page()
    state.reach(Visit(page, url, past))
    return page
