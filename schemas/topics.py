"""The topics, their names and how each is kept. All have the same number of partitions: they are co-partitioned."""

from dataclasses import dataclass
from typing import Literal

DAY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """One topic as `rendercast topics apply` makes it. `retention_ms` is None where compaction keeps the last value."""

    name: str
    cleanup: Literal["delete", "compact"]
    retention_ms: int | None = None

    def configs(self) -> dict[str, str]:
        found: dict[str, str] = {"cleanup.policy": self.cleanup}
        if self.retention_ms is not None:
            found["retention.ms"] = str(self.retention_ms)
        return found


@dataclass(frozen=True, slots=True)
class Topics:
    """Names of all topics under one prefix (default `render.`)."""

    prefix: str = "render."

    @property
    def commands(self) -> str:
        return self.prefix + "commands"

    @property
    def upstream(self) -> str:
        return self.prefix + "upstream"

    @property
    def watches(self) -> str:
        return self.prefix + "watches"

    @property
    def jobs(self) -> str:
        return self.prefix + "jobs"

    @property
    def completions(self) -> str:
        return self.prefix + "completions"

    @property
    def artifacts(self) -> str:
        return self.prefix + "artifacts"

    @property
    def storage(self) -> str:
        return self.prefix + "storage"

    @property
    def stored(self) -> str:
        return self.prefix + "stored"

    @property
    def dead_letters(self) -> str:
        return self.prefix + "dead-letters"

    @property
    def positions(self) -> str:
        """The processor's own: how far it has applied each source partition, told in every transaction."""
        return self.prefix + "positions"

    def specs(self) -> tuple[TopicSpec, ...]:
        return (
            TopicSpec(self.commands, "delete", 7 * DAY_MS),
            TopicSpec(self.upstream, "delete", 7 * DAY_MS),
            TopicSpec(self.watches, "compact"),
            TopicSpec(self.jobs, "compact"),
            TopicSpec(self.completions, "delete", 30 * DAY_MS),
            TopicSpec(self.artifacts, "delete", 7 * DAY_MS),
            TopicSpec(self.storage, "delete", 7 * DAY_MS),
            TopicSpec(self.stored, "delete", 30 * DAY_MS),
            TopicSpec(self.dead_letters, "delete", 30 * DAY_MS),
            TopicSpec(self.positions, "compact"),
        )
