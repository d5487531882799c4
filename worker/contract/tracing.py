"""Traces of one prompt through web, queue, worker and records, for who installs ``llm-arena[otel]``.

Off, and without cost, unless :func:`install` was given an endpoint. The context travels in the headers of Celery's
messages as W3C ``traceparent``. Spans hold ids, routes and the kind of an error; never a text, a statement of SQL or an
exception's message.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any, Literal

log = logging.getLogger(__name__)

Kind = Literal["INTERNAL", "SERVER", "PRODUCER", "CONSUMER"]
_HEADERS = ("traceparent", "tracestate")
_tracer: Any = None
_provider: Any = None


class TracingMissingError(RuntimeError):
    """Traces are asked for and what makes them is not installed."""


def install(service: str, endpoint: str) -> bool:
    """Send this process's spans to an OTLP/HTTP collector, ``http://host:4318``; False when ``endpoint`` is empty.

    To be called after forking: spans are sent by a thread. Raises TracingMissingError.
    """
    if not endpoint:
        return False
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError:
        fix = "pip install 'llm-arena[otel]'"
        raise TracingMissingError(f"ARENA_OTEL_ENDPOINT is set and the extra is missing: {fix}") from None
    global _tracer, _provider
    close()
    _provider = TracerProvider(resource=Resource.create({"service.name": service}))
    exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces")
    _provider.add_span_processor(BatchSpanProcessor(exporter, schedule_delay_millis=1000))
    _tracer = _provider.get_tracer("llm-arena")
    return True


def close() -> None:
    """Send what is left and stop."""
    global _tracer, _provider
    provider, _provider, _tracer = _provider, None, None
    if provider is not None:
        with contextlib.suppress(Exception):
            provider.shutdown()


@contextlib.contextmanager
def span(
    name: str, kind: Kind = "INTERNAL", headers: Mapping[str, Any] | None = None, **facts: str | int
) -> Iterator[Any]:
    """A span for the time of a block; within another one, or under the one whose ``headers`` are given.

    Yields something with ``set_attribute``, or None when traces are off. ``facts`` are attributes: ids and words of
    closed sets only.
    """
    if _tracer is None:
        yield None
        return
    from opentelemetry import context as contexts
    from opentelemetry import trace

    under = None if headers is None else _extracted(headers)
    made = _tracer.start_span(name, context=under, kind=trace.SpanKind[kind], attributes=_attributes(facts))
    token = contexts.attach(trace.set_span_in_context(made, under))
    try:
        yield made
    except BaseException as error:
        made.set_status(trace.StatusCode.ERROR, type(error).__name__)
        raise
    finally:
        with contextlib.suppress(ValueError):  # ended in another context than it began in
            contexts.detach(token)
        made.end()


def send(name: str, headers: MutableMapping[str, Any]) -> None:
    """Mark that a message is sent now, and put where it belongs on its headers."""
    if _tracer is None:
        return
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    with span(f"send {name}", "PRODUCER"):
        TraceContextTextMapPropagator().inject(headers)


def _extracted(headers: Mapping[str, Any]) -> Any:
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    known = {h: v for h in _HEADERS if isinstance(v := headers.get(h), str)}
    return TraceContextTextMapPropagator().extract(known)


def _attributes(facts: Mapping[str, str | int]) -> dict[str, str | int]:
    return {f"arena.{name}": value for name, value in facts.items()}
