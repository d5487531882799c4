"""What is fine on a laptop and wrong in public, refused at the start where ``ARENA_PRODUCTION=1`` says which it is.

Also the one way in which a web process says that its settings are no good: one line that names what to change, under
gunicorn as well as under ``flask --app web ...``.
"""

from __future__ import annotations

from collections.abc import Iterator

from click import ClickException
from pydantic import ValidationError

from web.settings import WebSettings

SHORTEST_SECRET = 32
"""Characters; what ``python -c "import secrets; print(secrets.token_urlsafe(48))"`` prints has 64."""
_MAKE_ONE = 'python -c "import secrets; print(secrets.token_urlsafe(48))"'


class Misconfigured(ClickException):
    """The settings are no good; the message is one line with what to change. Flask's command line shows it as it is."""


def load() -> WebSettings:
    """The environment's settings. Raises Misconfigured."""
    try:
        return WebSettings.from_env()
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        name = "".join(f"ARENA_{part}" for part in first["loc"][:1]).upper()
        what = first["msg"].removeprefix("Value error, ")
        raise Misconfigured(f"{name}: {what}" if name else what) from None


def check(settings: WebSettings) -> None:
    """Raises Misconfigured for the first thing that must not be in public; says nothing outside production."""
    if settings.production:
        for what in _wrong(settings):
            raise Misconfigured(f"ARENA_PRODUCTION: {what}")


def _wrong(settings: WebSettings) -> Iterator[str]:
    yield from _wrong_secret(settings)
    key = settings.admin_key
    if key is not None and len(key.get_secret_value()) < SHORTEST_SECRET:
        yield f"ARENA_ADMIN_KEY is shorter than {SHORTEST_SECRET} characters; make one: {_MAKE_ONE}"
    plain = [o for o in settings.origins if not o.startswith("https://")]
    if plain:
        yield f"ARENA_ORIGINS names {plain[0]}, where pages could be changed on their way; use https://"
    if not settings.hosts:
        yield "ARENA_HOSTS is not set; name the hosts people use, such as ARENA_HOSTS=arena.example"
    if not settings.trusted_proxies:
        yield "ARENA_TRUSTED_PROXIES is not set; name the network of the proxy that ends TLS, such as 127.0.0.1/32"
    if settings.limits == "off":
        yield "ARENA_LIMITS=off lets anybody take everything; remove it"


def _wrong_secret(settings: WebSettings) -> Iterator[str]:
    if settings.secret_key is not None:
        secret, name = settings.secret_key.get_secret_value(), "ARENA_SECRET_KEY"
    elif settings.secret_key_file is not None:
        name = "ARENA_SECRET_KEY_FILE"
        try:
            secret = settings.secret_key_file.read_text().strip()
        except OSError as error:
            yield f"{name} cannot be read: {error.strerror}"
            return
    else:
        yield f"ARENA_SECRET_KEY_FILE is not set; make a key and name its file: {_MAKE_ONE}"
        return
    if len(secret) < SHORTEST_SECRET or len(set(secret)) < SHORTEST_SECRET // 4:
        yield f"the key in {name} is shorter than {SHORTEST_SECRET} characters or too plain; make one: {_MAKE_ONE}"
