"""A contender that lives elsewhere: an OpenAI-compatible endpoint, asked over HTTP; it takes no memory here.

Built on httpx2 and not on the `openai` package: that one writes whole requests, prompts included, to its debug log and
adds headers from the environment.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Any

import httpx2

from worker.contract.catalog import ModelSpec, Remote
from worker.contract.jobs import Message, Sampling
from worker.engines import EngineOrder, Piece
from worker.engines.prompting import turns_of
from worker.engines.remote_answers import listed, pieces, refusal, wants_other_limit
from worker.errors import EngineDied, EngineRefused, LoadError
from worker.memory import Bytes, Tier

CONNECT_S = 10.0
LISTING_S = 20.0
"""Longest silence of the endpoint when it is asked for its models."""
SILENCE_S = 60.0
"""Longest wait for the next chunk, the first included."""
USAGE_S = 5.0
"""Longest wait for the token counts once the answer has ended."""

_NO_LISTING = (404, 405, 501)


class RemoteEngine:
    """An :class:`worker.engines.Engine` over somebody else's server.

    One lost connection makes it not :attr:`alive`, so that the pool unloads it and knocks again after its back-off. A
    request that the endpoint refuses while it answers (429, 5xx) fails alone.
    """

    def __init__(
        self,
        order: EngineOrder,
        env: Mapping[str, str] = os.environ,
        *,
        connect_s: float = CONNECT_S,
        silence_s: float = SILENCE_S,
        usage_s: float = USAGE_S,
    ) -> None:
        if order.spec.remote is None:
            raise LoadError(order.spec.id, "its catalog entry has no `remote` table")
        self.spec = order.spec
        self._remote: Remote = order.spec.remote
        self._env = env
        self._timeout = httpx2.Timeout(silence_s, connect=connect_s, pool=None)
        self._usage_s = usage_s
        self._client: httpx2.AsyncClient | None = None
        self._answers = False
        self._limit_name = "max_tokens"

    @property
    def alive(self) -> bool:
        return self._client is not None and self._answers

    # ── life ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def start(self) -> None:
        key = self._key()
        logging.getLogger("httpx2").setLevel(logging.WARNING)  # or every answer of every battle would be a line
        try:
            self._client = await asyncio.to_thread(  # it reads the machine's certificates, which takes a while
                httpx2.AsyncClient,
                base_url=self._remote.base_url,
                headers={"Authorization": f"Bearer {key}"} if key else {},
                timeout=self._timeout,
                limits=httpx2.Limits(max_connections=None, max_keepalive_connections=self.spec.max_num_seqs),
            )
        except (httpx2.InvalidURL, ValueError):
            why = f"{self._remote.base_url} (or a proxy the environment names) is no usable address; correct it"
            raise LoadError(self.spec.id, why) from None

    def _key(self) -> str:
        name = self._remote.api_key_env
        if name is None:
            return ""
        key = self._env.get(name, "").strip()
        if not key:
            raise LoadError(self.spec.id, f"{name} is not set; put the endpoint's key there and restart the worker")
        if not (key.isascii() and key.isprintable()):
            raise LoadError(self.spec.id, f"{name} holds characters that no key has; copy the key into it again")
        return key

    async def load(self) -> None:
        if self._client is None:
            raise LoadError(self.spec.id, "load() before start()")
        try:
            response = await self._client.get(
                "/models", timeout=httpx2.Timeout(LISTING_S, connect=self._timeout.connect)
            )
        except httpx2.HTTPError as error:
            why = f"{self._remote.base_url} cannot be reached: {_in_words(error)}; check base_url and the network"
            raise LoadError(self.spec.id, why) from None
        if response.status_code not in _NO_LISTING and (why := self._unlisted(response)):
            raise LoadError(self.spec.id, why)
        self._answers = True

    def _unlisted(self, response: httpx2.Response) -> str:
        """Why the answer to ``GET /models`` says that this model cannot be had; empty when it can."""
        remote, status = self._remote, response.status_code
        if status in (401, 403):
            fix = f"check the key in {remote.api_key_env}" if remote.api_key_env else "name its variable: api_key_env"
            return f"{remote.base_url} asks for another key ({status}); {fix}"
        if status != 200:
            return f"{remote.base_url}/models answered {status}; check base_url"
        names = listed(response.content)
        if names is None:
            return f"{remote.base_url}/models lists no models as OpenAI does; check base_url, many end in /v1"
        if remote.model in names:
            return ""
        some = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
        return f"{remote.base_url} has no {remote.model!r}; set remote.model to one it has: {some or 'none now'}"

    async def sleep(self, tier: Tier) -> None:
        """Nothing is held, so nothing can be given back."""

    async def wake(self, tier: Tier) -> None:
        """Nothing was given back."""

    async def verify(self) -> None:
        """Nothing here could have been damaged meanwhile."""

    def held(self) -> Bytes | None:
        return None

    async def unload(self) -> None:
        client, self._client = self._client, None
        self._answers = False
        if client is not None:
            await client.aclose()

    # ── answers ──────────────────────────────────────────────────────────────────────────────────────────────────

    async def generate(
        self, request_id: str, messages: Sequence[Message], sampling: Sampling, contender: ModelSpec | None = None
    ) -> AsyncGenerator[Piece, None]:
        spec = contender or self.spec
        request = {"messages": turns_of(spec, messages), **_sampling(spec, sampling)}
        limit = min(sampling.max_tokens or spec.max_tokens, spec.max_tokens)
        try:
            async with (
                aclosing(await self._post(request, limit)) as response,  # closing it tells the endpoint to stop
                aclosing(self._events(response)) as events,
                aclosing(pieces(spec.id, spec.max_model_len, events, self._usage_s)) as answer,
            ):
                async for piece in answer:
                    yield piece
        except EngineDied:
            self._answers = False
            raise

    async def _post(self, request: dict[str, Any], limit: int) -> httpx2.Response:
        """The endpoint's answer, beginning to stream. Raises what :func:`refusal` makes of any other."""
        if self._client is None:
            raise EngineDied(self.spec.id, "it is not loaded")
        name = self._limit_name
        head = {"model": self._remote.model, "stream": True, "stream_options": {"include_usage": True}, name: limit}
        sent = self._client.build_request("POST", "/chat/completions", json={**head, **request})
        try:
            response = await self._client.send(sent, stream=True)
            if response.status_code == 200:
                return response
            async with aclosing(response):
                content = await response.aread()
        except httpx2.HTTPError as error:
            raise EngineDied(self.spec.id, f"its endpoint was lost: {_in_words(error)}") from None
        if name == "max_tokens" and wants_other_limit(response.status_code, content):
            self._limit_name = "max_completion_tokens"
            return await self._post(request, limit)
        raise refusal(self.spec.id, self.spec.max_model_len, response.status_code, content)

    async def _events(self, response: httpx2.Response) -> AsyncGenerator[str, None]:
        try:
            async for event in httpx2.EventSource(response):
                yield event.data
        except httpx2.SSEError:
            raise EngineRefused(self.spec.id, "its endpoint answered with something that is no stream") from None
        except httpx2.HTTPError as error:
            raise EngineDied(self.spec.id, f"its endpoint was lost: {_in_words(error)}") from None


def _sampling(spec: ModelSpec, asked: Sampling) -> dict[str, Any]:
    """What OpenAI's API knows, and more only where the entry asks for it: strict endpoints refuse the unknown."""
    own = spec.sampling
    options: dict[str, Any] = {
        "temperature": own.temperature if asked.temperature is None else asked.temperature,
        "top_p": own.top_p if asked.top_p is None else asked.top_p,
    }
    if own.min_p:
        options["min_p"] = own.min_p
    if own.repetition_penalty != 1.0:
        options["repetition_penalty"] = own.repetition_penalty
    if asked.seed is not None:
        options["seed"] = asked.seed
    if stop := [*spec.stop, *asked.stop]:
        options["stop"] = stop
    return options


def _in_words(error: httpx2.HTTPError) -> str:
    """Of a failed connection, without anything that was sent over it."""
    if isinstance(error, httpx2.ConnectTimeout):
        return "no connection in time"
    if isinstance(error, httpx2.TimeoutException):
        return "it was silent for too long"
    if isinstance(error, httpx2.ConnectError):
        return str(error) or "no connection"
    return type(error).__name__
