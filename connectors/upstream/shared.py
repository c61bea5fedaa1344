"""What all watches and streams of a process work with."""

import asyncio
from dataclasses import dataclass

from connectors.upstream import metrics
from connectors.upstream.budget import Budget
from connectors.upstream.client import UpstreamClient
from connectors.upstream.outbox import CLIENT_ID, Outbox
from connectors.upstream.parser import Broken
from connectors.upstream.policy import Roll
from connectors.upstream.settings import ConnectorSettings
from schemas.dead_letters import DeadLetter
from tracing import OFF, Tracing


@dataclass(frozen=True, slots=True)
class Shared:
    """What all watches and streams of a process work with. Their tasks belong to `tasks`: a bug in one ends it."""

    settings: ConnectorSettings
    client: UpstreamClient
    budget: Budget
    outbox: Outbox
    roll: Roll
    tasks: asyncio.TaskGroup
    tracing: Tracing = OFF

    def bury(self, broken: Broken, where: str, file_id: str) -> None:
        """The bytes of a frame or answer that could not be read go to the dead letters."""
        metrics.BROKEN.labels(broken.reason).inc()
        self.outbox.bury(
            DeadLetter(broken.reason, "not readable", where, -1, -1, CLIENT_ID, file_id.encode(), broken.value)
        )
