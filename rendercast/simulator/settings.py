"""Settings of the simulator. Read from `RENDERCAST_SIMULATOR__…`."""

from typing import Annotated

from pydantic import Field, SecretStr

from schemas.settings import Section

Rate = Annotated[float, Field(ge=0, le=1)]


class Faults(Section):
    """How often each fault happens, 0 to 1. A stream suffers at most one of the `stream_…` faults."""

    # One draw per stream.
    stream_524: Rate = Field(default=0, description="no answer for a while, then status 524, as the proxy does")
    stream_silent: Rate = Field(default=0, description="status 200, then not a byte, not even a ping")
    stream_reset: Rate = Field(default=0, description="the connection is reset in mid-job")
    stream_drop: Rate = Field(default=0, description="the stream ends cleanly in mid-job")
    stream_test: Rate = Field(default=0, description="the server's test mode: a `test` frame, then the end")
    late_subscription: Rate = Field(default=0, description="the stream is open, its subscription is not live yet")
    # One draw per frame.
    duplicate_frames: Rate = Field(default=0, description="a frame is sent twice")
    frame_cut: Rate = Field(default=0, description="a frame is cut in two by a pause")
    junk: Rate = Field(default=0, description="noise before a frame, or the frame in an unusual spelling")
    # One draw per generation, when it begins.
    result_lost: Rate = Field(default=0, description="no frame with the URL is ever sent")
    late_poll: Rate = Field(default=0, description="GET is some seconds behind the stream")
    not_found_at_first: Rate = Field(default=0, description="404 for a freshly created file")
    foreign_file: Rate = Field(default=0, description="frames about another file, done, on the same channel")
    # One draw per request.
    rate_limit: Rate = Field(default=0, description="429 with Retry-After, in seconds or as a date")
    server_error: Rate = Field(default=0, description="500, 502 or 503")
    conflict: Rate = Field(default=0, description="409 on generate-image")


ALL_FAULTS = Faults(
    stream_524=0.05, stream_silent=0.06, stream_reset=0.1, stream_drop=0.15, stream_test=0.03, late_subscription=0.1,
    duplicate_frames=0.2, frame_cut=0.1, junk=0.2, result_lost=0.2, late_poll=0.2, not_found_at_first=0.2,
    foreign_file=0.2, rate_limit=0.05, server_error=0.05, conflict=0.05,
)  # fmt: skip
"""Everything that goes wrong there, at rates a client should live with."""


class SimulatorSettings(Section):
    """An upstream to test against. Times marked "simulated" are divided by `speed`."""

    host: str = Field(default="127.0.0.1", description="address to listen on")
    port: int = Field(default=0, ge=0, le=65_535, description="0: any free one")
    public_url: str | None = Field(default=None, description="how others reach it, for media URLs; default: host, port")
    token: SecretStr = Field(default=SecretStr("simulator-token"), description="the bearer token that is asked for")
    seed: int = Field(default=0, description="the same seed and the same calls give the same run")
    speed: float = Field(default=1, gt=0, le=10_000, description="simulated seconds per second")
    image_seconds: float = Field(default=4, ge=0, le=3_600, description="simulated; how long an image takes, ±30 %")
    video_seconds: float = Field(default=8, ge=0, le=3_600, description="simulated; how long a video takes, ±30 %")
    ping_seconds: float = Field(default=15, gt=0, le=3_600, description="between two pings of a stream")
    stale_seconds: float = Field(default=3, ge=0, le=3_600, description="simulated; how long an old URL is still told")
    late_poll_seconds: float = Field(default=4, ge=0, le=3_600, description="simulated; how far GET is behind")
    hidden_seconds: float = Field(default=2, ge=0, le=3_600, description="simulated; how long a new file answers 404")
    subscription_seconds: float = Field(default=1, ge=0, le=3_600, description="simulated; a late subscription's delay")
    broken_after_seconds: float = Field(
        default=4, ge=0, le=3_600, description="simulated; a dropped stream's longest life"
    )
    timeout_524_seconds: float = Field(default=10, ge=0, le=3_600, description="simulated; the proxy's patience")
    retry_after_seconds: int = Field(default=1, ge=0, le=3_600, description="told with 429")
    video_bytes: int = Field(default=100_000, ge=64, le=100_000_000, description="size of a video")
    max_files: int = Field(default=100_000, ge=1, description="beyond it the oldest file is forgotten")
    faults: Faults = Field(default=Faults(), description="what goes wrong, and how often")
