"""Pictures of every state of every page, in both themes and at three widths: ``python -m ops.screenshots DIR``.

Starts an arena of stand-ins for it, unless ``--url`` names one that runs. ``--battle`` adds pictures of a real battle
there, from the first words to the names; the README's, ``ops/images/arena.png``, is ``battle-streaming-light-1280.png``
of an arena with the CPU catalog, taken `--after 26`.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ops.bench.arena import running_arena
from ops.browser import chromium
from ops.states import STATES, Past, enter, live

if TYPE_CHECKING:
    from playwright.sync_api import Browser

PROMPT = "Write a Python function that tells whether a word is a palindrome, then explain it in two short points."
CATALOG, MODELS = "ops/catalogs/echo.toml", ("echo-swift", "echo-sage")
THEMES = ("light", "dark")
SIZES = {1440: 900, 390: 844, 320: 640}
VOTABLE = "button:not([disabled]):has-text('Tie')"


def view(theme: str, width: int, height: int) -> dict[str, Any]:
    """What a browser context takes."""
    return {"viewport": {"width": width, "height": height}, "color_scheme": theme, "reduced_motion": "reduce"}


def picture_states(browser: Browser, url: str, past: Past, out: Path, names: Sequence[str]) -> None:
    """``STATE-THEME-WIDTH.png`` of each of the states ``names``, with a line about each that could not be reached."""
    for state in STATES:
        for theme in THEMES if state.name in names else ():
            for width, height in SIZES.items():
                context = browser.new_context(**view(theme, width, height))
                try:
                    page = enter(context, state, url, past)
                    page.evaluate("() => document.fonts.ready")
                    page.screenshot(path=out / f"{state.name}-{theme}-{width}.png", animations="disabled")
                finally:
                    context.close()
        if state.name in names:
            print(f"{state.name}: done", flush=True)


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
    parser = argparse.ArgumentParser(prog="python -m ops.screenshots", description=__doc__)
    parser.add_argument("out", type=Path, metavar="DIR", help="where the pictures go")
    parser.add_argument("--url", help="an arena that runs (default: one of stand-ins is started)")
    parser.add_argument("--states", default=",".join(s.name for s in STATES), help="comma-separated (default: all)")
    parser.add_argument("--battle", action="store_true", help="a real battle too")
    parser.add_argument("--after", type=float, default=6.0, help="seconds of streaming before its picture (default 6)")
    args = parser.parse_args(argv)
    names = [name for name in args.states.split(",") if name]
    if unknown := set(names) - {s.name for s in STATES}:
        parser.error(f"no state is called {sorted(unknown)[0]}; see --help")
    args.out.mkdir(parents=True, exist_ok=True)
    with arena(args.url) as url, chromium() as browser:
        if names:
            past = live(browser.new_page(), url)
            picture_states(browser, url, past, args.out, names)
        for theme in THEMES if args.battle else ():
            picture_battle(browser, url, args.out, theme, args.after)
            print(f"battle, {theme}: done")
    return 0


if __name__ == "__main__":
    sys.exit(main())
