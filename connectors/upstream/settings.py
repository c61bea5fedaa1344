"""Settings of the connector, read from `RENDERCAST_CONNECTOR__…`. Every time is in seconds."""

from typing import Annotated, Literal

from pydantic import Field, SecretStr, StringConstraints

from schemas.settings import Section

Seconds = Annotated[float, Field(gt=0, le=86_400)]


class ConnectorSettings(Section):
    """Where the upstream is, how patient we are with it, and how much we ask of it."""

    base_url: Annotated[str, StringConstraints(pattern=r"^https?://[^\s/?#]+(/[^\s?#]*)?$")] = Field(
        default="http://127.0.0.1:8100", description="of the upstream API, without /api/v1"
    )
    token: SecretStr = Field(default=SecretStr(""), description="bearer token of the upstream API")

    group_id: str = Field(
        default="connector", min_length=1, description="consumer group; the topics' prefix goes before"
    )
    group_instance_id: str | None = Field(
        default=None, description="a name that survives restarts: rejoins at once; no two processes may share one"
    )
    buffer_bytes: int = Field(default=16_777_216, ge=65_536, description="held for Kafka; when full, reading stops")

    requests_per_second: float = Field(
        default=200, gt=0, description="asked of the host in all: GETs, streams, generate calls"
    )
    burst: int = Field(default=20, ge=1, description="requests that may leave at once after a pause")
    looks_at_once: int = Field(default=64, ge=1, description="GETs of files in flight")
    connects_per_second: float = Field(default=50, gt=0, description="event streams opened a second")
    connects_at_once: int = Field(default=256, ge=1, description="event streams being opened, without an answer yet")
    breaker_failures: int = Field(
        default=10, ge=1, description="in a row: then nothing is asked but, now and then, by one request that probes"
    )
    breaker_seconds: Seconds = Field(default=5, description="until the first probe; it doubles with each that fails")
    breaker_cap_seconds: Seconds = Field(default=60, description="longest time between two probes")

    project_streams: Literal["proven", "always", "never"] = Field(
        default="proven",
        description="when watches of a project share its stream: each once it has carried its file, or at once",
    )
    overlap_seconds: float = Field(
        default=1, ge=0, le=60, description="a watch that has moved to a shared stream keeps its own for so long"
    )
    trial_seconds: Seconds = Field(
        default=60, description="a project's stream that carries no watched file for so long is closed"
    )
    unnamed_gap_seconds: float = Field(
        default=10,
        ge=0,
        le=3_600,
        description="least distance of looks that an end without a file asks for; progress without one asks no more "
        "often than events_seconds",
    )

    connect_seconds: Seconds = Field(default=10, description="to reach the host")
    request_seconds: Seconds = Field(default=30, description="for a whole GET")
    generate_seconds: Seconds = Field(default=60, description="for a whole generate call")
    max_batch: int = Field(default=10, ge=1, le=1_000, description="files that one generate call may ask for")

    settle_seconds: float = Field(
        default=0.3, ge=0, le=10, description="from a stream's headers to its look, unless a byte comes first"
    )
    first_byte_seconds: Seconds = Field(
        default=20, description="a stream that is open, but silent so long, is not live"
    )
    bytes_seconds: Seconds = Field(default=35, description="without bytes a stream is dead: two pings and a bit")
    events_seconds: Seconds = Field(
        default=60, description="without events on a live stream: look, then each such time"
    )
    job_seconds: Seconds = Field(default=90, description="without news of the job on a live stream: look")

    poll_after_seconds: Seconds = Field(default=10, description="without a live stream: poll beside it")
    poll_steps_seconds: tuple[Seconds, ...] = Field(default=(1, 2, 5, 10), min_length=1, description="between polls")
    poll_jitter: float = Field(default=0.2, ge=0, lt=1, description="a poll's distance varies by this share")
    look_gap_seconds: float = Field(default=1, ge=0, le=60, description="least distance of looks that events ask for")

    backoff_seconds: Seconds = Field(default=1, description="first bound of the full-jitter backoff; it doubles")
    backoff_cap_seconds: Seconds = Field(default=30, description="last bound of the backoff")
    stable_seconds: Seconds = Field(default=30, description="live so long, a stream's backoff begins anew")
    not_found_seconds: Seconds = Field(default=30, description="after tracking a 404 means: not visible yet")
    refused_seconds: Seconds = Field(default=60, description="between tries while the upstream refuses the token")
    retry_after_seconds: Seconds = Field(default=5, description="after a 429 that names no time")
    retry_after_cap_seconds: Seconds = Field(default=600, description="longest Retry-After that is obeyed")
    last_look_seconds: Seconds = Field(default=30, description="for the look at the deadline, with its tries")
