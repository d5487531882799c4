"""Pictures of every state of every page: ``python -m ops.screenshots DIR``.

In both themes at three widths; in forced colours, in German (what can be reached without a word of English) and as
printed besides. Starts an arena of stand-ins for it, unless ``--url`` names one that runs, and boards of made-up votes.
``--battle`` adds pictures of a real battle there, from the first words to the names; the README's,
``ops/images/arena.png``, is ``battle-streaming-light-1280.png`` of an arena with the CPU catalog, taken `--after 26`.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ops import boards
from ops.bench.arena import running_arena
from ops.browser import chromium
from ops.sites import Sites, sites
from ops.states import STATES, Past, State, enter

if TYPE_CHECKING:
    from playwright.sync_api import Browser, FloatRect

PROMPT = "Write a Python function that tells whether a word is a palindrome, then explain it in two short points."
CATALOG, MODELS = "ops/catalogs/echo.toml", ("echo-swift", "echo-sage")
THEMES = ("light", "dark")
SIZES = {1440: 900, 390: 844, 320: 640}
VOTABLE = "button:not([disabled]):has-text('Tie')"
TALLEST = 8_000
"""Pixels; of a longer page the beginning is pictured."""


def view(theme: str, width: int, height: int, **more: Any) -> dict[str, Any]:
    """What a browser context takes."""
    size = {"width": width, "height": height}
    return {"viewport": size, "color_scheme": theme, "reduced_motion": "reduce", **more}


VIEWS = {
    **{f"{theme}-{width}": view(theme, width, height) for theme in THEMES for width, height in SIZES.items()},
    "forced-1440": view("dark", 1440, 900, forced_colors="active"),
    "forced-390": view("light", 390, 844, forced_colors="active"),
    "german-1440": view("light", 1440, 900, locale="de-DE"),
    "german-320": view("dark", 320, 640, locale="de-DE"),
    "print": view("light", 794, 1123),
}
"""The last one is a sheet of A4."""


def picture_states(browser: Browser, places: Sites, out: Path, names: Sequence[str], views: Sequence[str]) -> None:
    """``STATE-VIEW.png`` of each of the states ``names``: the whole page, as far as it is not endless."""
    for name in views:
        states = places.documents() if name.startswith("german") else places.states()
        for url, state in states:
            if state.name in names:
                picture_state(browser, state, url, places.past, name, out / f"{state.name}-{name}.png")
        print(f"{name}: done", flush=True)


def picture_state(browser: Browser, state: State, url: str, past: Past, name: str, to: Path) -> None:
    """One state in one of the :data:`VIEWS`."""
    context = browser.new_context(**VIEWS[name])
    try:
        page = enter(context, state, url, past)
        if name == "print":
            page.emulate_media(media="print")
        page.wait_for_load_state("networkidle")  # the renderer and the colours of code come after the words
        page.evaluate("() => document.fonts.ready")
        size = page.evaluate("() => [document.documentElement.clientWidth, document.documentElement.scrollHeight]")
        clip: FloatRect = {"x": 0, "y": 0, "width": size[0], "height": min(size[1], TALLEST)}
        page.screenshot(path=to, animations="disabled", full_page=True, clip=clip)
    finally:
        context.close()


def picture_battle(browser: Browser, url: str, out: Path, theme: str, after_s: float) -> None:
    """A real battle: while it is written (``after_s`` after the first words), when it can be voted on, and judged."""
    context = browser.new_context(**view(theme, 1280, 800))
    page = context.new_page()
    page.set_default_timeout(300_000)

    def save(moment: str) -> None:
        page.screenshot(path=out / f"battle-{moment}-{theme}-1280.png", animations="disabled")

    page.goto(url)
    page.get_by_label("Your prompt").fill(PROMPT)
    page.get_by_role("button", name="Start battle").click()  # by hand: a key would have the focus shown
    page.locator(".prose > *").first.wait_for()
    page.wait_for_timeout(after_s * 1000)
    save("streaming")
    page.locator(VOTABLE).wait_for()
    save("votable")
    page.click(VOTABLE)
    page.get_by_role("button", name="Count it now").click()
    page.locator(".facts").first.wait_for()
    save("voted")
    context.close()


@contextlib.contextmanager
def arena(url: str | None) -> Iterator[str]:
    """The arena at ``url``, or one of stand-ins while the block runs."""
    if url is not None:
        yield url.rstrip("/")
        return
    with running_arena(CATALOG, MODELS, max_tokens=256, env={}) as started:
        yield started


def main(argv: list[str] | None = None) -> int:
    known = [s.name for s in (*STATES, *boards.FULL, *boards.EMPTY)]
    parser = argparse.ArgumentParser(prog="python -m ops.screenshots", description=__doc__)
    parser.add_argument("out", type=Path, metavar="DIR", help="where the pictures go")
    parser.add_argument("--url", help="an arena that runs (default: one of stand-ins is started)")
    parser.add_argument("--states", default=",".join(known), help="comma-separated (default: all)")
    parser.add_argument(
        "--views", default=",".join(VIEWS), help=f"comma-separated, of {', '.join(VIEWS)} (default: all)"
    )
    parser.add_argument("--battle", action="store_true", help="a real battle too")
    parser.add_argument("--after", type=float, default=6.0, help="seconds of streaming before its picture (default 6)")
    args = parser.parse_args(argv)
    names, views = ([name for name in given.split(",") if name] for given in (args.states, args.views))
    for word, unknown in (("state", set(names) - set(known)), ("view", set(views) - set(VIEWS))):
        if unknown:
            parser.error(f"no {word} is called {sorted(unknown)[0]}; see --help")
    args.out.mkdir(parents=True, exist_ok=True)
    with arena(args.url) as url, chromium() as browser, tempfile.TemporaryDirectory() as folder:
        if names:
            with sites(browser, url, Path(folder)) as places:
                picture_states(browser, places, args.out, names, views)
        for theme in THEMES if args.battle else ():
            picture_battle(browser, url, args.out, theme, args.after)
            print(f"battle, {theme}: done")
    return 0


if __name__ == "__main__":
    sys.exit(main())
