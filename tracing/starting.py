"""Tracing of one process, as the settings say."""

import contextlib
from collections.abc import Iterator

from schemas.errors import StopProcess
from schemas.headers import traced
from tracing.settings import TracingSettings
from tracing.spans import OFF, Tracing


@contextlib.contextmanager
def started(settings: TracingSettings, process: str) -> Iterator[Tracing]:
    """Tracing while the context lasts. Raises StopProcess where it is wanted and not installed."""
    if settings.endpoint is None:
        yield OFF
        return
    try:
        from tracing.exporter import Exporter  # noqa: PLC0415 - off, nothing of it is needed
        from tracing.otlp import Otlp  # noqa: PLC0415 - an extra, which is not there unless it is wanted
    except ModuleNotFoundError as error:
        raise StopProcess(
            f"RENDERCAST_TRACING__ENDPOINT is set, and {error.name} is not installed: install rendercast[tracing], or "
            "unset it"
        ) from error
    sender = Otlp(settings, process)
    exporter = Exporter(sender.send, settings.queue_spans)
    try:
        yield Tracing(traced(settings.ratio), settings.ratio, exporter.put)
    finally:
        exporter.close()
        sender.close()
