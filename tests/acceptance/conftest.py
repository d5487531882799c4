"""A whole arena of stand-ins, once for all acceptance tests that only look at it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.processes import ROOT, Stack, arena


@pytest.fixture(scope="session")
def echo_arena(redis_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    env = {
        "ARENA_REDIS_URL": redis_url.replace("db=0", "db=1"),
        "ARENA_CATALOG": str(ROOT / "ops" / "catalogs" / "echo.toml"),
    }
    with arena(env, Path(tmp_path_factory.mktemp("arena"))) as stack:
        yield stack
