"""What each process reads and writes: what its user must be allowed on Kafka."""

from dataclasses import dataclass
from typing import Literal, get_args

from rendercast.settings import Settings

Process = Literal["connector", "processor", "chats", "storage", "gateway"]
PROCESSES: tuple[Process, ...] = get_args(Process)


@dataclass(frozen=True, slots=True)
class Rights:
    """Topics by name. `transactional_ids` is the beginning of all its transactional ids."""

    reads: frozenset[str]
    writes: frozenset[str]
    group: str | None = None
    transactional_ids: str | None = None

    @property
    def topics(self) -> frozenset[str]:
        return self.reads | self.writes


def rights(settings: Settings) -> dict[Process, Rights]:
    """By process, as its settings say."""
    names, prefix = settings.topics.names, settings.topics.prefix
    processor = settings.processor.group or f"{prefix}processor"
    return {
        "connector": Rights(
            frozenset({names.watches}),
            frozenset({names.upstream, names.dead_letters}),
            f"{prefix}{settings.connector.group_id}",
        ),
        "processor": Rights(
            frozenset({names.commands, names.upstream, names.jobs, names.positions}),
            frozenset({
                names.jobs, names.positions, names.completions, names.watches, names.artifacts, names.storage,
                names.dead_letters,
            }),
            processor,
            f"{processor}-",
        ),
        "chats": Rights(
            frozenset({names.artifacts, names.stored}),
            frozenset({names.dead_letters}),
            f"{prefix}{settings.chats.group_id}",
        ),
        "storage": Rights(
            frozenset({names.storage}),
            frozenset({names.stored, names.dead_letters, names.commands}),
            f"{prefix}{settings.storage.group_id}",
        ),
        "gateway": Rights(frozenset({names.jobs}), frozenset({names.commands})),
    }  # fmt: skip
