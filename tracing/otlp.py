"""Spans as OpenTelemetry's SDK has them, sent by its exporter. The one module that imports OpenTelemetry."""

import logging
import os
import socket
from collections.abc import Sequence
from datetime import datetime
from importlib.metadata import version

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Event, ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags

from schemas.trace import SpanId
from tracing.settings import TracingSettings
from tracing.spans import Kind, Span

_KINDS: dict[Kind, SpanKind] = {
    "internal": SpanKind.INTERNAL, "server": SpanKind.SERVER,
    "producer": SpanKind.PRODUCER, "consumer": SpanKind.CONSUMER,
}  # fmt: skip


class Otlp:
    """Sends batches; made once in a process."""

    def __init__(self, settings: TracingSettings, process: str) -> None:
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL)  # it would log each try; Exporter says it once
        release = version("rendercast")
        self._resource = Resource.create(
            {
                "service.name": f"{settings.service}-{process}",
                "service.version": release,
                "service.instance.id": f"{socket.gethostname()}:{os.getpid()}",
            }
        )
        self._scope = InstrumentationScope("rendercast", release)
        self._exporter = OTLPSpanExporter(endpoint=settings.endpoint, timeout=settings.timeout_seconds)

    def send(self, spans: Sequence[Span]) -> bool:
        """Whether the endpoint has taken them. Tries for `timeout_seconds`."""
        return self._exporter.export([self._readable(each) for each in spans]) is SpanExportResult.SUCCESS

    def close(self) -> None:
        """Give up what is under way."""
        self._exporter.shutdown()  # type: ignore[no-untyped-call]  # it says nothing of what it returns

    def _readable(self, span: Span) -> ReadableSpan:
        return ReadableSpan(
            name=span.name,
            context=_context(span.id),
            parent=None if span.parent is None else _context(span.parent, is_remote=True),
            resource=self._resource,
            attributes=span.attributes,
            events=[Event(each.name, each.attributes, _nanoseconds(each.at)) for each in span.events],
            links=[] if span.link is None else [Link(_context(span.link, is_remote=True))],
            kind=_KINDS[span.kind],
            instrumentation_scope=self._scope,
            status=Status() if span.error is None else Status(StatusCode.ERROR, span.error),
            start_time=_nanoseconds(span.start),
            end_time=_nanoseconds(span.end),
        )


def _context(span: SpanId, *, is_remote: bool = False) -> SpanContext:
    trace, own = int.from_bytes(span.trace), int.from_bytes(span.span)
    return SpanContext(trace, own, is_remote, TraceFlags(TraceFlags.SAMPLED))


def _nanoseconds(moment: datetime) -> int:
    whole = int(moment.timestamp())
    return whole * 1_000_000_000 + moment.microsecond * 1_000
