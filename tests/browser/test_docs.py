"""The API's documentation in a real browser: under the strict policy, at both widths, in both colours."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from playwright.sync_api import Page
from pydantic import SecretStr
from werkzeug.serving import make_server

from ops import assets
from tests.browser.axe import violations
from web import create_app
from web.settings import WebSettings


@pytest.fixture
def address(redis_client: redis.Redis, redis_url: str, tmp_path: Path, repo_root: Path) -> Iterator[str]:
    """Of a web process without workers: documentation needs none."""
    assets.build()
    settings = WebSettings(
        redis_url=redis_url,
        data_dir=tmp_path,
        catalog=repo_root / "ops/catalogs/echo.toml",
        secret_key=SecretStr("for tests only"),
    )
    app = create_app(settings)
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.port}"
    server.shutdown()
    thread.join()
    server.server_close()
    app.extensions["arena_live"].hub.stop()
    app.extensions["arena"].redis.connection_pool.disconnect()


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
def test_it_is_readable_by_everybody(page: Page, address: str, scheme: Any, width: int) -> None:
    """In every other view too: `test_access`, where it takes long."""
    page.set_viewport_size({"width": width, "height": 860})
    page.emulate_media(color_scheme=scheme)
    page.goto(address + "/docs")
    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_link_of_the_contents_leads_to_its_endpoint(
    page: Page, address: str, requested: Callable[[], list[str]]
) -> None:
    page.goto(address + "/docs")
    page.get_by_role("navigation", name="Endpoints").get_by_role("link", name="POST /api/batches", exact=True).click()
    page.wait_for_function("Math.abs(document.getElementById('post-batches-create').getBoundingClientRect().top) < 100")
    assert all(url.startswith(address) for url in requested())
