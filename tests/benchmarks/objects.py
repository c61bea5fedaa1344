"""One large object from a host to a file: the storage sink, and plain httpx."""

import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

from benchmarks import engines
from benchmarks.medians import Failed
from benchmarks.site import Site
from benchmarks.work import Sent
from benchmarks.worker import Worker

from schemas import StorageRequest
from schemas.codec import encode
from schemas.headers import headers

OURS, PLAIN = "rendercast", "httpx to file"
LIMIT_SECONDS = 600


@dataclass(frozen=True, slots=True)
class Copied:
    """`pace` in bytes per second, from the host's first byte; `peak` in bytes of memory."""

    pace: float
    peak: int


class Objects:
    """The object is made by the host as it is read, so nothing of it lies on a disk before."""

    def __init__(self, site: Site, size: int) -> None:
        self._site, self._size = site, size

    def measure(self, name: str) -> Copied:
        folder = self._site.directory / self._site.name("objects")
        folder.mkdir()
        host = Worker(
            [sys.executable, "-m", "benchmarks.peers.big_host"],
            engines.environment(BENCH_BYTES=str(self._size)),
            engines.log("host"),
            ["listening", "asked"],
        )
        with host:
            port = int(host.wait_for("listening", 30).line.split()[1])
            try:
                with self._started(name, f"http://127.0.0.1:{port}/object.mp4", port, folder) as worker:
                    mark = '"event": "stored"' if name == OURS else "written"
                    end = worker.wait_for(mark, LIMIT_SECONDS)
                    begin = host.wait_for("asked", 1)
                    peak = worker.rss("VmHWM")
                sizes = [each.stat().st_size for each in folder.rglob("*.mp4")]
                if sizes != [self._size]:
                    raise Failed(f"wrong copies: {sizes}")
            finally:
                shutil.rmtree(folder)
        return Copied(self._size / (end.at - begin.at), peak)

    def _started(self, name: str, url: str, port: int, folder: Path) -> Worker:
        if name != OURS:
            return Worker(
                [sys.executable, "-m", "benchmarks.peers.httpx_to_file"],
                engines.environment(BENCH_URL=url, BENCH_FILE=str(folder / "object.mp4")),
                engines.log(name),
                ["written"],
            )
        topics = self._site.topics(1)
        asked = StorageRequest(file_id=str(uuid4()), generation="one", url=url, kind="video")
        record = Sent(0, asked.file_id.encode(), encode(asked), headers(asked))
        self._site.cluster.load(topics.names.storage, [record])
        environment = engines.environment(
            RENDERCAST_KAFKA__BOOTSTRAP_SERVERS=self._site.cluster.servers,
            RENDERCAST_TOPICS__PREFIX=topics.prefix,
            RENDERCAST_TOPICS__PARTITIONS="1",
            RENDERCAST_MONITORING__PORT="0",
            RENDERCAST_STORAGE__STORE_URL=str(folder),
            RENDERCAST_STORAGE__ALLOW_HTTP="true",
            RENDERCAST_STORAGE__ALLOW_PRIVATE_HOSTS=f'["127.0.0.1:{port}"]',
        )
        command = [sys.executable, "-m", "rendercast", "sink", "storage"]
        return Worker(command, environment, engines.log(name), ['"event": "stored"'])
