"""How often anybody may do what: flask-limiter over sliding windows in Redis, and the headers that tell of it.

The limits are settings (``web.settings.limits``); a key may have numbers of its own by the same names. Replies carry
the ``RateLimit-*`` fields of draft-ietf-httpapi-ratelimit-headers-06 for whichever limit is nearest. Which battles are
open is counted by the database instead, in the transaction that opens one: see :mod:`web.limits.open_battles`.
"""

from __future__ import annotations

import math
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from flask import Flask, Response, g, request
from flask_limiter import Limit, Limiter, RequestLimit
from limits import RateLimitItemPerSecond

from web.errors import RateLimited
from web.limits.rules import RULES, Rule, applying
from web.limits.windows import SCHEME, Wanted, Window, Windows, connect

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
        request_identifier=lambda: request.endpoint or "nowhere",  # or nobody who guesses addresses is refused
    )
    limiter.request_filter(_has_room)
    app.before_request(partial(_count, limiter))
    limiter.init_app(app)
    app.after_request(_tell)


def _count(limiter: Limiter) -> None:
    """Count the request for all its limits at once; where one has no room, flask-limiter finds out which refuses it."""
    g.limits = applying()
    wanted = [_wanted(*found) for found in g.limits.values()]
    g.limits_taken = cast(Windows, limiter.storage).take(wanted) if wanted else {}


def _has_room() -> bool:
    """Nothing refuses: then flask-limiter need not look at every limit once more."""
    return all(fits for fits, _ in g.limits_taken.values())


def _wanted(rule: Rule, most: int, whose: str) -> Wanted:
    """Counted under the key that flask-limiter will ask for."""
    return Wanted(RateLimitItemPerSecond(most, rule.seconds).key_for(whose, rule.name), most, rule.seconds)


def _limit(rule: Rule) -> Limit:
    return Limit(
        limit_provider=partial(_spelt, rule),
        key_function=lambda: cast(str, g.limits[rule.name][2]),
        scope=rule.name,
        shared=True,
    )


def _spelt(rule: Rule) -> str:
    """The limit as flask-limiter reads it; empty: none for this request."""
    return f"{g.limits[rule.name][1]}/{rule.seconds} seconds" if rule.name in g.limits else ""


def _refuse(met: RequestLimit) -> None:
    name = met.request_args[-1]
    wait_s = g.limits_taken[met.key][1].wait_s()
    raise RateLimited(
        f"At most {met.limit.amount} {_TEXTS[name]}. Try again in {max(1, math.ceil(wait_s))} s.",
        retry_after_s=math.ceil(wait_s),
        limit=name,
    )


def _tell(response: Response) -> Response:
    windows: list[Window] = [window for _, window in g.get("limits_taken", {}).values()]
    if windows:
        nearest = min(windows, key=lambda w: w.remaining / w.most)
        response.headers["RateLimit-Limit"] = str(nearest.most)
        response.headers["RateLimit-Remaining"] = str(nearest.remaining)
        response.headers["RateLimit-Reset"] = str(math.ceil(nearest.reset_s()))
        response.headers["RateLimit-Policy"] = ", ".join(f"{w.most};w={w.seconds}" for w in windows)
    return response
