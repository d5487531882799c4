"""One arena for all faults: each test finds it as the one before left it, which is part of the test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ops.bench.chaos.stack import Stack, running
from ops.setup import postgres


@pytest.fixture(scope="module")
def chaos_arena(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running(Path(tmp_path_factory.mktemp("chaos"))) as arena:
        yield arena


@pytest.fixture(scope="module")
def postgres_arena(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with postgres.private_server() as server:
        if server is None:
            pytest.skip("PostgreSQL is not installed")
        with running(Path(tmp_path_factory.mktemp("chaos")), server) as arena:
            yield arena
