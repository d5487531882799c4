"""The worker's environment, read once into a frozen object when the worker starts."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AliasChoices, BeforeValidator, Field, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from worker.contract.logs import Level
from worker.errors import SettingsError


def default_models_dir() -> Path:
    """Where converted models live unless told otherwise; shared by all checkouts of a user."""
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(cache).expanduser() / "llm-arena" / "models"


class WorkerSettings(BaseSettings):
    """Every variable is prefixed ``ARENA_``; seconds unless the name says otherwise."""

    model_config = SettingsConfigDict(env_prefix="ARENA_", frozen=True, extra="ignore")

    redis_url: str = "redis://127.0.0.1:6379/0"
    catalog: Path = Path("ops/catalogs/cpu.toml")
    models_dir: Path = Field(default_factory=default_models_dir)
    models_mirror: str = ""
    """Folder or http(s) address that ``python -m worker.models fetch`` takes models from, made by ``mirror``; default:
    the catalog's sources."""
    models_budget: str = ""
    """What the models directory may take of its disk, such as ``60GB``; default: what is free."""

    max_resident: int = Field(default=2, ge=1)
    """Engines in memory at once. Two, so that a pair fits; with one, a battle's sides are answered in turn."""
    preload: Annotated[tuple[str, ...] | None, NoDecode] = None
    """Comma-separated model ids to load before the worker accepts battles; default: the catalog's first that
    fit, or of these what other workers have too little of."""
    queue_bound: int = Field(default=100, ge=1)
    """Battles waiting for engines beyond which web refuses new ones."""
    max_wait_s: float = Field(default=120.0, gt=0)
    """A waiter older than this stops new leases on the engines in its way."""
    drain_limit_s: float = Field(default=60.0, gt=0)
    """How long an engine that must go waits for the battles it serves; after that they are ended."""
    idle_ttl_s: float = Field(default=0.0, ge=0)
    """An engine nobody used for this long gives its memory back; 0: never."""
    gpu_memory: str = ""
    """Device memory the engines may take together, such as ``15GiB``; default: what the device has."""
    host_memory: str = ""
    """Host memory the engines may take together; default: what the machine had available when the worker started."""
    sleep: Literal["auto", "off", "on"] = "auto"
    """Whether an evicted engine may sleep instead of ending. ``auto``: on a GPU; on a CPU sleep frees nothing."""
    gpu: str = ""
    """Which GPU of several this worker is for, as ``nvidia-smi`` counts them; several, with commas, for one engine over
    all of them. Default: every GPU there is. Workers of one host share its memory in equal parts."""
    metrics_address: str = ""
    """``host:port`` where the worker's ``/metrics`` answers; default: nowhere. With ``ARENA_GPU`` the GPU's number is
    added to the port, so that the workers of one host can have the same settings."""
    log_format: Literal["text", "json"] = "text"
    """How lines of the log look: ``json`` for collectors, one object a line."""
    log_level: Annotated[Level, BeforeValidator(str.upper)] = "INFO"
    """What the arena's own modules say; other people's are never heard below INFO, for they would show prompts."""
    otel_endpoint: str = Field(
        default="",
        validation_alias=AliasChoices("otel_endpoint", "ARENA_OTEL_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"),
    )
    """OTLP/HTTP collector for traces, such as ``http://127.0.0.1:4318``; needs the extra ``otel``. Default: none."""
    fail_backoff_s: float = Field(default=30.0, gt=0)
    """An engine that could not load is not tried again for this long, doubling each time."""
    patience_s: float = Field(default=20.0, ge=0)
    """A battle waits for an engine that failed if the next try is at most so far off; else it is refused at once."""
    load_timeout_s: float = Field(default=900.0, gt=0)

    pace: bool = True
    pace_cap_s: float = Field(default=15.0, ge=0)
    """Longest time one side's text is held back for the other's."""
    pace_tail_s: float = Field(default=6.0, ge=0)
    """Longest time the rest of a side's finished answer may take to be shown."""
    flush_ms: int = Field(default=40, ge=5)

    max_attempts: int = Field(default=5, ge=1)
    drain_s: float = Field(default=5.0, ge=0)
    """How long running battles may go on after SIGTERM before they are handed back to the queue."""
    visibility_timeout_s: int = Field(default=900, ge=60)

    @field_validator("preload", mode="before")
    @classmethod
    def _comma_separated(cls, value: object) -> object:
        return tuple(p.strip() for p in value.split(",") if p.strip()) if isinstance(value, str) else value

    @field_validator("gpu")
    @classmethod
    def _devices(cls, value: str) -> str:
        wanted = [part.strip() for part in value.split(",") if part.strip()]
        if any(not re.fullmatch(r"\d{1,3}|GPU-[\w-]+", part) for part in wanted):
            raise ValueError("write the GPU's number, such as 0, or its name from nvidia-smi -L")
        return ",".join(wanted)

    @property
    def metrics_at(self) -> str:
        """``metrics_address``, moved on by the GPU's number."""
        host, _, port = self.metrics_address.rpartition(":")
        first = self.gpu.partition(",")[0]
        if not (first.isdigit() and port.isdigit()):
            return self.metrics_address
        return f"{host}:{int(port) + int(first)}"

    @classmethod
    def from_env(cls) -> WorkerSettings:
        """Raises SettingsError naming each variable and the reason, on one line."""
        try:
            return cls()
        except ValidationError as error:
            problems = (f"ARENA_{'_'.join(map(str, e['loc'])).upper()}: {e['msg']}" for e in error.errors())
            raise SettingsError("; ".join(problems)) from None
