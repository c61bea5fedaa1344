"""`/api/generate-stream` over a real socket and a real SQLite, with an upstream that tests play."""

import asyncio
import contextlib
import shutil
import time
import uuid
from types import SimpleNamespace

import jwt
import pytest
from sqlalchemy import create_engine, select
from unit.gateway.conftest import NOW, Events, Stand, make_file_id, make_job

from connectors.chats.database import upgrade
from connectors.chats.rows import Entry
from connectors.chats.settings import ChatsSettings
from connectors.chats.store import Store
from connectors.chats.tables import OWN_TABLES
from connectors.gateway import metrics, turn_orders
from connectors.gateway.errors import Problem, bad_field
from connectors.gateway.generate import Begun, MayHaveBegun
from connectors.gateway.routes import Routes
from connectors.gateway.server import HttpServer
from rendercast.conversing import turns as turns_of
from schemas import Artifact, Cancel, Stored, Track
from schemas.errors import RetryLater

CHAT = "aaaaaaaa-0000-4000-8000-000000000001"
BODY = {"kind": "video", "model": "comfyui/ltx", "prompt": "a cat", "chat_id": CHAT}
KEY = {"Idempotency-Key": "k"}
SECRET = "s" * 32


class Upstream:
    """Begins `count` files at each call, or raises `trouble`; while `open` is not set it keeps everybody waiting."""

    def __init__(self) -> None:
        self.asked = []
        self.count = 1
        self.trouble: Exception | None = None
        self.open = asyncio.Event()
        self.open.set()

    async def generate(self, kind, wanted):
        self.asked.append((kind, wanted))
        await self.open.wait()
        if self.trouble:
            raise self.trouble
        return [Begun(file_id=make_file_id(number + 1), kind=kind) for number in range(self.count)]


class Site:
    """A chat database, an upstream, and gateways that know of each other by these only."""

    def __init__(self, url: str) -> None:
        self.url, self.upstream = url, Upstream()
        self._stack = contextlib.AsyncExitStack()

    async def gateway(self, *, chats=None, turns=None, **settings) -> Stand:
        stand = Stand(**{"generate_wait_seconds": 5, **settings})
        stand.turns = turns or turns_of(ChatsSettings(url=self.url, **(chats or {})))
        stand.routes = Routes(
            stand.settings, stand.board, stand.commands, stand.access, lambda: None, self.upstream, stand.turns
        )
        stand.server = HttpServer(stand.routes.application(), stand.settings)
        await stand.start()
        stand.board.has_loaded()
        self._stack.push_async_callback(stand.turns.__aexit__, None, None, None)
        self._stack.push_async_callback(stand.routes.close)
        self._stack.push_async_callback(stand.end)
        return stand

    async def end(self) -> None:
        await self._stack.aclose()

    def rows(self, table) -> list:
        engine = create_engine(self.url)
        try:
            with engine.connect() as connection:
                found = connection.execute(select(OWN_TABLES.metadata.tables[table]))
                return [each._asdict() for each in found]
        finally:
            engine.dispose()

    def messages(self) -> list:
        return sorted(self.rows("message"), key=lambda row: row["created_at"])

    async def show(self, job, message_id, *, copy=None) -> None:
        """As the chat sink does it."""
        told = [Artifact(**{**job.model_dump(), "chat": {"chat_id": CHAT, "message_id": message_id}})]
        topics = ["artifacts"]
        if copy:
            of_copy = {
                "file_id": job.file_id, "generation": job.generation, "url": job.url, "kind": job.kind,
                "location": copy, "bytes": 1, "sha256": "0", "content_type": "video/mp4", "stored_at": NOW,
            }  # fmt: skip
            told, topics = [*told, Stored(**of_copy)], [*topics, "stored"]
        store = Store(self.url, "the chats", str(uuid.uuid4()), tools=False, timeout=5)
        await store.place([("artifacts", 0), ("stored", 0)])
        sources = [SimpleNamespace(topic=each, partition=0, offset=0) for each in topics]
        await store.write([Entry(*each) for each in zip(sources, told, strict=True)])
        await store.close()


@pytest.fixture(scope="module")
def upgraded(tmp_path_factory):
    """A database with the newest schema, to be copied."""
    path = tmp_path_factory.mktemp("chats") / "chats.db"
    asyncio.run(upgrade(f"sqlite:///{path}"))
    return path


