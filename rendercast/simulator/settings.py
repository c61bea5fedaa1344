"""Settings of the simulator. Read from `RENDERCAST_SIMULATOR__…`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from pydantic import Field, SecretStr, ValidationError, model_validator

from rendercast.simulator.faults import ALL_FAULTS, HOSTILE_FAULTS, PRESETS, Faults
from rendercast.simulator.models import ParamsForm
from schemas.errors import StopProcess
from schemas.settings import Section

__all__ = ["ALL_FAULTS", "HOSTILE_FAULTS", "PRESETS", "Faults", "SimulatorSettings"]


class SimulatorSettings(Section):
    """An upstream to test against. Times marked "simulated" are divided by `speed`."""

    host: str = Field(default="127.0.0.1", description="address to listen on")
    port: int = Field(default=0, ge=0, le=65_535, description="0: any free one")
    admin_port: int | None = Field(
        default=None, ge=0, le=65_535, description="a second port, without TLS, whose connections are never reset"
    )
    public_url: str | None = Field(default=None, description="how others reach it, for media URLs; default: host, port")
    tls_certificate: Path | None = Field(default=None, description="a PEM file; with it and its key TLS is served")
    tls_key: Path | None = Field(default=None, description="the certificate's key, a PEM file")
    token: SecretStr = Field(default=SecretStr("simulator-token"), description="the bearer token that is asked for")
    seed: int = Field(default=0, description="the same seed and the same calls give the same run")
    speed: float = Field(default=1, gt=0, le=10_000, description="simulated seconds per second")
    script_file: Path | None = Field(default=None, description="what to make, break and heal when: TOML or JSON")
    image_seconds: float = Field(default=4, ge=0, le=3_600, description="simulated; how long an image takes, ±30 %")
    video_seconds: float = Field(default=8, ge=0, le=3_600, description="simulated; how long a video takes, ±30 %")
    ping_seconds: float = Field(default=15, gt=0, le=3_600, description="between two pings of a stream")
    stale_seconds: float = Field(default=3, ge=0, le=3_600, description="simulated; how long an old URL is still told")
    late_poll_seconds: float = Field(default=4, ge=0, le=3_600, description="simulated; how far GET is behind")
    late_result_seconds: float = Field(default=4, ge=0, le=3_600, description="simulated; how far a stream is behind")
    hidden_seconds: float = Field(default=2, ge=0, le=3_600, description="simulated; how long a new file answers 404")
    subscription_seconds: float = Field(default=1, ge=0, le=3_600, description="simulated; a late subscription's delay")
    broken_after_seconds: float = Field(
        default=4, ge=0, le=3_600, description="simulated; a dropped stream's longest life"
    )
    timeout_524_seconds: float = Field(default=10, ge=0, le=3_600, description="simulated; the proxy's patience")
    slow_byte_seconds: float = Field(default=0.05, ge=0, le=3_600, description="between two bytes that come slowly")
    retry_after_seconds: int = Field(default=1, ge=0, le=3_600, description="told with 429")
    skew_seconds: int = Field(default=3_600, ge=0, le=31_536_000, description="how far a wrong clock is off, ±")
    video_bytes: int = Field(default=100_000, ge=64, le=100_000_000, description="size of a video")
    huge_bytes: int = Field(default=10 * 2**20, ge=1_000, le=2**28, description="size of a huge frame's message")
    model_params: ParamsForm = Field(
        default="none", description="how generation-config describes parameters: `none`, `schema` or `options`"
    )
    max_files: int = Field(default=100_000, ge=1, description="beyond it the oldest file is forgotten")
    faults: Faults = Field(default=Faults(), description="what goes wrong, and how often")

    @model_validator(mode="after")
    def _both_or_neither(self) -> Self:
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("tls_certificate and tls_key go together")
        return self


def adjusted(
    settings: SimulatorSettings, changes: Mapping[str, Any], *, preset: str | None = None, rates: Mapping[str, float]
) -> SimulatorSettings:
    """The settings with these instead: a preset, and rates over it. Raises StopProcess with one line per mistake."""
    faults = settings.faults if preset is None else PRESETS[preset]
    try:
        return SimulatorSettings.model_validate({
            **settings.model_dump(), **changes, "faults": {**faults.model_dump(), **rates},
        })  # fmt: skip
    except ValidationError as error:
        mistakes = [
            f"{' '.join(map(str, each['loc']))}: {each['msg']}"
            for each in error.errors(include_url=False, include_context=False, include_input=False)
        ]
        raise StopProcess("\n  ".join(["simulator:", *mistakes])) from error
