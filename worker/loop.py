"""An asyncio loop on a thread of its own, and the two ways in which other threads have something done on it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from typing import Any, TypeVar

from worker.errors import AdminError

ON_LOOP_LIMIT_S = 3.0
"""Celery's main loop waits this long at most for a command's quick work."""
END_S = 10.0
T = TypeVar("T")


class Loop:
    """``start`` once, ``end`` once; ``asyncio`` is the loop itself."""

    def __init__(self, name: str) -> None:
        self.asyncio = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.asyncio.run_forever, name=name, daemon=True)

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    def start(self) -> None:
        self._thread.start()

    def end(self) -> None:
        """What is still on it is left where it stands."""
        self.asyncio.call_soon_threadsafe(self.asyncio.stop)
        self._thread.join(END_S)
        if not self.alive:
            self.asyncio.close()

    def wait_for(self, work: Coroutine[Any, Any, T]) -> T:
        """Run it, from another thread, to its end, however long that takes."""
        return asyncio.run_coroutine_threadsafe(work, self.asyncio).result()

    def do(self, work: Callable[[], T]) -> T:
        """Run a quick function on the loop, from another thread; operators' commands go this way.

        Raises AdminError when the loop does not come to it in time; then it is not run later either.
        """
        done: Future[T] = Future()

        def call() -> None:
            if done.set_running_or_notify_cancel():
                try:
                    done.set_result(work())
                except BaseException as error:  # noqa: BLE001 (raised again in the thread that asked)
                    done.set_exception(error)

        self.asyncio.call_soon_threadsafe(call)
        try:
            return done.result(ON_LOOP_LIMIT_S)
        except TimeoutError:
            if not done.cancel():
                return done.result()
            raise AdminError("the worker is too busy to answer; nothing was done, try again") from None
