"""`/api/generate-stream`: who may, and how much."""

import asyncio

import pytest
from unit.gateway.conftest import make_file_id
from unit.gateway.turns.site import BODY, CHAT, KEY, SECRET, cancels, joined, post, posted, token

from connectors.gateway.errors import bad_field


@pytest.mark.parametrize(
    ("granted", "named", "status"),
    [
        ([f"chat.{CHAT}"], {}, 200),
        (["chat.{id}"], {}, 200),
        (["user.me"], {"user_id": "me"}, 403),
        ([f"chat.{CHAT}"], {"user_id": "me"}, 403),
        ([f"chat.{CHAT}", "user.me", "project.p"], {"user_id": "me", "project_id": "p"}, 200),
        (["file.{id}"], {}, 403),
    ],
)
async def test_a_token_generates_in_the_chats_where_it_may(site, granted, named, status):
    stand = await site.gateway(auth="jwt", jwt_secret=SECRET)
    headers = {**KEY, **token(generate=granted)}
    async with stand.http.stream("POST", "/api/generate-stream", json={**BODY, **named}, headers=headers) as answer:
        assert answer.status_code == status
    assert (len(site.upstream.asked), len(site.rows("turn"))) == ((1, 1) if status == 200 else (0, 0))


async def test_reading_and_cancelling_need_the_chat_or_a_channel_of_the_files(site):
    stand = await site.gateway(auth="jwt", jwt_secret=SECRET)
    async with posted(stand, **token(generate=["*"])) as events:
        message = (await events.next()).json()
    path = f"/api/generate-stream/{message['message_id']}"
    for granted, allowed in [
        ([f"chat.{CHAT}"], True), ([f"file.{make_file_id(1)}"], True), (["*"], True),
        (["chat.other"], False), ([], False),
    ]:  # fmt: skip
        async with stand.http.stream("GET", path, headers=token(read=granted)) as answer:
            assert answer.status_code == (200 if allowed else 403)
        answer = await stand.http.delete(path, headers=token(cancel=granted))
        assert answer.status_code == (202 if allowed else 403)
    assert (await stand.http.get(path)).status_code == 401


async def test_the_key_of_one_subject_tells_another_nothing(site):
    stand = await site.gateway(auth="jwt", jwt_secret=SECRET)
    for subject in ("one", "two"):
        async with posted(stand, **token(subject, generate=["*"])) as events:
            await events.next()
    assert len(site.upstream.asked) == 2


async def test_a_stream_ends_with_its_token_and_cancels_nothing(site):
    stand = await site.gateway(auth="jwt", jwt_secret=SECRET, jwt_leeway_seconds=0, cancel_after_close_seconds=0)
    async with posted(stand, **token(seconds=4, generate=["*"])) as events:
        assert [each.event for each in await events.rest()] == ["message"]
    await stand.routes.close()
    assert cancels(stand) == []


@pytest.mark.parametrize(("limit", "status"), [({"max_streams": 1}, 503), ({"streams_per_subject": 1}, 429)])
async def test_where_no_stream_can_be_opened_nothing_begins(site, limit, status):
    stand = await site.gateway(auth="jwt", jwt_secret=SECRET, **limit)
    async with posted(stand, **token(generate=["*"])) as events:
        message = (await events.next()).json()
        answer = await post(stand, **token(generate=["*"]), **{"Idempotency-Key": "another"})
        assert (answer.status_code, "retry-after" in answer.headers) == (status, True)
        path = f"/api/generate-stream/{message['message_id']}"
        assert (await stand.http.get(path, headers=token(read=["*"]))).status_code == status
    assert (len(site.upstream.asked), len(site.rows("turn"))) == (1, 1)


async def test_no_more_streams_than_one_subject_may_have_are_begun_at_once(site):
    stand = await site.gateway(auth="jwt", jwt_secret=SECRET, streams_per_subject=2)
    site.upstream.open.clear()
    mine = token(generate=["*"], read=["*"])
    posts = [asyncio.create_task(post(stand, **mine, **{"Idempotency-Key": f"k{n}"})) for n in range(6)]
    await stand.until(lambda: sum(each.done() for each in posts) == 4 and len(site.upstream.asked) == 2)
    assert {each.result().status_code for each in posts if each.done()} == {429}
    message_id = str(site.messages()[-1]["id"])
    assert (await stand.http.get(f"/api/generate-stream/{message_id}", headers=mine)).status_code == 429
    assert (await stand.http.get("/api/events/all", headers=mine)).status_code == 429
    assert len(site.rows("turn")) == 2
    for each in posts:
        each.cancel()
    site.upstream.open.set()


async def test_the_place_of_a_stream_that_was_not_opened_is_free_again(site):
    stand = await site.gateway(auth="jwt", jwt_secret=SECRET, streams_per_subject=1)
    mine = token(generate=["*"], read=["*"])
    site.upstream.trouble = bad_field("model", "unknown")
    assert [(await post(stand, **mine)).status_code for _ in range(2)] == [422, 422]
    site.upstream.trouble = None
    async with posted(stand, **mine) as events:
        message = (await events.next()).json()
    path = f"/api/generate-stream/{message['message_id']}"
    await stand.until(lambda: not stand.board._subscribers)
    assert [(await stand.http.head(path, headers=mine)).status_code for _ in range(2)] == [200, 200]
    async with joined(stand, message["message_id"], **mine) as events:
        await events.next()
        assert (await stand.http.get(path, headers=mine)).status_code == 429
