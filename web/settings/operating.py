"""How the web side is run and watched."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AliasChoices, BeforeValidator, Field
from pydantic_settings import BaseSettings

from worker.contract.logs import Level


class OperatingSettings(BaseSettings):
    """Part of :class:`web.settings.WebSettings`; every variable is prefixed ``ARENA_``."""

    log_format: Literal["text", "json"] = "text"
    """How lines of the log look: ``json`` for collectors, one object a line."""
    log_level: Annotated[Level, BeforeValidator(str.upper)] = "INFO"
    """What the arena's own modules say; other people's are never heard below INFO, for they would show prompts."""
    records_metrics_address: str = ""
    """``host:port`` where the records worker's ``/metrics`` answers; default: nowhere."""
    otel_endpoint: str = Field(
        default="",
        validation_alias=AliasChoices("otel_endpoint", "ARENA_OTEL_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"),
    )
    """OTLP/HTTP collector for traces, such as ``http://127.0.0.1:4318``; needs the extra ``otel``. Default: none."""
