"""The servers of the gateway's benchmarks: ours as production starts it, and its rivals."""

import socket
from dataclasses import dataclass
from itertools import cycle, islice
from secrets import token_hex

from benchmarks import engines
from benchmarks.gateway_jobs import PARTITIONS, Files, begun
from benchmarks.gateway_readers import Readers, plan
from benchmarks.peers.gateway_hub import LISTENING, environment
from benchmarks.site import Site
from benchmarks.worker import Worker

from schemas.settings import TopicSettings

OURS = "rendercast"
STARLETTE = "starlette's StreamingResponse"
SSE_STARLETTE = "sse-starlette's EventSourceResponse"
ALL = [OURS, STARLETTE, SSE_STARLETTE]
_RIVALS = {STARLETTE: "benchmarks.peers.gateway_starlette", SSE_STARLETTE: "benchmarks.peers.gateway_sse_starlette"}

START_SECONDS = 60
NEVER = 3_600
"""Seconds between pings where none is wanted."""


class Server(Worker):
    def until_ready(self) -> float:
        """Until the jobs are read; when (`time.monotonic`) that was."""
        return self.wait_for(LISTENING, START_SECONDS).at

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


@dataclass(frozen=True, slots=True)
class Serving:
    """A topic of jobs with all `files` begun, and a port. The secret is for ours; the rivals let everybody in."""

    site: Site
    topics: TopicSettings
    files: Files
    port: int
    secret: str

    @classmethod
    def of(cls, site: Site, files: Files) -> "Serving":
        topics = site.topics(PARTITIONS)
        site.cluster.load(topics.names.jobs, begun(files))
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        return cls(site, topics, files, port, token_hex(32))

    def start(self, name: str, ping_seconds: int) -> Server:
        """Ours with default settings, but for the pings and the number of streams."""
        servers = self.site.cluster.servers
        if name != OURS:
            told = environment(servers, self.topics.names.jobs, self.port, ping_seconds)
            command = engines.of_peers(_RIVALS[name])
            return Server(command, engines.environment(**told), engines.log(name), [LISTENING])
        return Server(
            [*engines.of_project("rendercast"), "gateway"],
            engines.environment(
                RENDERCAST_KAFKA__BOOTSTRAP_SERVERS=servers,
                RENDERCAST_TOPICS__PREFIX=self.topics.prefix,
                RENDERCAST_TOPICS__PARTITIONS=str(self.topics.partitions),
                RENDERCAST_MONITORING__PORT="0",
                RENDERCAST_GATEWAY__PORT=str(self.port),
                RENDERCAST_GATEWAY__JWT_SECRET=self.secret,
                RENDERCAST_GATEWAY__PING_SECONDS=str(ping_seconds),
                RENDERCAST_GATEWAY__MAX_STREAMS="20000",
            ),
            engines.log("gateway"), [LISTENING],
        )  # fmt: skip

    def readers(self, server: Worker, number: int, *, final: int = 0, gzip: bool = False) -> Readers:
        """One for each file, and from the first file on again where there are more readers than files."""
        channels = islice(cycle(self.files.readers()), number)
        asked = plan(self.port, self.secret, channels, final, gzip=gzip)
        return Readers(asked, self.site.directory, server.must_run)
