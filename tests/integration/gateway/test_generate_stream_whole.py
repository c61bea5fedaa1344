"""`/api/generate-stream` through all processes: gateways, upstream (simulated), processor, connector, chat sink."""

import asyncio
import json
import re
import signal
import uuid
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from harness import Process, eventually, read
from httpx_sse import connect_sse
from integration.chats.support import rows

from connectors.chats.database import upgrade
from schemas.codec import decode_command

SECONDS = 60
TOKEN = "simulator-token"


@pytest.fixture(params=["sqlite", "postgres"])
def chats(request, tmp_path):
    url = (
        f"sqlite:///{tmp_path}/chats.db" if request.param == "sqlite" else request.getfixturevalue("postgres_database")
    )
    asyncio.run(upgrade(url))
    return url


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


PORT = r'"port": (\d+)'


@pytest.fixture
def stage(kafka, topics, tmp_path, chats):
    made = Stage(tmp_path, kafka, topics, chats)
    yield made
    made.end()


def body(**fields):
    return {"kind": "image", "model": "comfyui/flux", "prompt": "a cat", "chat_id": str(uuid.uuid4()), **fields}


def events(client, method, path, *, until=None, **request):
    """All events of a stream, or those up to the first one of a name."""
    found = []
    with connect_sse(client, method, path, **request) as source:
        assert source.response.status_code == 200, source.response.read()
        for each in source.iter_sse():
            if each.data:
                found.append((each.event, json.loads(each.data)))
                if each.event == until:
                    break
    return found


def test_a_click_is_one_generation_whose_result_is_in_the_chat_once(stage):
    stage.all_others()
    _, client = stage.gateway()
    asked = {"json": body(params={"batch_size": 2}), "headers": {"Idempotency-Key": "click"}}
    told = events(client, "POST", "/api/generate-stream", **asked)
    names = [name for name, _ in told]
    assert (names[0], names[-1], set(names[1:-1])) == ("message", "complete", {"update"})
    percents = [data["percent"] for _, data in told]
    assert percents == sorted(percents)
    message, end = told[0][1], told[-1][1]
    files = {each["file_id"] for each in message["files"]}
    assert len(files) == 2
    assert {each["file_id"] for each in end["files"] if each["url"]} == files

    again = events(client, "POST", "/api/generate-stream", **asked)
    _, other = stage.gateway()
    rejoined = events(other, "GET", f"/api/generate-stream/{message['message_id']}")
    for repeat in (again, rejoined):
        assert [name for name, _ in repeat] == ["message", "complete"]
        assert repeat[0][1]["message_id"] == message["message_id"]
        assert {each["file_id"]: each["url"] for each in repeat[1][1]["files"]} == {
            each["file_id"]: each["url"] for each in end["files"]
        }
    assert stage.calls() == 1
    assert len(stage.tracked()) == 2

    eventually(lambda: [each["status"] for each in rows(stage.chats, "artifact")] == ["completed"] * 2, SECONDS)
    assert {str(each["message_id"]) for each in rows(stage.chats, "artifact")} == {message["message_id"]}
    found = {str(each["id"]): each for each in rows(stage.chats, "message")}
    assert found.keys() == {message["user_message_id"], message["message_id"]}
    assert found[message["user_message_id"]]["content"] == "a cat"
    assert found[message["message_id"]]["status"] == "completed"


def test_a_gateway_that_is_killed_while_the_upstream_is_asked_costs_no_second_generation(stage):
    process, client = stage.gateway(gateway__generate_wait_seconds=2)
    stage.upstream.post("/__faults", json={"no_answer": 1}).raise_for_status()
    asked = {"json": body(), "headers": {"Idempotency-Key": "click"}}
    with ThreadPoolExecutor(1) as pool:
        lost = pool.submit(client.post, "/api/generate-stream", **asked)
        eventually(lambda: [each["state"] for each in rows(stage.chats, "turn")] == ["asked"])
        process.kill()
        with pytest.raises(httpx.TransportError):
            lost.result()
    stage.upstream.post("/__faults", json={"no_answer": 0}).raise_for_status()
    calls = stage.calls()
    assert [each["state"] for each in rows(stage.chats, "turn")] == ["asked"]
    _, other = stage.gateway(gateway__generate_wait_seconds=2)
    answer = other.post("/api/generate-stream", **asked)
    assert (answer.status_code, answer.json()["reason"]) == (502, "unsure")
    message_id = answer.json()["message_id"]
    told = events(other, "GET", f"/api/generate-stream/{message_id}")
    assert [name for name, _ in told] == ["message", "error"]
    assert (stage.calls(), stage.tracked()) == (calls, [])
    assert {str(each["id"]) for each in rows(stage.chats, "message")} >= {message_id}
    assert len(rows(stage.chats, "message")) == 2


def test_of_two_gateways_that_race_one_asks_and_both_tell_of_it_also_after_a_kill(stage):
    gateways = [stage.gateway() for _ in range(2)]
    asked = {"json": body(), "headers": {"Idempotency-Key": "click"}}
    with ThreadPoolExecutor(8) as pool:
        running = [
            pool.submit(events, client, "POST", "/api/generate-stream", until="message", **asked)
            for _, client in gateways * 4
        ]
        told = [each.result() for each in running]
    assert len({each[0][1]["message_id"] for each in told}) == 1
    assert (stage.calls(), len(rows(stage.chats, "message"))) == (1, 2)
    # Who finds the turn begun and not yet followed tells Kafka, too: the same command, which changes nothing.
    assert len({(each.type, each.file_id, each.request_id) for each in stage.tracked()}) == 1
    for process, _ in gateways:
        process.kill()
    _, fresh = stage.gateway()
    [(name, message)] = events(fresh, "POST", "/api/generate-stream", until="message", **asked)
    assert (name, message["message_id"]) == ("message", told[0][0][1]["message_id"])
    assert fresh.delete(f"/api/generate-stream/{message['message_id']}").status_code == 202
    assert (stage.calls(), {each.type for each in stage.tracked()}) == (1, {"track", "cancel"})
