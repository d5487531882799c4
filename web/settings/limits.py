"""How often anybody may do what, what stands before a first battle, and what a public arena must be told.

Every number of a limit may be 0: that limit is off.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode

KEYS_MAY_OVERRIDE = ("prompts_per_minute", "prompts_per_day", "votes_per_day", "requests_per_minute", "open_battles")
"""Names a key's own ``limits`` may have; the value takes the place of the setting."""


class LimitSettings(BaseSettings):
    """Part of :class:`web.settings.WebSettings`; every variable is prefixed ``ARENA_``."""

    limits: Literal["on", "off"] = "on"
    """``off``: none of the limits below, for benches and private arenas; bounds on sizes and slowness stay."""
    limits_without_redis: Literal["open", "closed"] = "open"
    """While Redis is away nothing can be counted: let everything through, or refuse all that would be counted (503)."""
    prompts_per_minute: int = Field(default=60, ge=0)
    """Battles, turns, retries and chat completions of one session or key."""
    prompts_per_day: int = Field(default=2000, ge=0)
    """The same, and the prompts of batches, all of a batch when it is handed in."""
    prompts_per_minute_per_address: int = Field(default=120, ge=0)
    """Of all sessions behind one address; an IPv6 visitor is a whole /64. Keys are counted by themselves only."""
    prompts_per_day_per_address: int = Field(default=6000, ge=0)
    votes_per_day: int = Field(default=1000, ge=0)
    votes_per_day_per_address: int = Field(default=5000, ge=0)
    requests_per_minute: int = Field(default=600, ge=0)
    """Of one address, or of one key, of any kind; static files, sockets, ``/health`` and ``/ready`` are not counted."""
    open_battles: int = Field(default=10, ge=0)
    """Battles of one session or key that wait or are being answered at the same time."""

    challenge: str = "off"
    """What stands before a session's first battle: ``off``, ``proof_of_work``, or ``package.module:factory``."""
    challenge_difficulty: int = Field(default=17, ge=1, le=32)
    """Leading zero bits of a proof; a browser tries 2 to this power on average. 17 takes a laptop half a second."""
    challenge_ttl_s: int = Field(default=300, ge=10)

    body_timeout_s: float = Field(default=20.0, gt=0)
    """A request's body must have arrived by then, plus a second for every 20 kB it announces."""

    hosts: Annotated[tuple[str, ...], NoDecode] = ()
    """Names (``Host``, with the port unless it is the scheme's own) this arena answers to; none named: to any."""
    production: bool = False
    """Refuse to start with what is fine on a laptop and wrong in public; see ``web.production``."""
    admin_key_file: Path | None = None
    """Where ``ARENA_ADMIN_KEY`` is, when it is not in the environment itself."""

    @field_validator("hosts", mode="before")
    @classmethod
    def _host_names(cls, value: object) -> object:
        return tuple(h.strip().lower() for h in value.split(",") if h.strip()) if isinstance(value, str) else value

    @model_validator(mode="before")
    @classmethod
    def _admin_key_from_file(cls, given: Any) -> Any:
        if not isinstance(given, dict) or given.get("admin_key") or not given.get("admin_key_file"):
            return given
        try:
            return {**given, "admin_key": Path(given["admin_key_file"]).read_text().strip()}
        except OSError as error:
            raise ValueError(f"ARENA_ADMIN_KEY_FILE cannot be read: {error.strerror}") from None
