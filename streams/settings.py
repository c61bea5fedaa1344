"""Settings of the processor: `RENDERCAST_PROCESSOR__…`."""

import tempfile
from pathlib import Path

from pydantic import Field

from schemas.settings import Section


class EngineSettings(Section):
    """Of the exactly-once engine. Times in seconds unless the name says otherwise."""

    fetch_min_bytes: int = Field(default=1 << 20, ge=1, description="with fetch_max_wait_ms: fewer, larger batches")
    fetch_max_wait_ms: int = Field(
        default=20, ge=0, description="how long a broker collects: a third of the CPU of not waiting, for 10 ms"
    )
    max_poll_records: int = Field(default=2_000, ge=1, description="records of one batch event")
    step_records: int = Field(default=4_000, ge=1, description="records of one step, about")
    lane_records: int = Field(default=8_000, ge=1, description="waiting in a lane before its partition is paused")
    merge_timeout: float = Field(default=5, gt=0, description="how long one source topic waits for a lagging other")
    step_timeout: float = Field(default=20, gt=0, description="a step that takes longer ends the process")
    transaction_timeout: float = Field(default=10, gt=0)
    retry_backoff_ms: int = Field(default=5, ge=1, description="aiokafka's wait on CONCURRENT_TRANSACTIONS")
    request_timeout: float = Field(default=10, gt=0)
    warm_jobs: int = Field(default=20_000, ge=0, description="documents kept decoded, by all partitions; 3 KiB each")
    load_timeout: float = Field(default=600, gt=0, description="reading the changelog may take this long in all")


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
    retention: float = Field(
        default=7 * 86_400, gt=0, description="how long a finished job is remembered; evidence after that is dropped"
    )
    data_directory: Path = Field(
        default=Path(tempfile.gettempdir()) / "rendercast-processor",
        description="how processes ended, for the metrics; nothing else is kept",
    )
    engine: EngineSettings = EngineSettings()
