"""`/api/generate-stream` through all processes: gateways, upstream (simulated), processor, connector, chat sink."""

import json
import uuid
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from harness import eventually
from httpx_sse import connect_sse
from integration.chats.support import rows
from integration.gateway.stage import SECONDS


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
    process, client = stage.gateway()
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
