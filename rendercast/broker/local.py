"""Apache Kafka on this machine from its own jars: one KRaft node or a few, own data directories, free ports."""

import contextlib
import os
import random
import shutil
import signal
import socket
import subprocess
import time
from base64 import urlsafe_b64encode
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import as_file, files
from pathlib import Path
from types import TracebackType
from typing import Self
from uuid import uuid4

from schemas.errors import StopProcess

KAFKA_VERSION = "4.1.0"
START_SECONDS = 60

_PROPERTIES = """\
process.roles=broker,controller
node.id={node}
controller.quorum.voters={voters}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller_port}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
log.dirs={data}
auto.create.topics.enable=false
min.insync.replicas={min_in_sync}
offsets.topic.replication.factor={replication}
offsets.topic.num.partitions=8
transaction.state.log.replication.factor={replication}
transaction.state.log.min.isr={min_in_sync}
transaction.state.log.num.partitions=8
share.coordinator.state.topic.replication.factor={replication}
share.coordinator.state.topic.min.isr={min_in_sync}
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=500
log.cleaner.backoff.ms=1000
"""


def can_run() -> bool:
    """Whether Java and Maven are on the path."""
    return shutil.which("java") is not None and shutil.which("mvn") is not None


def jars() -> Path:
    """The directory with Kafka's jars; Maven fetches them once, into the user's cache directory."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rendercast" / f"kafka-{KAFKA_VERSION}"
    if not (cache / ".complete").exists():
        partial = cache.with_name(f"{cache.name}.{os.getpid()}")
        with as_file(files("rendercast.broker") / "pom.xml") as pom:
            fetched = subprocess.run(
                ["mvn", "-q", "-B", "-f", str(pom), "dependency:copy-dependencies", f"-DoutputDirectory={partial}"],
                capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False,
            )  # fmt: skip
        if fetched.returncode != 0:
            raise StopProcess(f"Maven could not fetch Apache Kafka {KAFKA_VERSION}: {fetched.stdout[-2000:]}")
        (partial / ".complete").touch()
        if not (cache / ".complete").exists():  # another process may have been quicker
            shutil.rmtree(cache, ignore_errors=True)
            partial.rename(cache)
        shutil.rmtree(partial, ignore_errors=True)
    return cache


def free_port() -> int:
    """A TCP port of 127.0.0.1 that was free a moment ago, below those that systems give to outgoing connections."""
    while True:
        port = random.randrange(15_000, 30_000)  # noqa: S311 - no secret
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


class LocalBroker:
    """A broker with a life of its own: it can be killed and started again on the same data and ports."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port, self.controller_port = free_port(), free_port()
        self.cluster_id = _cluster_id()
        self.nodes: tuple[LocalBroker, ...] = (self,)  # of its cluster, by their ids; it may be the only one
        self.heap_megabytes = 512
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def bootstrap_servers(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Returns when the broker accepts connections. Raises StopProcess with the end of its log."""
        self.format()
        self.launch()
        self.wait_started()

    def format(self) -> None:
        """Write configuration and empty data, if there are none yet."""
        if self._config.exists():
            return
        self.directory.mkdir(parents=True, exist_ok=True)
        self._config.write_text(
            _PROPERTIES.format(
                node=self.nodes.index(self) + 1,
                voters=",".join(
                    f"{number}@127.0.0.1:{each.controller_port}" for number, each in enumerate(self.nodes, 1)
                ),
                port=self.port,
                controller_port=self.controller_port,
                data=self.directory / "data",
                replication=len(self.nodes),
                min_in_sync=max(1, len(self.nodes) - 1),
            )
        )
        self._java("kafka.tools.StorageTool", "format", "-t", self.cluster_id, "-c", str(self._config)).wait()

    def launch(self) -> None:
        """Start the process. Of a cluster none answers before most have been launched."""
        self._process = self._java("kafka.Kafka", str(self._config))

    def wait_started(self) -> None:
        """Returns when the broker accepts connections. Raises StopProcess with the end of its log."""
        give_up = time.monotonic() + START_SECONDS
        while not self._answers():
            if self._process is None or self._process.poll() is not None or time.monotonic() > give_up:
                log = self._log.read_text(errors="replace")[-2000:]
                self.stop()
                raise StopProcess(f"the local Kafka broker did not start: {log}")
            time.sleep(0.05)

    def stop(self) -> None:
        """An orderly stop; a kill after ten seconds."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """What a power cut does to the process."""
        self._end(signal.SIGKILL)

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(how)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    @property
    def _config(self) -> Path:
        return self.directory / "server.properties"

    @property
    def _log(self) -> Path:
        return self.directory / "broker.log"

    def _java(self, main: str, *args: str) -> subprocess.Popen[bytes]:
        with self._log.open("ab") as log:
            return subprocess.Popen(
                [
                    "java", f"-Xmx{self.heap_megabytes}m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1",
                    "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", f"{jars()}/*", main, *args,
                ],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,  # a Ctrl-C in the terminal is its owner's to handle
            )  # fmt: skip

    def _answers(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return True
        except OSError:
            return False

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:  # a Ctrl-C in mid-start
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


class LocalCluster:
    """Several brokers, each of which may be killed and started again while the others go on.

    Internal topics have a replica on every node, and any topic takes a write while one node is away.
    """

    def __init__(self, directory: Path, size: int = 3) -> None:
        self.brokers = tuple(LocalBroker(directory / f"node-{number}") for number in range(1, size + 1))
        for each in self.brokers:
            each.cluster_id, each.nodes, each.heap_megabytes = self.brokers[0].cluster_id, self.brokers, 256

    @property
    def bootstrap_servers(self) -> str:
        return ",".join(each.bootstrap_servers for each in self.brokers)

    def start(self) -> None:
        """Returns when every broker accepts connections. Raises StopProcess with the end of a log."""
        jars()  # fetched once, before each asks for them
        with ThreadPoolExecutor() as pool:
            list(pool.map(LocalBroker.format, self.brokers))
        for each in self.brokers:
            each.launch()
        for each in self.brokers:
            each.wait_started()

    def stop(self) -> None:
        """At once: with its peers gone, a node would wait for a quorum to hand over to."""
        for each in self.brokers:
            each.kill()

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:  # a Ctrl-C in mid-start
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def _cluster_id() -> str:
    """Kafka's form of a random UUID: 22 characters of URL-safe base64. One that began with "-" would be an option."""
    while (found := urlsafe_b64encode(uuid4().bytes).decode().rstrip("=")).startswith("-"):
        pass
    return found
