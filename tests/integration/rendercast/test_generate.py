"""`rendercast gateway` between a browser, the upstream (simulated) and a real Kafka: one click, one generation."""

import re
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from harness import Process, eventually, read

from schemas.codec import decode_command

TOKEN = "simulator-token"
IMAGE = {"model": "comfyui/flux", "prompt": "a cat"}
VIDEO = {"model": "comfyui/ltx", "prompt": "a cat"}


class Stage:
    """A simulator, a gateway that asks it, and what each has seen."""

    def __init__(self, directory, kafka, topics, **settings) -> None:
        self.kafka, self.topics = kafka, topics
        self.processes = [Process("simulator", directory, kafka, topics)]
        self.upstream = self._client(0, r'"url": "([^"]+)"', "{}")
        url = str(self.upstream.base_url)
        asked = {"connector__base_url": url, "connector__token": TOKEN, "gateway__port": 0, "gateway__auth": "off"}
        self.processes.append(Process("gateway", directory, kafka, topics, **{**asked, **settings}))
        self.gateway = self._client(1, r'"port": (\d+)', "http://127.0.0.1:{}")
        self.processes[1].wait_ready()

    def _client(self, number, pattern, url) -> httpx.Client:
        process = self.processes[number]

        def found():
            assert process.status is None, process.log
            return re.search(pattern, process.log)

        return httpx.Client(base_url=url.format(eventually(found)[1]), timeout=60)

    def post(self, kind, body, **headers) -> httpx.Response:
        return self.gateway.post(f"/api/generate/{kind}", json=body, headers=headers)

    def faults(self, **rates) -> None:
        self.upstream.post("/__faults", json=rates).raise_for_status()

    def begun(self) -> set[str]:
        return set(self.upstream.get("/__record").json()["files"])

    def calls(self, kind) -> int:
        return self.upstream.get("/__record").json()["total"]["requests_by_kind"].get(f"generate-{kind}", 0)

    def tracks(self) -> dict[str, list]:
        found: dict[str, list] = {}
        for record in read(self.kafka, self.topics.names.commands):
            command = decode_command(record.value)
            assert record.key.decode() == command.file_id
            found.setdefault(command.file_id, []).append(command)
        return found

    def end(self) -> None:
        for client in (self.upstream, self.gateway):
            client.close()
        for process in reversed(self.processes):
            assert process.stop() == 0


@pytest.fixture
def stage(kafka, topics, tmp_path):
    stages = []

    def make(**settings) -> Stage:
        stages.append(Stage(tmp_path, kafka, topics, **settings))
        return stages[-1]

    yield make
    for each in stages:
        each.end()


def files(answer) -> list[str]:
    return [each["file_id"] for each in answer.json()["files"]]


def test_what_the_upstream_has_begun_stands_on_the_topic_when_it_is_answered(stage):
    here = stage()
    body = {**IMAGE, "params": {"batch_size": 3}, "request_id": "r1", "user_id": "me", "chat": {"chat_id": "c"}}
    images, video = here.post("image", body), here.post("video", VIDEO)
    assert [images.status_code, video.status_code] == [202, 202], here.processes[1].log
    assert len(set(files(images))) == 3
    assert here.begun() == {*files(images), *files(video)}
    tracks = here.tracks()
    assert {each: len(found) for each, found in tracks.items()} == dict.fromkeys(here.begun(), 1)
    for file_id in files(images):
        [track] = tracks[file_id]
        assert (track.request_id, track.kind, track.user_id, track.chat.chat_id) == ("r1", "image", "me", "c")
    [track] = tracks[files(video)[0]]
    assert (track.kind, track.prompt, track.request_id) == ("video", "a cat", video.json()["request_id"])


def test_a_conflict_is_tried_again_and_begins_nothing_twice(stage):
    here = stage()
    here.faults(conflict=0.5)
    answers = [here.post("image", IMAGE) for _ in range(12)]
    accepted = [each for each in answers if each.status_code == 202]
    assert {each.status_code for each in answers} <= {202, 503}
    assert len(accepted) >= 6
    assert here.calls("image") > len(answers)
    assert sorted(file for each in accepted for file in files(each)) == sorted(here.begun())
    assert set(here.tracks()) == here.begun()


def test_a_click_that_is_sent_many_times_at_once_is_one_generation(stage):
    here = stage()
    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda _: here.post("video", VIDEO, **{"Idempotency-Key": "click"}), range(10)))
    assert {each.status_code for each in answers} == {202}
    assert len({each.text for each in answers}) == 1
    assert (here.calls("video"), len(here.begun())) == (1, 1)
    assert [len(each) for each in here.tracks().values()] == [1]


def test_an_answer_that_breaks_off_is_not_asked_for_again(stage):
    here = stage()
    here.faults(answer_reset=1)
    answers = [here.post("video", VIDEO, **{"Idempotency-Key": "click"}) for _ in range(2)]
    assert [each.status_code for each in answers] == [502, 502]
    assert (here.calls("video"), len(here.begun())) == (1, 1)


def test_refusals_name_the_field_and_begin_nothing(stage):
    here = stage()
    for kind, body, field in [
        ("video", {**VIDEO, "model": "comfyui/flux"}, "model"),
        ("video", {**VIDEO, "model": "azure-openai/sora", "params": {"aspect_ratio": "4:3"}}, "params.aspect_ratio"),
        ("video", {**VIDEO, "params": {"aspecRatio": "16:9"}}, "params.aspecRatio"),
    ]:
        answer = here.post(kind, body)
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)
    assert "comfyui/ltx" in here.post("video", {**VIDEO, "model": "comfyui/flux"}).json()["detail"]
    assert here.calls("video") == 0
    wrong = here.post("image", {**IMAGE, "params": {"batch_size": 99}})
    assert (wrong.status_code, wrong.json()["errors"][0]["field"]) == (422, "params.batch_size")
    style = here.post("image", {**IMAGE, "params": {"style_name": "x"}})
    assert (style.status_code, "Invalid payload" in style.json()["detail"]) == (422, True)
    here.faults(rate_limit=1)
    paused = here.post("image", IMAGE)
    assert (paused.status_code, int(paused.headers["retry-after"]) >= 1) == (429, True)
    assert (here.begun(), here.tracks()) == (set(), {})


def test_a_wrong_token_is_the_servers_trouble_and_told_to_nobody(stage):
    here = stage(connector__token="a-wrong-token")
    answer = here.post("image", IMAGE)
    assert answer.status_code == 502
    assert "a-wrong-token" not in answer.text + here.processes[1].log


def test_without_a_token_the_gateway_works_and_generates_nothing(stage):
    here = stage(connector__token="")
    answer = here.post("image", IMAGE)
    assert answer.status_code == 503
    assert "RENDERCAST_CONNECTOR__TOKEN" in answer.json()["detail"]
    assert here.calls("image") == 0