@pytest.fixture
async def site(upgraded, tmp_path):
    shutil.copy(upgraded, tmp_path / "chats.db")
    found = Site(f"sqlite:///{tmp_path}/chats.db")
    yield found
    await found.end()


@pytest.fixture
async def stand(site):
    return await site.gateway()


@contextlib.asynccontextmanager
async def posted(stand, body=BODY, **headers):
    async with stand.http.stream("POST", "/api/generate-stream", json=body, headers={**KEY, **headers}) as response:
        assert response.status_code == 200, await response.aread()
        yield Events(response)


@contextlib.asynccontextmanager
async def joined(stand, message_id, **headers):
    async with stand.http.stream("GET", f"/api/generate-stream/{message_id}", headers=headers) as response:
        assert response.status_code == 200, await response.aread()
        yield Events(response)


async def post(stand, body=BODY, **headers):
    """For what is answered at once, with its problem or the whole of its events."""
    return await stand.http.post("/api/generate-stream", json=body, headers={**KEY, **headers})


def job_of(of, number=1, version=1, **fields):
    return make_job(number, version=version, generation=of["request_id"], **fields)


def done(of, number=1, version=5, **fields):
    url = f"https://x.example/{number}.mp4"
    return job_of(of, number, version, outcome="completed", url=url, progress=100, **fields)


# what is told


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


# what goes wrong


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
        assert (answer.status_code, answer.json()["reason"]) == (502, "unsure")
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
    monkeypatch.setattr(turn_orders, "GRACE_SECONDS", 0)
    site.upstream.open.clear()
    lost = asyncio.create_task(post(stand))
    await stand.until(lambda: site.upstream.asked)
    await stand.routes.close()
    lost.cancel()
    assert site.rows("turn")[0]["state"] == "asked"
    other = await site.gateway(generate_wait_seconds=0.1)
    answer = await post(other)
    assert (answer.status_code, answer.json()["reason"]) == (502, "unsure")
    assert (len(site.upstream.asked), site.rows("turn")[0]["state"]) == (1, "unsure")


async def test_an_answer_that_comes_as_it_is_given_up_is_not_called_unsure(site, stand, monkeypatch):
    monkeypatch.setattr(turn_orders, "GRACE_SECONDS", 0)
    site.upstream.open.clear()
    lost = asyncio.create_task(post(stand))
    await stand.until(lambda: site.upstream.asked)
    await stand.routes.close()
    lost.cancel()
    inner = turns_of(ChatsSettings(url=site.url))

    class Late:
        __aexit__, begin, find, shown = inner.__aexit__, inner.begin, inner.find, inner.shown

        async def save(self, turn, *, only_asked=False):
            if only_asked:
                files = (Begun(file_id=make_file_id(1), kind="video"),)
                await inner.save(turn.changed(state="followed", files=files))
            await inner.save(turn, only_asked=only_asked)

    other = await site.gateway(turns=Late(), generate_wait_seconds=0.1)
    async with posted(other) as events:
        message = (await events.next()).json()
    assert [each["file_id"] for each in message["files"]] == [make_file_id(1)]
    assert (len(site.upstream.asked), site.rows("turn")[0]["state"]) == (1, "followed")


async def test_what_began_and_could_not_be_written_down_is_found_by_its_artifacts(site, stand, monkeypatch):
    monkeypatch.setattr(turn_orders, "GRACE_SECONDS", 0)
    monkeypatch.setattr(turn_orders, "_SAVE_AGAIN_SECONDS", 0)

    async def away(*_, **__):
        raise RetryLater("away")

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
    assert len(site.upstream.asked) == 1


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
    inner = turns_of(ChatsSettings(url=site.url))

    class Lossy:
        lost = True
        __aexit__, save, find, shown = inner.__aexit__, inner.save, inner.find, inner.shown

        async def begin(self, turn, over=None):
            found = await inner.begin(turn, over)
            if self.lost:
                self.lost = False
                raise RetryLater("no answer")
            return found

    stand = await site.gateway(turns=Lossy())
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


# cancel


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


def cancels(stand):
    return [each for each in stand.commands.sent if isinstance(each, Cancel)]


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


# who may


def token(subject="one", seconds=600, **grants):
    claims = {"sub": subject, "exp": int(time.time()) + seconds, "rendercast": grants}
    return {"Authorization": f"Bearer {jwt.encode(claims, SECRET, 'HS256')}"}


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
