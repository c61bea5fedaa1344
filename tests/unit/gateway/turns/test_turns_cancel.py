"""`/api/generate-stream`: cancel."""

import asyncio

from unit.gateway.conftest import make_file_id
from unit.gateway.turns.site import cancels, done, job_of, joined, post, posted

from schemas import Cancel, Track


async def test_delete_cancels_every_file_of_the_message(site, stand):
    site.upstream.count = 2
    async with posted(stand) as events:
        message = (await events.next()).json()
        answer = await stand.http.delete(f"/api/generate-stream/{message['message_id']}")
        assert answer.status_code == 202
        assert answer.json()["file_ids"] == [make_file_id(1), make_file_id(2)]
        cancels = [each for each in stand.commands.sent if isinstance(each, Cancel)]
        assert [(each.file_id, each.generation) for each in cancels] == [
            (make_file_id(number), message["request_id"]) for number in (1, 2)
        ]
        for number in (1, 2):
            stand.tell(job_of(message, number, 2, outcome="cancelled", reason="cancelled"))
        assert (await events.rest())[-1].json()["reason"] == "cancelled"


async def test_delete_while_the_upstream_is_asked_cancels_what_begins(site, stand):
    site.upstream.open.clear()
    asking = asyncio.create_task(post(stand))
    await stand.until(lambda: site.upstream.asked)
    message_id = site.messages()[1]["id"]
    deleting = asyncio.create_task(stand.http.delete(f"/api/generate-stream/{message_id}"))
    await asyncio.sleep(0)
    site.upstream.open.set()
    assert (await deleting).status_code == 202
    assert [type(each) for each in stand.commands.sent] == [Track, Cancel]
    asking.cancel()


async def test_by_setting_the_close_of_the_last_stream_cancels(site):
    stand = await site.gateway(cancel_after_close_seconds=0)
    async with posted(stand) as events:
        message = (await events.next()).json()
        async with joined(stand, message["message_id"]) as other:
            await other.next()
        stand.tell(job_of(message, progress=1))
        await events.next()
        assert cancels(stand) == []
    await stand.until(lambda: len(cancels(stand)) == 1)


async def test_who_comes_back_in_time_keeps_what_is_generated(site):
    stand = await site.gateway(cancel_after_close_seconds=600)
    async with posted(stand) as events:
        message = (await events.next()).json()
    turn, here = await stand.turns.find(message["message_id"]), stand.routes._turns
    await stand.until(lambda: here._leaving)
    async with joined(stand, message["message_id"]) as events:
        await events.next()
        await here._cancel_unless_open(turn, 0)  # as after those ten minutes
        assert cancels(stand) == []
    await stand.until(lambda: not stand.board._subscribers)
    await here._cancel_unless_open(turn, 0)
    assert len(cancels(stand)) == 1


async def test_a_stream_that_has_told_the_end_cancels_nothing_and_without_the_setting_none_does(site, stand):
    eager = await site.gateway(cancel_after_close_seconds=0)
    async with posted(eager) as events:
        message = (await events.next()).json()
        eager.tell(done(message))
        await events.rest()
    async with posted(stand) as events:
        await events.next()
    await eager.routes.close()
    await stand.until(lambda: not stand.board._subscribers)
    assert cancels(eager) + cancels(stand) == []
