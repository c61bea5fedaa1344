"""The REST side over a real socket: what is answered to whom, and what bad input gets."""

import asyncio
import json
import socket

import pytest

from schemas import Cancel, Check, Track
from schemas.errors import RetryLater

JSON = {"content-type": "application/json"}


async def test_track_is_accepted_when_the_broker_has_it(stand, file_id):
    body = {
        "file_id": file_id(10).upper(),
        "kind": "video",
        "request_id": "r1",
        "project_id": "p",
        "deadline_seconds": 60,
    }
    answer = await stand.http.post("/api/jobs", json=body)
    assert (answer.status_code, answer.json()) == (202, {"file_id": file_id(10), "generation": "r1"})
    [command] = stand.commands.sent
    assert isinstance(command, Track)
    assert (command.file_id, command.project_id, command.deadline_seconds) == (file_id(10), "p", 60)


async def test_track_names_the_generation_only_where_it_is_known(stand, file_id):
    base = {"file_id": file_id(1), "kind": "image"}
    assert (await stand.http.post("/api/jobs", json=base)).json() == {"file_id": file_id(1)}
    named = await stand.http.post("/api/jobs", json={**base, "upstream_generation_id": "u1"})
    assert named.json()["generation"] == "u1"


async def test_unknown_fields_of_a_track_are_ignored_and_its_type_and_time_are_ours(stand, file_id):
    body = {"file_id": file_id(1), "kind": "image", "type": "cancel", "issued_at": "yesterday", "colour": "red"}
    assert (await stand.http.post("/api/jobs", json=body)).status_code == 202
    assert isinstance(stand.commands.sent[0], Track)


async def test_check_and_cancel_are_accepted_for_files_not_held_here(stand, file_id):
    checked = await stand.http.post(f"/api/jobs/{file_id(1)}/check")
    cancelled = await stand.http.delete(f"/api/jobs/{file_id(1).upper()}", params={"generation": "g7"})
    assert [checked.status_code, cancelled.status_code] == [202, 202]
    check, cancel = stand.commands.sent
    assert isinstance(check, Check)
    assert isinstance(cancel, Cancel)
    assert (cancel.file_id, cancel.generation) == (file_id(1), "g7")


async def test_without_kafka_a_command_gets_503_with_a_time_to_come_back(stand, file_id):
    stand.commands.trouble = RetryLater("Kafka did not take the command.", after=1.2)
    for answer in (
        await stand.http.post("/api/jobs", json={"file_id": file_id(1), "kind": "image"}),
        await stand.http.post(f"/api/jobs/{file_id(1)}/check"),
        await stand.http.delete(f"/api/jobs/{file_id(1)}"),
    ):
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
        assert answer.json()["detail"] == "Kafka did not take the command."


BAD_TRACKS = {
    "a wrong id": ({"file_id": "x", "kind": "video"}, "file_id"),
    "an id with a line end": ({"file_id": "00000000-0000-4000-8000-000000000001\n", "kind": "video"}, "file_id"),
    "no id": ({"kind": "video"}, "file_id"),
    "a number as id": ({"file_id": 5, "kind": "video"}, "file_id"),
    "an unknown kind": ({"file_id": "00000000-0000-4000-8000-000000000001", "kind": "hologram"}, "kind"),
    "a negative deadline": (
        {"file_id": "00000000-0000-4000-8000-000000000001", "kind": "video", "deadline_seconds": -1},
        "deadline_seconds",
    ),
    "a chat without id": (
        {"file_id": "00000000-0000-4000-8000-000000000001", "kind": "video", "chat": {}},
        "chat.chat_id",
    ),
    "an endless prompt": (
        {"file_id": "00000000-0000-4000-8000-000000000001", "kind": "video", "prompt": "x" * 20_001},
        "prompt",
    ),
    "an array": ([], "body"),
    "a string": ("x", "body"),
    "null": (None, "body"),
}


