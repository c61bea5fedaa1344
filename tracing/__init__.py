"""One trace per job, told to an OTLP endpoint. Off unless one is configured, and then nothing of it is imported."""

from tracing.settings import TracingSettings
from tracing.spans import OFF, Attributes, Event, Kind, Tracing, messaging, now
from tracing.starting import started

__all__ = ["OFF", "Attributes", "Event", "Kind", "Tracing", "TracingSettings", "messaging", "now", "started"]
