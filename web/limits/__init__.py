"""How often anybody may do what: flask-limiter over sliding windows in Redis, and the headers that tell of it.

The limits are settings (``web.settings.limits``); a key may have numbers of its own by the same names. Replies carry
the ``RateLimit-*`` fields of draft-ietf-httpapi-ratelimit-headers-06 for whichever limit is nearest. Which battles are
open is counted by the database instead, in the transaction that opens one: see :mod:`web.limits.open_battles`.
"""

from __future__ import annotations

import math
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from flask import Flask, Response, current_app, g, request
from flask_limiter import Limit, Limiter, RequestLimit
from limits import RateLimitItemPerSecond

from web.errors import BatchTooLarge, RateLimited
from web.limits.rules import RULES, Rule, amount, applying, asker, bucket
from web.limits.windows import SCHEME, Wanted, Window, Windows, connect

if TYPE_CHECKING:
    from web.settings import WebSettings

_WINDOWS = "arena_windows"
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
    app.extensions[_WINDOWS] = limiter.storage
    app.after_request(_tell)


def _count(limiter: Limiter) -> None:
    """Count the request for all its limits at once; where one has no room, flask-limiter finds out which refuses it."""
    g.limits = applying()
    wanted = [_wanted(*found) for found in g.limits.values()]
    g.limits_taken = cast(Windows, limiter.storage).take(wanted) if wanted else {}


def spend_prompts(count: int) -> None:
    """Count ``count`` prompts that one request brings against its asker's day: all of them or, refusing, none.

    Raises BatchTooLarge for more than a day may ever have, RateLimited, and StorageUnavailable while Redis is away.
    """
    name, windows = "prompts_per_day", cast(Windows | None, current_app.extensions.get(_WINDOWS))
    rule, most = next(r for r in RULES if r.name == name), amount(name)
    if windows is None or not most:
        return
    if count > most:
        raise BatchTooLarge(f"{count} prompts; at most {most} a day.", limit=most, length=count)
    wanted = replace(_wanted(rule, most, bucket(rule, asker())), amount=count)
    taken = windows.take([wanted])
    g.limits_taken.update(taken)
    for fits, window in taken.values():
        if not fits:
            raise _refusal(name, most, window.wait_s(count))


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
    raise _refusal(name, met.limit.amount, wait_s)


def _refusal(name: str, most: int, wait_s: float) -> RateLimited:
    again_s = max(1, math.ceil(wait_s))
    return RateLimited(f"At most {most} {_TEXTS[name]}. Try again in {again_s} s.", retry_after_s=again_s, limit=name)


def _tell(response: Response) -> Response:
    windows: list[Window] = [window for _, window in g.get("limits_taken", {}).values()]
    if windows:
        nearest = min(windows, key=lambda w: w.remaining / w.most)
        response.headers["RateLimit-Limit"] = str(nearest.most)
        response.headers["RateLimit-Remaining"] = str(nearest.remaining)
        response.headers["RateLimit-Reset"] = str(math.ceil(nearest.reset_s()))
        response.headers["RateLimit-Policy"] = ", ".join(f"{w.most};w={w.seconds}" for w in windows)
    return response