@pytest.mark.parametrize("case", BAD_TRACKS)
async def test_a_bad_track_gets_422_with_the_field(stand, case):
    body, field = BAD_TRACKS[case]
    answer = await stand.http.post("/api/jobs", content=json.dumps(body), headers=JSON)
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == 422
    assert [each["field"] for each in problem["errors"]] == [field]
    assert field in problem["detail"]
    assert stand.commands.sent == []


async def test_every_wrong_field_is_named_at_once(stand):
    answer = await stand.http.post("/api/jobs", json={"file_id": "x", "kind": "y"})
    assert [each["field"] for each in answer.json()["errors"]] == ["file_id", "kind"]
    assert answer.json()["errors"][0]["message"] == "should be a UUID"


@pytest.mark.parametrize(
    ("content", "headers", "status"),
    [
        (b"{", JSON, 400),
        (b"", JSON, 400),
        (b"\xff\xfe", JSON, 400),
        (b"[" * 100_000, JSON, 400),
        (b'{"a": NaN}', JSON, 400),
        (b"{}", {"content-type": "text/plain"}, 415),
        (b"{}", {}, 415),
        (b" " * 1_048_577, JSON, 413),
        (b" " * 1_048_576, JSON, 400),
    ],
    ids=["cut", "empty", "not text", "deep", "NaN", "text", "untyped", "huge", "at the limit"],
)
async def test_a_body_that_is_no_json_object_is_refused(stand, content, headers, status):
    answer = await stand.http.post("/api/jobs", content=content, headers=headers)
    assert (answer.status_code, answer.json()["status"]) == (status, status)


async def test_a_huge_body_without_a_length_is_refused_at_the_limit(stand):
    async def pieces():
        for _ in range(17):
            yield b" " * 65_536

    assert (await stand.http.post("/api/jobs", content=pieces(), headers=JSON)).status_code == 413


async def test_who_sends_far_too_much_is_told_so_and_not_cut_off(stand):
    answer = await stand.http.post("/api/jobs", json={"prompt": "a" * 10_000_000})
    assert answer.json()["status"] == 413


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"project_id": "a\0b"}, "project_id"),
        ({"chat": {"chat_id": "c", "message_id": "\0"}}, "chat"),
        ({"unknown": [{"\0": 1}]}, "unknown"),
        ({"\0": 1}, "\\0"),
    ],
)
async def test_a_text_that_databases_do_not_hold_is_refused_with_its_field(stand, file_id, changes, field):
    body = {"file_id": file_id(1), "kind": "image"}
    answer = await stand.http.post("/api/jobs", json={**body, **changes})
    assert (answer.status_code, [each["field"] for each in answer.json()["errors"]]) == (422, [field])
    escaped = {**body, "project_id": "\\u0000"}  # a backslash and a u are only that
    assert (await stand.http.post("/api/jobs", json=escaped)).status_code == 202


async def test_a_body_that_never_arrives_is_given_up(make_stand):
    stand = await make_stand(body_timeout_seconds=0.1)
    reader, writer = await asyncio.open_connection("127.0.0.1", stand.server.port)
    writer.write(b"POST /api/jobs HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{")
    assert b" 408 " in await asyncio.wait_for(reader.readline(), 10)
    writer.close()


async def test_a_job_is_shown_without_the_state_machines_own_fields(stand, job, file_id):
    stand.tell(job(1, prompt="a lighthouse", applied={"upstream": 7}, task_id="t", chats=[{"chat_id": "c"}]))
    shown = (await stand.http.get(f"/api/jobs/{file_id(1).upper()}")).json()
    assert shown["prompt"] == "a lighthouse"
    assert shown["tracked_at"] == "2026-11-21T12:00:00.000Z"
    assert not shown.keys() & {"applied", "chats", "earlier", "task_id", "check", "watching", "format"}


