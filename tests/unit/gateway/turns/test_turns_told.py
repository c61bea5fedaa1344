"""`/api/generate-stream`: what a stream tells."""

from unit.gateway.conftest import make_file_id
from unit.gateway.turns.site import BODY, CHAT, done, job_of, posted


async def test_the_messages_are_written_then_come_message_updates_and_one_complete(site, stand):
    site.upstream.count = 2
    async with posted(stand, {**BODY, "user_id": "u", "deadline_seconds": 60}) as events:
        first = await events.next()
        message = first.json()
        user, assistant = site.messages()
        assert (first.event, message["chat_id"]) == ("message", CHAT)
        assert (str(user["id"]), str(assistant["id"])) == (message["user_message_id"], message["message_id"])
        assert [(each["role"], each["content"]) for each in (user, assistant)] == [("user", "a cat"), ("assistant", "")]
        files = [make_file_id(1), make_file_id(2)]
        assert message["files"] == [
            {"file_id": each, "kind": "video", "status": "pending", "progress": 0.0} for each in files
        ]
        tracks = stand.commands.sent
        assert [(each.file_id, each.request_id, each.user_id) for each in tracks] == [
            (each, message["request_id"], "u") for each in files
        ]
        assert {(each.chat.chat_id, each.chat.message_id) for each in tracks} == {(CHAT, message["message_id"])}
        stand.tell(job_of(message, 1, progress=0))
        stand.tell(job_of(message, 1, 2, progress=40))
        stand.tell(job_of(message, 2, progress=20))
        stand.tell(done(message, 1))
        stand.tell(done(message, 2))
        told = await events.rest()
    assert [each.event for each in told] == ["update"] * 5 + ["complete"]
    assert [each.json()["percent"] for each in told] == [0, 20, 30, 60, 100, 100]
    assert [each.json()["file"]["file_id"] for each in told[1:5]] == [files[0], files[1], files[0], files[1]]
    assert [each["url"] for each in told[-1].json()["files"]] == ["https://x.example/1.mp4", "https://x.example/2.mp4"]
    assert {each.json()["message_id"] for each in told} == {message["message_id"]}


async def test_the_whole_is_complete_where_one_file_has_a_result_and_an_error_where_none_has(site, stand):
    site.upstream.count = 2
    async with posted(stand) as events:
        message = (await events.next()).json()
        stand.tell(job_of(message, 1, 2, outcome="failed", reason="upstream", message="no GPU"))
        stand.tell(done(message, 2))
        told = await events.rest()
    assert told[-1].event == "complete"
    assert [each["status"] for each in told[-1].json()["files"]] == ["error", "completed"]
    site.upstream.count = 1
    async with posted(stand, **{"Idempotency-Key": "another"}) as events:
        message = (await events.next()).json()
        stand.tell(job_of(message, 1, 9, outcome="failed", reason="upstream", message="no GPU"))
        told = await events.rest()
    assert [each.event for each in told] == ["update", "error"]
    assert (told[-1].json()["reason"], told[-1].json()["detail"]) == ("failed", "no GPU")


async def test_who_reads_slowly_gets_one_end(site):
    stand = await site.gateway(queue_changes=4)
    async with posted(stand) as events:
        message = (await events.next()).json()
        for version in range(1, 200):
            stand.tell(job_of(message, 1, version, progress=version / 2))
        stand.tell(done(message, 1, 300))
        told = [each.event for each in await events.rest()]
    assert told.count("complete") == 1
    assert told[-1] == "complete"


async def test_what_comes_right_behind_the_end_is_not_told(stand):
    async with posted(stand) as events:
        message = (await events.next()).json()
        stand.tell(done(message))
        stand.tell(done(message, 1, 6, thumbnail_url="https://x.example/t.png"))
        assert [each.event for each in await events.rest()] == ["update", "complete"]


async def test_a_stream_is_compressed_for_who_asks_and_not_for_proxies_to_hold(stand):
    async with posted(stand, **{"Accept-Encoding": "gzip"}) as events:
        assert events.response.headers["content-encoding"] == "gzip"
        assert events.response.headers["x-accel-buffering"] == "no"
        assert (await events.next()).event == "message"
