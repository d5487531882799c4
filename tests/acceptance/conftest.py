"""A whole arena of stand-ins, once for all acceptance tests that only look at it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes import ROOT, Stack, arena
from tests.redis_server import private_redis


@pytest.fixture(scope="package")
def echo_arena(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """On a Redis of its own: the shared one is emptied before each test, and counts its subscribers."""
    folder = Path(tmp_path_factory.mktemp("arena"))
    catalog = str(ROOT / "ops" / "catalogs" / "echo.toml")
    with private_redis(folder) as url, arena({"ARENA_REDIS_URL": url, "ARENA_CATALOG": catalog}, folder) as stack:
        yield stack
