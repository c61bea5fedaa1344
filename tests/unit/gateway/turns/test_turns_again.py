"""`/api/generate-stream`: the same request again, and who comes back."""

import asyncio
import contextlib

import pytest
from unit.gateway.conftest import make_job
from unit.gateway.turns.site import BODY, done, job_of, joined, post, posted

# the same request again


async def test_the_same_request_again_joins_and_finds_the_same_message(site, stand):
    async with posted(stand) as events, posted(stand) as again:
        message = (await events.next()).json()
        assert (await again.next()).json() == message
        stand.tell(done(message))
        for each in (events, again):
            assert [told.event for told in await each.rest()] == ["update", "complete"]
    async with posted(stand) as late:
        told = await late.rest()
    assert [each.event for each in told] == ["message", "complete"]
    assert told[0].json()["message_id"] == message["message_id"]
    assert (len(site.upstream.asked), len(stand.commands.sent)) == (1, 1)
    assert (len(site.messages()), len(site.rows("turn"))) == (2, 1)


async def test_another_gateway_joins_by_the_request_and_by_the_message(site, stand):
    async with posted(stand) as events:
        message = (await events.next()).json()
    other = await site.gateway()
    other.tell(job_of(message, progress=30))
    async with posted(other) as again, joined(other, message["message_id"]) as rejoined:
        for each in (again, rejoined):
            found = (await each.next()).json()
            assert (found["message_id"], found["percent"]) == (message["message_id"], 30)
        other.tell(done(message))
        for each in (again, rejoined):
            assert [told.event for told in await each.rest()] == ["update", "complete"]
    assert len(site.upstream.asked) == 1


async def test_of_two_gateways_that_race_for_one_click_one_asks(site, stand):
    other = await site.gateway()
    site.upstream.open.clear()
    async with contextlib.AsyncExitStack() as stack:

        async def open_one(where):
            return await stack.enter_async_context(posted(where))

        opening = [asyncio.create_task(open_one(where)) for where in (stand, other) * 4]
        await stand.until(lambda: site.upstream.asked)
        site.upstream.open.set()
        told = [await each.next() for each in await asyncio.gather(*opening)]
    assert len({each.json()["message_id"] for each in told}) == 1
    assert (len(site.upstream.asked), len(site.messages())) == (1, 2)


async def test_without_a_key_each_request_is_a_click_of_its_own(site, stand):
    for _ in range(2):
        async with posted(stand, **{"Idempotency-Key": ""}) as events:
            await events.next()
    assert (len(site.upstream.asked), len(site.messages())) == (2, 4)


async def test_a_key_that_came_with_another_request_is_refused(site, stand):
    async with posted(stand) as events:
        await events.next()
    other = await site.gateway()
    answer = await post(other, {**BODY, "prompt": "a dog"})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "Idempotency-Key")
    assert len(site.upstream.asked) == 1


async def test_what_was_begun_goes_on_when_whoever_asked_has_gone(site, stand):
    site.upstream.open.clear()
    leaving = asyncio.create_task(post(stand))
    await stand.until(lambda: site.upstream.asked)
    leaving.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await leaving
    site.upstream.open.set()
    await stand.until(lambda: site.rows("turn")[0]["state"] == "followed")
    assert len(stand.commands.sent) == 1


# come back


async def test_a_file_that_is_no_longer_held_is_answered_from_the_database(site, stand):
    site.upstream.count = 2
    async with posted(stand) as events:
        message = (await events.next()).json()
    await site.show(done(message), message["message_id"], copy="s3://store/1.mp4")
    other = await site.gateway()
    other.tell(done(message, 2))
    async with joined(other, message["message_id"]) as events:
        told = await events.rest()
    assert [each.event for each in told] == ["message", "complete"]
    assert [each.get("durable_url") for each in told[-1].json()["files"]] == ["s3://store/1.mp4", None]


async def test_what_the_gateway_holds_outweighs_an_older_state_of_the_database(site, stand):
    async with posted(stand) as events:
        message = (await events.next()).json()
    await site.show(job_of(message, 1, 3, progress=30), message["message_id"])
    stand.tell(job_of(message, 1, 2, progress=20))
    async with joined(stand, message["message_id"]) as events:
        assert (await events.next()).json()["percent"] == 30
        stand.tell(job_of(message, 1, 2, progress=25))  # this gateway reads behind the sink
        stand.tell(job_of(message, 1, 4, progress=40))
        assert (await events.next()).json()["percent"] == 40


async def test_a_file_that_is_generated_anew_elsewhere_ends_as_superseded(site, stand):
    async with posted(stand) as events:
        message = (await events.next()).json()
        stand.tell(make_job(1, version=1, generation="before"))
        stand.tell(job_of(message, 1, 2, progress=20))
        stand.tell(make_job(1, version=3, generation="after"))
        told = await events.rest()
    assert [each.event for each in told] == ["update", "update", "error"]
    assert told[-1].json()["reason"] == "superseded"


@pytest.mark.parametrize("message_id", ["x", "aaaaaaaa-0000-4000-8000-000000000009", "%00", "x" * 300])
async def test_an_unknown_message_is_404(stand, message_id):
    for method in ("GET", "DELETE"):
        answer = await stand.http.request(method, f"/api/generate-stream/{message_id}")
        assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")
