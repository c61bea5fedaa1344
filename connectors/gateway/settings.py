"""Settings of the gateway. Read from `RENDERCAST_GATEWAY__…`."""

from typing import Annotated, Literal

from pydantic import Field, SecretStr, StringConstraints

from schemas.settings import Section

Origin = Annotated[str, StringConstraints(pattern=r"^https?://[^/*\sA-Z]+$")]
"""As browsers send it: without a path or a slash behind it. Any origin at all would be let in with its cookies."""


class GatewaySettings(Section):
    """Where it listens, whom it lets in, and how much it holds."""

    host: str = Field(default="127.0.0.1", min_length=1, description="address to listen on; 0.0.0.0 in a container")
    port: int = Field(default=8080, ge=0, le=65_535, description="0 takes a free one")
    auth: Literal["jwt", "off"] = Field(
        default="jwt", description="off: everybody may read and ask for everything; for development"
    )
    jwt_secret: SecretStr | None = Field(default=None, min_length=32, description="for HS256: the shared secret")
    jwt_public_key: str | None = Field(default=None, description="for RS256 and ES256: the issuer's key, PEM")
    jwks_url: str | None = Field(
        default=None, pattern=r"^https?://", description="for RS256 and ES256: where the issuer publishes its keys"
    )
    jwks_cache_seconds: float = Field(default=300, gt=0, description="how long published keys are not asked for again")
    jwt_issuer: str | None = Field(default=None, min_length=1, description="what `iss` must be")
    jwt_audience: str | None = Field(default=None, min_length=1, description="what `aud` must contain")
    jwt_leeway_seconds: float = Field(default=10, ge=0, le=300, description="by how much clocks may differ")
    cookie: str = Field(
        default="rendercast_token", pattern=r"^[A-Za-z0-9_-]+$",
        description="the cookie that may carry the token, for browsers' EventSource",
    )  # fmt: skip
    streams_per_subject: int = Field(default=100, ge=1, description="open event streams of one `sub`")
    requests_per_subject: float = Field(default=50, gt=0, description="requests per second of one `sub`, on average")
    requests_burst: int = Field(default=200, ge=1, description="requests of one `sub` at once")
    cors_origins: tuple[Origin, ...] = Field(
        default=(), description="origins (`https://app.example.com`) whose pages may call, with their cookies"
    )
    all_channel: bool = Field(default=True, description="whether the channel `all` (the page at `/`) may be read")

    max_jobs: int = Field(default=50_000, ge=1, description="jobs held in memory; the oldest finished ones go first")
    finished_for_seconds: float = Field(default=86_400, gt=0, description="how long a finished job is held")
    snapshot_jobs: int = Field(default=500, ge=1, description="jobs in one snapshot or one list, at most")

    max_streams: int = Field(default=10_000, ge=1, description="open event streams")
    max_channels: int = Field(default=50, ge=1, description="channels of one event stream")
    queue_changes: int = Field(default=256, ge=2, description="changes waiting for one reader before it is dropped")
    ping_seconds: float = Field(default=15, gt=0, description="silence after which a stream sends a comment")
    retry_seconds: float = Field(default=2, gt=0, description="when a browser is told to connect again, at the soonest")
    send_timeout_seconds: float = Field(default=30, gt=0, description="how long a reader may take nothing at all")

    resume_seconds: float = Field(
        default=5, gt=0, le=60, description="how long a reader that comes back may wait for what it missed"
    )
    resume_reads: int = Field(default=2, ge=1, description="readers for which Kafka is read at once")
    resume_records: int = Field(default=20_000, ge=1, description="records read for one of them")
    resume_bytes: int = Field(default=33_554_432, ge=1, description="bytes read for one of them")

    kafka_timeout_seconds: float = Field(
        default=5, gt=0, description="how long a command waits for the broker's answer"
    )
    generate_wait_seconds: float = Field(
        default=90, gt=0, le=3_600,
        description="how long a generate call waits for the upstream's answer; the same on all gateways",
    )  # fmt: skip
    generate_keys_for_seconds: float = Field(
        default=604_800, ge=7_200, le=31_622_400,
        description="how long the chat database keeps the keys of generate calls; the same on all gateways",
    )  # fmt: skip
    cancel_after_close_seconds: float | None = Field(
        default=None, ge=0, le=3_600,
        description="cancel what /api/generate-stream generates when no stream of it has been open here for so long; "
        "without it never",
    )  # fmt: skip
    max_body_bytes: int = Field(default=1_048_576, ge=1, description="size of a request's body")
    body_timeout_seconds: float = Field(default=10, gt=0, description="how long a request's body may take to arrive")
    close_timeout_seconds: float = Field(default=5, gt=0, le=8, description="how long open requests have at the end")
