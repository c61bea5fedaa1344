"""Getting a Kafka, whatever this machine has: one that is named, Docker, or Java with Maven."""

import contextlib
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

from rendercast.broker.local import KAFKA_VERSION, LocalBroker, can_run
from schemas.errors import StopProcess

IMAGE = "confluentinc/cp-kafka:7.9.0"
"""testcontainers' Kafka module knows this image's start script."""

NONE_FOUND = (
    "no Kafka: name a broker (RENDERCAST_KAFKA__BOOTSTRAP_SERVERS), or start Docker, "
    "or install Java 17 and Maven for a broker from Apache Kafka's own jars"
)


def has_docker() -> bool:
    """Whether a Docker engine answers."""
    if shutil.which("docker") is None:
        return False
    try:
        answer = subprocess.run(["docker", "info"], capture_output=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return answer.returncode == 0


@contextlib.contextmanager
def kafka(named: str | None, directory: Path, tell: Callable[[str], None] = lambda _: None) -> Iterator[str]:
    """`host:port` of a broker that is there until the block ends. `named` is used as it is.

    Raises StopProcess with one sentence where none can be had.
    """
    if named:
        tell(f"Kafka: {named}, as named")
        yield named
    elif has_docker():
        tell("Kafka: a container")
        with _container() as servers:
            yield servers
    elif can_run():
        tell(f"Kafka: Apache Kafka {KAFKA_VERSION} from its jars")
        with LocalBroker(directory) as broker:
            yield broker.bootstrap_servers
    else:
        raise StopProcess(NONE_FOUND)


@contextlib.contextmanager
def _container() -> Iterator[str]:
    from testcontainers.community.kafka import KafkaContainer  # noqa: PLC0415 - asks for an engine when imported

    container = KafkaContainer(IMAGE).with_kraft()
    for name, value in {
        "TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
        "TRANSACTION_STATE_LOG_MIN_ISR": "1",
        "GROUP_MIN_SESSION_TIMEOUT_MS": "500",
    }.items():
        container = container.with_env(f"KAFKA_{name}", value)
    with container:
        yield str(container.get_bootstrap_server())
