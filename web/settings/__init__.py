"""The web side's environment, read once into a frozen object when a process starts.

The records worker reads the same object: both halves of the web side must agree about the database and the broker.
"""

from __future__ import annotations

import contextlib
import functools
import hmac
import os
import secrets
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import NoDecode, SettingsConfigDict

from web.settings.batches import BatchSettings
from web.settings.conversation import ConversationSettings
from web.settings.integrity import IntegritySettings
from web.settings.limits import LimitSettings
from web.settings.openai import OpenaiSettings
from web.settings.operating import OperatingSettings
from web.settings.privacy import PrivacySettings
from web.settings.ratings import RatingSettings
from web.settings.sampling import SamplingSettings

PRIVATE_PORT = 8000
"""Where the arena's own machines ask it, in production."""


class WebSettings(
    BatchSettings,
    ConversationSettings,
    IntegritySettings,
    LimitSettings,
    OpenaiSettings,
    OperatingSettings,
    PrivacySettings,
    RatingSettings,
    SamplingSettings,
):
    """Every variable is prefixed ``ARENA_``; seconds unless the name says otherwise."""

    model_config = SettingsConfigDict(env_prefix="ARENA_", frozen=True, extra="ignore", env_ignore_empty=True)

    redis_url: str = "redis://127.0.0.1:6379/0"
    database_url: str | None = None
    """SQLAlchemy URL; default: ``arena.sqlite3`` in ``data_dir``."""
    catalog: Path = Path("ops/catalogs/cpu.toml")
    data_dir: Path = Path("data")

    secret_key: SecretStr | None = None
    """Signs session cookies. Default: the content of ``secret_key_file``, which is made when it does not exist."""
    secret_key_file: Path | None = None
    admin_key: SecretStr | None = None
    private_port: int | None = Field(default=None, ge=0, le=65535)
    """Requests that arrive on this port may see which models are loaded; never route it to the public.
    0: there is none; default: 8000 in ``production``, else none."""
    private_host: str = "127.0.0.1"
    """Where gunicorn listens on ``private_port``, unless ``ARENA_BIND`` names an address with that port."""
    origins: Annotated[tuple[str, ...], NoDecode] = ()
    """Origins other than our own host that may write and open sockets, such as ``https://arena.example``."""

    prompt_max_chars: int = Field(default=8000, ge=1)
    max_tokens: int | None = Field(default=None, ge=1)
    """Longest answer of each side; default: what the catalog says of the model."""
    deadline_s: float = Field(default=900.0, gt=0)
    """An answer that has not begun this long after the prompt is of no use to anybody."""
    min_votes: int = Field(default=30, ge=1)
    """A model with fewer counted votes is shown as preliminary."""
    max_sockets: int = Field(default=10_000, ge=1)
    """Websockets and event streams that one process holds at a time."""
    max_sockets_per_session: int = Field(default=32, ge=1)
    max_sockets_per_address: int = Field(default=512, ge=1)
    """Of one process too. An IPv6 visitor is a whole /64; many people may share one IPv4 address."""
    trusted_proxies: Annotated[tuple[IPv4Network | IPv6Network, ...], NoDecode] = ()
    """Networks of our own proxies, such as ``127.0.0.1/32``: only they are believed about whom they ask for."""

    @field_validator("origins", mode="before")
    @classmethod
    def _comma_separated(cls, value: object) -> object:
        return tuple(o.strip().rstrip("/") for o in value.split(",") if o.strip()) if isinstance(value, str) else value

    @field_validator("trusted_proxies", mode="before")
    @classmethod
    def _networks(cls, value: object) -> object:
        return tuple(n.strip() for n in value.split(",") if n.strip()) if isinstance(value, str) else value

    @model_validator(mode="after")
    def _texts_are_kept_nowhere(self) -> Self:
        if self.store_text == "never" and self.v1_cache_s:
            raise ValueError("ARENA_V1_CACHE_S keeps answers, and ARENA_STORE_TEXT=never keeps none; unset one of them")
        return self

    @property
    def database(self) -> str:
        """The database's URL; PostgreSQL always through psycopg 3."""
        if self.database_url is None:
            return f"sqlite:///{self.data_dir.absolute() / 'arena.sqlite3'}"
        for scheme in ("postgres://", "postgresql://"):
            if self.database_url.startswith(scheme):
                return "postgresql+psycopg://" + self.database_url.removeprefix(scheme)
        return self.database_url

    @property
    def private_listener(self) -> int | None:
        """The port that ``private_port`` stands for."""
        if self.private_port is None:
            return PRIVATE_PORT if self.production else None
        return self.private_port or None

    def signing_key(self) -> str:
        """The key that signs cookies; made and kept on first use, so that sessions outlive a restart."""
        if self.secret_key is not None:
            return self.secret_key.get_secret_value()
        return _kept_key(self.secret_key_file or self.data_dir / "secret_key")

    def export_salting(self) -> bytes:
        """The key of the ids in exports."""
        if self.export_salt is not None:
            return self.export_salt.get_secret_value().encode()
        return hmac.digest(self.signing_key().encode(), b"export", "sha256")

    @classmethod
    def from_env(cls) -> WebSettings:
        """Raises pydantic.ValidationError naming the variable and the reason."""
        return cls()


@functools.cache  # asked for with every prompt
def _kept_key(file: Path) -> str:
    """Several processes may start at once: whoever creates the file first decides."""
    with contextlib.suppress(FileNotFoundError):
        return file.read_text().strip()
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(f".{file.name}.{os.getpid()}.{secrets.token_hex(4)}")
    draft.touch(mode=0o600)
    try:
        draft.write_text(secrets.token_urlsafe(48))
        with contextlib.suppress(FileExistsError):
            file.hardlink_to(draft)
        return file.read_text().strip()
    finally:
        draft.unlink()
