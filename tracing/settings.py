"""Settings of tracing: `RENDERCAST_TRACING__…`, the same for every process."""

from pydantic import Field

from schemas.settings import Section


class TracingSettings(Section):
    """Where spans go. A collector's headers and certificates are said by `OTEL_EXPORTER_OTLP_…`."""

    endpoint: str | None = Field(
        default=None, pattern=r"^https?://[^\s/]",
        description="where OTLP is taken over HTTP (http://collector:4318/v1/traces); without it nothing is traced",
    )  # fmt: skip
    ratio: float = Field(
        default=1, ge=0, le=1, description="the share of jobs that is traced; the same in all processes"
    )
    service: str = Field(
        default="rendercast", min_length=1, max_length=100, description="`service.name` is this, a hyphen, the process"
    )
    queue_spans: int = Field(default=4_096, ge=1, description="spans that wait to be sent; further ones are dropped")
    timeout_seconds: float = Field(default=10, gt=0, le=60, description="how long one request to the endpoint may take")
