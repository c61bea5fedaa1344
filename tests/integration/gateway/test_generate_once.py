"""`/api/generate/…` with gateways that race and are killed: one click is one generation at the upstream."""

from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from harness import eventually
from integration.chats.support import rows

CLICK = {"json": {"model": "comfyui/flux", "prompt": "a cat"}, "headers": {"Idempotency-Key": "click"}}


def click(client):
    return client.post("/api/generate/image", **CLICK)


def test_of_two_gateways_that_race_one_asks_and_one_that_comes_later_knows(stage):
    gateways = [stage.gateway() for _ in range(2)]
    with ThreadPoolExecutor(8) as pool:
        running = [pool.submit(click, client) for _, client in gateways * 4]
        answers = [each.result() for each in running]
    for process, _ in gateways:
        process.kill()
    _, fresh = stage.gateway()
    answers.append(click(fresh))
    assert {each.status_code for each in answers} == {202}
    assert len({each.text for each in answers}) == 1
    assert stage.calls() == 1
    # Who finds the order begun and not yet followed tells Kafka, too: the same command, which changes nothing.
    [file] = answers[0].json()["files"]
    assert {(each.type, each.file_id, each.request_id) for each in stage.tracked()} == {
        ("track", file["file_id"], answers[0].json()["request_id"])
    }
    assert (len(rows(stage.chats, "turn")), rows(stage.chats, "message")) == (1, [])


def test_a_gateway_that_is_killed_while_the_upstream_is_asked_costs_no_second_generation(stage):
    process, client = stage.gateway()
    client.get("/api/models?kind=image").raise_for_status()  # the list is held now: what is not answered is the click
    stage.upstream.post("/__faults", json={"no_answer": 1}).raise_for_status()
    with ThreadPoolExecutor(1) as pool:
        lost = pool.submit(click, client)
        eventually(lambda: [each["state"] for each in rows(stage.chats, "turn")] == ["asked"])
        eventually(lambda: stage.calls() == 1)
        process.kill()
        with pytest.raises(httpx.TransportError):
            lost.result()
    stage.upstream.post("/__faults", json={"no_answer": 0}).raise_for_status()
    _, other = stage.gateway(gateway__generate_wait_seconds=2)
    for _ in range(2):
        answer = click(other)
        assert (answer.status_code, answer.json()["reason"]) == (502, "unsure")
    assert (stage.calls(), stage.tracked()) == (1, [])
