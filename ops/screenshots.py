"""Pictures of a running arena, made the same way each time: ``python -m ops.screenshots --url http://127.0.0.1:5000``.

Writes empty, streaming, votable, voted, leaderboard and about, in light and dark and at a phone's width, to ``--out``.
The README's picture, ``ops/images/arena.png``, is ``streaming-light.png`` of a run with the CPU catalog.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from pathlib import Path
from typing import Any

PROMPT = "Write a Python function that tells whether a word is a palindrome, then explain it in two short points."
VIEWS = {
    "light": {"viewport": {"width": 1280, "height": 800}, "color_scheme": "light"},
    "dark": {"viewport": {"width": 1280, "height": 800}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 390, "height": 844}, "color_scheme": "light", "has_touch": True},
}
VOTABLE = "button:not([disabled]):has-text('Tie')"


def shoot(browser: Any, url: str, name: str, view: dict[str, Any], out: Path, after_s: float) -> None:
    """One battle from the empty page to the board, in one view."""
    context = browser.new_context(**view, device_scale_factor=1)
    page = context.new_page()
    page.set_default_timeout(300_000)

    def save(state: str) -> None:
        page.screenshot(path=out / f"{state}-{name}.png", animations="disabled")

    page.goto(url)
    page.wait_for_load_state("networkidle")
    save("empty")
    page.fill("textarea", PROMPT)
    page.keyboard.press("Enter")
    page.locator("text=Writing").first.wait_for()
    page.wait_for_timeout(after_s * 1000)
    save("streaming")
    page.locator(VOTABLE).wait_for()
    save("votable")
    page.click(VOTABLE)
    page.locator("text=New battle").last.wait_for()
    page.wait_for_timeout(1500)
    save("voted")
    for path in ("leaderboard", "about"):
        page.goto(f"{url}/{path}")
        page.wait_for_load_state("networkidle")
        save(path)
    context.close()


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m ops.screenshots", description=__doc__)
    parser.add_argument("--url", default="http://127.0.0.1:5000")
    parser.add_argument("--out", type=Path, default=Path("data/screenshots"))
    parser.add_argument("--after", type=float, default=16.0, help="seconds of streaming before the picture")
    parser.add_argument("--views", default=",".join(VIEWS), help="comma-separated, of: " + ", ".join(VIEWS))
    args = parser.parse_args(argv)
    binary = os.environ.get("ARENA_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if binary is None:
        print("screenshots: no Chromium found; install it, or name it in ARENA_CHROMIUM", file=sys.stderr)
        return 1
    from playwright.sync_api import sync_playwright

    args.out.mkdir(parents=True, exist_ok=True)
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    flags = ["--disable-gpu", "--no-first-run", "--disable-background-networking", "--font-render-hinting=none"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=binary, args=[*flags, *(["--no-sandbox"] if root else [])])
        for name in args.views.split(","):
            shoot(browser, args.url.rstrip("/"), name, VIEWS[name], args.out, args.after)
            print(f"{name}: done")
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
