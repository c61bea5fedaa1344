"""`/api/generate-stream`: what goes wrong, and what of it may be repeated."""

import asyncio

import pytest
from unit.gateway.conftest import Stand, make_file_id
from unit.gateway.turns.site import BODY, CHAT, Between, away, done, joined, post, posted

from connectors.chats.settings import ChatsSettings
from connectors.gateway import generations, metrics, unsaved
from connectors.gateway.errors import Problem, bad_field
from connectors.gateway.generate import Begun, MayHaveBegun
from connectors.gateway.routes import Routes
from connectors.gateway.server import HttpServer
from rendercast.conversing import turns as turns_of
from schemas.errors import RetryLater


async def test_a_refusal_is_a_problem_that_leaves_nothing_and_the_key_is_free(site, stand):
    site.upstream.trouble = bad_field("params.fps", "too many")
    answer = await post(stand)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "params.fps")
    assert site.messages() == []
    site.upstream.trouble = None
    async with posted(stand, {**BODY, "params": {"fps": 24}}) as events:
        assert (await events.next()).event == "message"
    assert (len(site.upstream.asked), len(site.messages()), len(site.rows("turn"))) == (2, 2, 1)


async def test_a_refusal_is_told_to_all_who_wait_for_it(site, stand):
    other = await site.gateway()
    site.upstream.open.clear()
    site.upstream.trouble = Problem(429, "a pause", headers={"Retry-After": "7"})
    first = asyncio.create_task(post(stand))
    await stand.until(lambda: site.upstream.asked)
    before = metrics.GENERATE_JOINED._value.get()
    others = [asyncio.create_task(post(each)) for each in (stand, other)]
    await stand.until(lambda: metrics.GENERATE_JOINED._value.get() == before + 2)
    site.upstream.open.set()
    answers = await asyncio.gather(first, *others)
    assert {(each.status_code, each.headers["retry-after"]) for each in answers} == {(429, "7")}
    assert len(site.upstream.asked) == 1


@pytest.mark.parametrize("trouble", [MayHaveBegun(504, "silent"), RuntimeError("a bug")])
async def test_where_nobody_knows_what_has_begun_a_repeat_says_so_and_asks_nobody(site, stand, trouble):
    site.upstream.trouble = trouble
    assert (await post(stand)).status_code >= 500
    message_id = str(site.messages()[1]["id"])
    for where in (stand, await site.gateway()):
        answer = await post(where)
        status = 504 if isinstance(trouble, MayHaveBegun) else 502
        assert (answer.status_code, answer.json()["reason"]) == (status, "unsure")
        assert answer.json()["message_id"] == message_id
        async with joined(where, message_id) as events:
            told = await events.rest()
        assert [each.event for each in told] == ["message", "error"]
        assert told[-1].json()["reason"] == "unsure"
        assert (await where.http.delete(f"/api/generate-stream/{message_id}")).status_code == 502
    assert (len(site.upstream.asked), site.messages()[1]["status"]) == (1, "error")


async def test_an_upstream_that_is_silent_for_too_long_is_unsure(site):
    stand = await site.gateway(generate_wait_seconds=0.1)
    site.upstream.open.clear()
    assert (await post(stand)).status_code == 504
    assert (await post(stand)).json()["reason"] == "unsure"
    assert len(site.upstream.asked) == 1


async def test_a_gateway_that_died_while_it_asked_leaves_a_turn_that_is_unsure(site, stand, monkeypatch):
    monkeypatch.setattr(generations, "GRACE_SECONDS", 0)
    await site.die_asking(stand, post)
    other = await site.gateway(generate_wait_seconds=0.1)
    answer = await post(other)
    assert (answer.status_code, answer.json()["reason"]) == (502, "unsure")
    assert (len(site.upstream.asked), site.rows("turn")[0]["state"]) == (1, "unsure")


async def test_an_answer_that_comes_as_it_is_given_up_is_not_called_unsure(site, stand, monkeypatch):
    monkeypatch.setattr(generations, "GRACE_SECONDS", 0)
    await site.die_asking(stand, post)

    class Late(Between):
        async def save(self, turn, *, only_asked=False):
            if only_asked:
                files = (Begun(file_id=make_file_id(1), kind="video"),)
                await self._turns.save(turn.changed(state="followed", files=files))
            await self._turns.save(turn, only_asked=only_asked)

    other = await site.gateway(turns=Late(site), generate_wait_seconds=0.1)
    async with posted(other) as events:
        message = (await events.next()).json()
    assert [each["file_id"] for each in message["files"]] == [make_file_id(1)]
    assert (len(site.upstream.asked), site.rows("turn")[0]["state"]) == (1, "followed")


async def test_what_began_and_could_not_be_written_down_is_found_by_its_artifacts(site, stand, monkeypatch):
    monkeypatch.setattr(generations, "GRACE_SECONDS", 0)

    stand.turns.save = away
    async with posted(stand) as events:
        message = (await events.next()).json()
    assert site.rows("turn")[0]["state"] == "asked"
    other = await site.gateway(generate_wait_seconds=0.1)
    await site.show(done(message), message["message_id"])
    async with posted(other) as events:
        told = await events.rest()
    assert [each.event for each in told] == ["message", "complete"]
    assert told[-1].json()["files"][0]["url"] == "https://x.example/1.mp4"
    assert (len(site.upstream.asked), site.messages()[1]["status"]) == (1, "completed")