async def test_a_job_that_nobody_tracks_is_404_and_no_uuid_is_422(stand, file_id):
    assert (await stand.http.get(f"/api/jobs/{file_id(1)}")).status_code == 404
    for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/check")):
        answer = await stand.http.request(method, f"/api/jobs/not-a-uuid{path}")
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "file_id")
    assert (await stand.http.get(f"/api/jobs/{file_id(1)}%0A")).status_code == 422


async def test_jobs_are_listed_by_project_and_status_up_to_a_limit(stand, job, file_id):
    for number in range(1, 4):
        stand.tell(job(number, project_id="p"))
    stand.tell(job(4, project_id="p", outcome="completed"))
    stand.tell(job(5))

    async def listed(**query):
        found = (await stand.http.get("/api/jobs", params=query)).json()
        return [int(each["file_id"][-2:]) for each in found["jobs"]], found["total"]

    assert await listed() == ([5, 3, 2, 1, 4], 5)
    assert await listed(project_id="p", status="processing", limit=2) == ([3, 2], 3)
    assert await listed(status="completed") == ([4], 1)
    assert await listed(project_id="nobody") == ([], 0)


@pytest.mark.parametrize("query", ["status=done", "limit=0", "limit=x", "project_id="])
async def test_a_bad_query_names_its_field(stand, query):
    answer = await stand.http.get(f"/api/jobs?{query}")
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, query.partition("=")[0])


async def test_before_the_jobs_are_read_nothing_is_said_to_be_unknown(make_stand, file_id):
    stand = await make_stand(loaded=False)
    for path in (f"/api/jobs/{file_id(1)}", "/api/jobs"):
        answer = await stand.http.get(path)
        assert (answer.status_code, "retry-after" in answer.headers) == (503, True)


async def test_unknown_routes_and_methods_get_problems(stand):
    missing = await stand.http.get("/api/nothing")
    assert (missing.status_code, missing.headers["content-type"]) == (404, "application/problem+json")
    wrong = await stand.http.put("/api/jobs")
    assert (wrong.status_code, wrong.headers["content-type"]) == (405, "application/problem+json")
    assert "allow" in wrong.headers


async def test_a_bug_is_told_without_its_stack(stand, file_id):
    stand.commands.trouble = ZeroDivisionError("secret detail")
    answer = await stand.http.post(f"/api/jobs/{file_id(1)}/check")
    assert (answer.status_code, answer.headers["content-type"]) == (500, "application/problem+json")
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text


async def test_odd_headers_are_no_bug(stand):
    with socket.create_connection(("127.0.0.1", stand.server.port), timeout=10) as raw:
        raw.sendall(b"GET /api/nothing HTTP/1.1\r\nHost: [\r\nLast-Event-ID: \xff\xfe\r\nConnection: close\r\n\r\n")
        answer = await asyncio.to_thread(lambda: raw.makefile("rb").read())
    assert answer.startswith(b"HTTP/1.1 404 ")


async def test_health_is_not_readiness(stand):
    stand.not_ready = "Kafka does not answer"
    assert (await stand.http.get("/healthz")).status_code == 200
    refused = await stand.http.get("/readyz")
    assert (refused.status_code, refused.json()["detail"]) == (503, "Kafka does not answer")
    stand.not_ready = None
    assert (await stand.http.get("/readyz")).json() == {"status": "ready"}


async def test_requests_are_counted_by_route_and_status(stand, file_id):
    await stand.http.get(f"/api/jobs/{file_id(1)}")
    await stand.http.request("BREW", "/pot")
    counted = (await stand.http.get("/metrics")).text
    assert 'rendercast_gateway_requests_total{method="GET",route="/api/jobs/{file_id}",status="404"}' in counted
    assert 'rendercast_gateway_requests_total{method="other",route="none",status="404"}' in counted


async def test_all_jobs_can_be_kept_from_view(make_stand):
    stand = await make_stand(all_channel=False)
    assert (await stand.http.get("/api/jobs")).status_code == 403
    assert (await stand.http.get("/api/events/all")).status_code == 403
    assert (await stand.http.get("/api/jobs?project_id=p")).status_code == 200
