"""A simulator and gateways over one chat database, and all that follows what they begin."""

import re
import signal

import httpx
from harness import Process, eventually, read

from schemas.codec import decode_command

SECONDS = 60
TOKEN = "simulator-token"
PORT = r'"port": (\d+)'


class Stage:
    """A simulator and as many gateways as are asked for, over one chat database."""

    def __init__(self, directory, kafka, topics, chats) -> None:
        self._place = directory, kafka, topics
        self.kafka, self.topics, self.chats = kafka, topics, chats
        self.processes = []
        simulator = self.start("simulator", simulator__image_seconds=2, simulator__video_seconds=2)
        self.upstream = httpx.Client(base_url=self._found(simulator, r'"url": "([^"]+)"'), timeout=SECONDS)

    def start(self, command, **settings) -> Process:
        self.processes.append(Process(command, *self._place, **settings))
        return self.processes[-1]

    def gateway(self, **settings) -> tuple[Process, httpx.Client]:
        process = self.start(
            "gateway", gateway__port=0, gateway__auth="off", connector__base_url=self.upstream.base_url,
            connector__token=TOKEN, chats__url=self.chats, **settings,
        )  # fmt: skip
        client = httpx.Client(base_url=f"http://127.0.0.1:{self._found(process, PORT)}", timeout=SECONDS)
        process.wait_ready()
        return process, client

    def all_others(self) -> None:
        url = self.upstream.base_url
        for process in [
            self.start("connector", connector__base_url=url, connector__token=TOKEN),
            self.start("processor", processor__session_timeout=6, processor__data_directory=self._place[0] / "faust"),
            self.start("sink chats", chats__url=self.chats, chats__session_timeout_seconds=6),
        ]:
            process.wait_ready(SECONDS)

    def _found(self, process, pattern) -> str:
        def look():
            assert process.status is None, process.log
            return re.search(pattern, process.log)

        return eventually(look)[1]

    def calls(self) -> int:
        counts = self.upstream.get("/__record").json()["total"]["requests_by_kind"]
        return sum(count for kind, count in counts.items() if kind in {"generate-image", "generate-video"})

    def tracked(self) -> list:
        return [decode_command(each.value) for each in read(self.kafka, self.topics.names.commands)]

    def end(self) -> None:
        for process in reversed(self.processes):
            if process.status is None:
                process.signal(signal.SIGTERM)
        for process in self.processes:
            if process.status is None:
                process.stop(15)
