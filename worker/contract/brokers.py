"""One Redis address for everybody: redis-py and Celery spell unix sockets differently."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit


def broker_url(redis_url: str) -> str:
    """Celery's form of a redis-py URL: ``unix:///p?db=1`` becomes ``redis+socket:///p?virtual_host=1``."""
    parts = urlsplit(redis_url)
    if parts.scheme != "unix":
        return redis_url
    db = parse_qs(parts.query).get("db", ["0"])[0]
    secret = f"{parts.username or ''}:{parts.password}@" if parts.password else ""
    return f"redis+socket://{secret}{parts.path}?virtual_host={db}"