async def test_what_could_not_be_written_down_is_known_where_it_was_asked(site):
    stand = await site.gateway(generate_wait_seconds=600)
    stand.turns.save = away
    async with posted(stand) as events:
        message = (await events.next()).json()
    async with posted(stand) as events, joined(stand, message["message_id"]) as rejoined:
        assert [(await each.next()).json() for each in (events, rejoined)] == [message] * 2
    assert (len(site.upstream.asked), len(stand.commands.sent)) == (1, 1)


async def test_what_could_not_be_written_down_is_once_the_database_is_back_and_others_wait_no_longer(site, monkeypatch):
    monkeypatch.setattr(unsaved, "SAVE_AGAIN_SECONDS", 0.05)
    stand, other = [await site.gateway(generate_wait_seconds=600) for _ in range(2)]
    save, stand.turns.save = stand.turns.save, away
    async with posted(stand) as events:
        message = (await events.next()).json()
    waiting = asyncio.create_task(message_of(other))
    stand.turns.save = save
    assert (await waiting) == message
    assert (len(site.upstream.asked), site.rows("turn")[0]["state"]) == (1, "followed")


async def message_of(stand):
    async with posted(stand) as events:
        return (await events.next()).json()


async def test_a_refusal_that_could_not_be_written_down_leaves_the_key_free_where_it_was_told(site):
    stand = await site.gateway(generate_wait_seconds=600)
    save, stand.turns.save = stand.turns.save, away
    site.upstream.trouble = bad_field("model", "unknown")
    assert (await post(stand)).status_code == 422
    site.upstream.trouble, stand.turns.save = None, save
    async with posted(stand) as events:
        assert (await events.next()).event == "message"
    assert (len(site.upstream.asked), len(site.messages())) == (2, 2)


async def test_what_has_begun_and_could_not_be_followed_is_followed_by_whoever_asks_next(site, stand):
    stand.commands.trouble = RetryLater("Kafka did not take the command.", after=3)
    answer = await post(stand)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "3")
    assert answer.json()["files"][0]["file_id"] == make_file_id(1)
    other = await site.gateway()
    async with joined(other, answer.json()["message_id"]) as events:
        assert (await events.next()).event == "message"
    [track] = other.commands.sent
    assert (track.file_id, track.chat.message_id) == (make_file_id(1), answer.json()["message_id"])
    async with posted(stand) as events:
        await events.next()
    assert (len(site.upstream.asked), stand.commands.sent) == (1, [])


async def test_without_the_database_nothing_begins(tmp_path, site):
    stand = await site.gateway(turns=turns_of(ChatsSettings(url=f"sqlite:///{tmp_path}/none/chats.db")))
    answers = [await post(stand), await stand.http.get("/api/generate-stream/x")]
    assert [(each.status_code, "retry-after" in each.headers) for each in answers] == [(503, True)] * 2
    words = {each.json()["detail"] for each in answers}
    assert words == {"The chat database does not answer now."}  # and not its address
    assert site.upstream.asked == []


async def test_a_database_without_our_tables_is_told_in_the_log_and_nothing_begins(tmp_path, site):
    stand = await site.gateway(turns=turns_of(ChatsSettings(url=f"sqlite:///{tmp_path}/empty.db")))
    assert (await post(stand)).status_code == 503
    assert site.upstream.asked == []


async def test_a_commit_whose_answer_was_lost_does_not_cost_the_click(site):
    class Lossy(Between):
        lost = True

        async def begin(self, turn, **how):
            found = await self._turns.begin(turn, **how)
            if self.lost:
                self.lost = False
                raise RetryLater("no answer")
            return found

    stand = await site.gateway(turns=Lossy(site))
    assert (await post(stand)).status_code == 503
    assert site.upstream.asked == []
    async with posted(stand) as events:
        message = (await events.next()).json()
    assert [str(each["id"]) for each in site.messages()] == [message["user_message_id"], message["message_id"]]
    assert len(site.upstream.asked) == 1


async def test_what_is_not_configured_is_named(site):
    stand = Stand()
    routes = Routes(stand.settings, stand.board, stand.commands, stand.access, lambda: None, site.upstream)
    stand.server = HttpServer(routes.application(), stand.settings)
    await stand.start()
    answer = await post(stand)
    await stand.end()
    assert (answer.status_code, "RENDERCAST_CHATS__URL" in answer.json()["detail"]) == (503, True)
    assert turns_of(ChatsSettings()) is None
    site.upstream = None
    answer = await post(await site.gateway())
    assert (answer.status_code, "RENDERCAST_CONNECTOR__TOKEN" in answer.json()["detail"]) == (503, True)
    assert site.messages() == []


async def test_a_chat_that_is_not_there_is_refused_where_the_setting_says_so(site):
    stand = await site.gateway(chats={"unknown_chat": "dead-letter"})
    answer = await post(stand)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "chat_id")
    assert (site.upstream.asked, site.rows("turn")) == ([], [])


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"chat_id": "video-generator-tool"}, "chat_id"),
        ({"chat_id": None}, "chat_id"),
        ({"kind": "music"}, "kind"),
        ({"prompt": ""}, "prompt"),
        ({"chat": {"chat_id": CHAT}}, "chat"),
        ({"deadline_seconds": -1}, "deadline_seconds"),
    ],
)
async def test_a_body_that_is_wrong_is_refused_with_its_field_before_anything_is_written(site, stand, changes, field):
    answer = await post(stand, {**BODY, **changes})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)
    assert (site.upstream.asked, site.rows("turn")) == ([], [])
