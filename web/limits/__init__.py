"""How often anybody may do what: flask-limiter over sliding windows in Redis, and the headers that tell of it.

The limits are settings (``web.settings.limits``); a key may have numbers of its own by the same names. Replies carry
the ``RateLimit-*`` fields of draft-ietf-httpapi-ratelimit-headers-06 for whichever limit is nearest. Which battles are
open is counted by the database instead, in the transaction that opens one: see :mod:`web.limits.open_battles`.
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any

from flask import Flask, Response, g
from flask_limiter import Limit, Limiter, RequestLimit

from web.errors import RateLimited
from web.limits.rules import RULES, Rule, amount, bucket, counts
from web.limits.windows import SCHEME, Window, connect

if TYPE_CHECKING:
    from web.settings import WebSettings

_TEXTS = {rule.name: rule.text for rule in RULES}


def init_app(app: Flask, settings: WebSettings) -> None:
    """Register the counting before and the headers after every request. Connects to nothing."""
    if settings.limits == "off":
        return
    options: Any = {
        "connection_pool": connect(settings.redis_url),
        "closed": int(settings.limits_without_redis == "closed"),
    }
    limiter = Limiter(
        lambda: "",
        default_limits=[_limit(rule) for rule in RULES],
        strategy="sliding-window-counter",
        storage_uri=f"{SCHEME}://",
        storage_options=options,
        on_breach=_refuse,
        headers_enabled=False,
    )
    limiter.init_app(app)
    app.after_request(_tell)


def _limit(rule: Rule) -> Limit:
    return Limit(
        limit_provider=partial(_spelt, rule),
        key_function=partial(bucket, rule),
        scope=rule.name,
        shared=True,
    )


def _spelt(rule: Rule) -> str:
    """The limit as flask-limiter reads it; empty: none for this request."""
    most = amount(rule.name) if counts(rule) else 0
    return f"{most}/{rule.seconds} seconds" if most else ""


def _refuse(met: RequestLimit) -> None:
    name = met.request_args[-1]
    window: Window | None = g.limit_windows.get(met.key)
    wait_s = window.wait_s() if window else 1.0
    raise RateLimited(
        f"At most {met.limit.amount} {_TEXTS[name]}. Try again in {max(1, math.ceil(wait_s))} s.",
        retry_after_s=math.ceil(wait_s),
        limit=name,
    )


def _tell(response: Response) -> Response:
    windows: list[Window] = list(g.get("limit_windows", {}).values())
    if windows:
        nearest = min(windows, key=lambda w: w.remaining / w.most)
        response.headers["RateLimit-Limit"] = str(nearest.most)
        response.headers["RateLimit-Remaining"] = str(nearest.remaining)
        response.headers["RateLimit-Reset"] = str(math.ceil(nearest.reset_s()))
        response.headers["RateLimit-Policy"] = ", ".join(f"{w.most};w={w.seconds}" for w in windows)
    return response
