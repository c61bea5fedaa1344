"""Settings of the processor: `RENDERCAST_PROCESSOR__…`."""

import tempfile
from pathlib import Path

from pydantic import Field

from schemas.settings import Section
from streams.exactly_once.settings import EngineSettings


class ProcessorSettings(Section):
    """Times in seconds."""

    group: str | None = Field(
        default=None,
        min_length=1,
        description="consumer group and Faust app id; default: the prefix + processor",
    )
    instance_id: str | None = Field(
        default=None, description="static membership: a crash rejoins in milliseconds; never share one between workers"
    )
    session_timeout: float = Field(default=10, ge=0.5, le=300)
    heartbeat_interval: float = Field(default=2, gt=0)
    commit_interval: float = Field(default=0.5, gt=0)
    data_directory: Path = Field(
        default=Path(tempfile.gettempdir()) / "rendercast-processor",
        description="Faust wants one; nothing is kept",
    )
    engine: EngineSettings = EngineSettings()
