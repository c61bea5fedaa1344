"""What can be set of the engine. The defaults are those that were measured (ARCHITECTURE.md, "Exactly once")."""

from pydantic import Field

from schemas.settings import Section


class EngineSettings(Section):
    """Times in seconds unless the name says otherwise."""

    fetch_min_bytes: int = Field(default=1, ge=1, description="with fetch_max_wait_ms: fewer, larger batches")
    fetch_max_wait_ms: int = Field(default=500, ge=0)
    max_poll_records: int = Field(default=2_000, ge=1, description="records of one batch event")
    step_records: int = Field(default=4_000, ge=1, description="records of one step, about")
    lane_records: int = Field(default=8_000, ge=1, description="waiting in a lane before its partition is paused")
    merge_timeout: float = Field(default=5, gt=0, description="how long one source topic waits for a lagging other")
    step_timeout: float = Field(default=20, gt=0, description="a step that takes longer ends the process")
    transaction_timeout: float = Field(default=10, gt=0)
    retry_backoff_ms: int = Field(default=5, ge=1, description="aiokafka's wait on CONCURRENT_TRANSACTIONS")
    request_timeout: float = Field(default=10, gt=0)
    load_timeout: float = Field(default=600, gt=0, description="reading the changelog may take this long in all")
