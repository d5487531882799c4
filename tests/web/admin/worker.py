"""A worker as the command channel knows one: it takes requests, and answers what it was told to."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import redis
import redis.asyncio

from tests.web import helpers
from worker.contract import commands
from worker.contract.commands import Answer, Request


class Stub:
    """``asked``: the requests it took. ``answers``: by command's name, a body or a function of the request."""

    def __init__(self, client: redis.Redis, name: str, answers: dict[str, Any]) -> None:
        self.name = name
        self.asked: list[Request] = []
        self._answers = answers
        self._stopped = threading.Event()
        helpers.report_worker(client, name)
        kwargs = client.connection_pool.connection_kwargs
        self._make: Callable[[], Any] = lambda: redis.asyncio.Redis(
            unix_socket_path=kwargs.get("path"), host=kwargs.get("host", ""), port=kwargs.get("port", 0)
        )
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stopped.set()
        self._thread.join(10)
        assert not self._thread.is_alive()

    async def _serve(self) -> None:
        client = self._make()
        while not self._stopped.is_set():
            taken = await commands.take(client, self.name, 0.1)
            if taken is None:
                continue
            made, request = taken
            self.asked.append(request)
            told = self._answers.get(commands.name_of(request.command))
            body = told(request) if callable(told) else told
            if body is not None:
                await commands.answer(client, made, Answer(self.name, body))
        await client.aclose()
