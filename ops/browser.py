"""The Chromium that tests, benches and pictures drive: found and started in one way."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from playwright.sync_api import Browser

MISSING = "Chromium is not installed (apt-get install chromium, or set ARENA_CHROMIUM)"
ARGUMENTS = (
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--font-render-hinting=none",
)


def chromium_binary() -> str | None:
    """``ARENA_CHROMIUM``, else the one of PATH; None where there is none."""
    return os.environ.get("ARENA_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")


@contextlib.contextmanager
def chromium() -> Iterator[Browser]:
    """A running browser; sandboxed unless this is root. Exits with a line on what to do when it is not installed."""
    from playwright.sync_api import sync_playwright

    binary = chromium_binary()
    if binary is None:
        raise SystemExit(MISSING)
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    with sync_playwright() as playwright:
        arguments = [*ARGUMENTS, *(["--no-sandbox"] if root else [])]
        browser = playwright.chromium.launch(executable_path=binary, chromium_sandbox=not root, args=arguments)
        try:
            yield browser
        finally:
            browser.close()
