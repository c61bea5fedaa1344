"""Turns in a chat database: ours on SQLite and Postgres, and an application's own."""

import asyncio
import uuid
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta

import pytest
from integration.chats.support import artifact, by_file, entries, new_id, query, rows
from integration.chats.theirs import EXAMPLE, PLAN, add_chat, make_theirs, shown
from sqlalchemy import text

from connectors.chats.database import upgrade
from connectors.chats.layout import parse
from connectors.chats.plan import OWN, Plan
from connectors.chats.store import Store
from connectors.chats.turns import NoSuchChat, Turn, TurnStore
from schemas import utcnow
from schemas.errors import RetryLater, StopProcess

LONG_AGO = utcnow() - timedelta(days=7)
AGES = utcnow() - timedelta(days=70)


def make_turn(**fields):
    known = {
        "subject": "me", "request_key": "k", "digest": "d", "attempt": uuid.uuid4(), "chat_id": uuid.uuid4(),
        "user_message_id": new_id(), "message_id": new_id(), "request_id": "r1", "request": "{}", "state": "asked",
        "files": "[]", "problem": None, "asked_at": utcnow(),
    }  # fmt: skip
    return Turn(**(known | fields))


def order(**fields):
    """What is asked for outside a chat."""
    return make_turn(chat_id=None, user_message_id=None, message_id=None, **fields)


class Opened(TurnStore):
    async def begin(self, turn, prompt="p", *, forget_before=AGES, over=None):
        return await super().begin(turn, prompt, forget_before=forget_before, over=over)


@asynccontextmanager
async def opened(url, plan=OWN):
    store = Opened(url, plan, 5)
    try:
        yield store
    finally:
        await store.close()


def messages(url):
    return sorted(rows(url, "message"), key=lambda row: row["created_at"])


async def test_a_turn_and_its_two_messages_are_there_together(database):
    turn = make_turn()
    async with opened(database) as store:
        assert await store.begin(turn, "a \0cat") == turn
        assert await store.find(turn.message_id) == turn
        assert await store.find(turn.user_message_id) is None
        assert await store.find("no uuid") is None
    user, assistant = messages(database)
    assert [str(each["id"]) for each in (user, assistant)] == [turn.user_message_id, turn.message_id]
    assert [(each["role"], each["content"], each["status"]) for each in (user, assistant)] == [
        ("user", "a \N{REPLACEMENT CHARACTER}cat", None), ("assistant", "", "pending"),
    ]  # fmt: skip
    assert {each["chat_id"] for each in (user, assistant)} == {turn.chat_id}


async def test_of_many_that_race_for_a_key_one_has_it_and_the_others_see_whose_it_is(database):
    tries = [make_turn() for _ in range(8)]
    async with opened(database) as one, opened(database) as other:
        found = await asyncio.gather(*((one, other)[n % 2].begin(each) for n, each in enumerate(tries)))
    assert len({each.attempt for each in found}) == 1
    assert sum(each == mine for each, mine in zip(found, tries, strict=True)) == 1
    assert (len(rows(database, "turn")), len(rows(database, "message")), len(rows(database, "chat"))) == (1, 2, 1)


async def test_what_has_begun_is_kept_for_everybody(database):
    turn = make_turn()
    async with opened(database) as store:
        await store.begin(turn)
        await store.save(replace(turn, state="begun", files='[{"file_id": "f"}]'))
    async with opened(database) as other:
        found = await other.begin(make_turn(digest="another"))
    assert (found.attempt, found.state, found.files) == (turn.attempt, "begun", '[{"file_id": "f"}]')


async def test_a_turn_that_was_refused_takes_its_messages_along_and_its_key_is_free(database):
    first, second = make_turn(), make_turn(digest="other")
    async with opened(database) as store:
        await store.begin(first)
        await store.save(replace(first, state="refused", problem="{}"))
        assert rows(database, "message") == []
        assert (await store.find(first.message_id)).state == "refused"
        assert await store.begin(second) == second
        await store.save(replace(first, state="followed"))  # of an attempt that is no longer there
        assert await store.find(second.message_id) == second
        assert await store.find(first.message_id) is None
    assert len(messages(database)) == 2


async def test_an_attempt_that_is_named_is_replaced_and_keeps_its_messages(database):
    first = make_turn()
    second = replace(first, attempt=uuid.uuid4())
    async with opened(database) as store:
        await store.begin(first)
        assert await store.begin(second, over=uuid.uuid4()) == first
        assert await store.begin(second, over=first.attempt) == second
    assert len(messages(database)) == 2


async def test_only_what_is_being_asked_becomes_unsure_by_others(database):
    turn = make_turn()
    async with opened(database) as store:
        await store.begin(turn)
        await store.save(replace(turn, state="unsure"), only_asked=True)
        assert (await store.find(turn.message_id)).state == "unsure"
        assert messages(database)[1]["status"] == "error"
        await store.save(replace(turn, state="begun"))  # whoever asked lives, and knows better
        await store.save(replace(turn, state="unsure"), only_asked=True)
        assert (await store.find(turn.message_id)).state == "begun"


async def test_a_chat_that_is_not_there_is_made_or_refused_by_the_setting(database):
    turn = make_turn()
    async with opened(database, Plan(stubs=False)) as store:
        with pytest.raises(NoSuchChat):
            await store.begin(turn)
    assert (rows(database, "turn"), rows(database, "message"), rows(database, "chat")) == ([], [], [])
    async with opened(database) as store:
        await store.begin(turn)
    async with opened(database, Plan(stubs=False)) as store:
        again = make_turn(chat_id=turn.chat_id, request_key="k2")
        assert await store.begin(again) == again


async def test_the_sinks_artifacts_are_shown_by_the_turns_message(database):
    turn, files = make_turn(), sorted(new_id() for _ in range(2))
    sink = Store(database, "the database", "group", tools=False, timeout=10)
    async with opened(database) as store:
        await store.begin(turn)
        assert await store.artifacts(turn.message_id) == []
        await sink.place([("artifacts", 0), ("stored", 0)])
        told = [
            artifact(each, chat=str(turn.chat_id), message=turn.message_id, generation="r1", progress=20)
            for each in files
        ]
        await sink.write(entries(*told))
        await sink.close()
        found = await store.artifacts(turn.message_id)
        assert await store.artifacts(turn.user_message_id) == await store.artifacts("no uuid") == []
    assert [str(each["file_id"]) for each in found] == files
    assert [each["progress"] for each in found] == [20, 20]
    assert {str(each["message_id"]) for each in by_file(database).values()} == {turn.message_id}
    assert [each["status"] for each in messages(database)] == [None, "processing"]


@pytest.mark.parametrize("kind", ["postgres", "jsonb and text ids", "sqlite"])
async def test_an_applications_messages_have_the_users_words_as_a_part(request, tmp_path, kind):
    url = f"sqlite:///{tmp_path}/app.db" if kind == "sqlite" else request.getfixturevalue("postgres_database")
    make_theirs(url, kind)
    await upgrade(url, PLAN)
    turn = make_turn(chat_id=uuid.UUID(add_chat(url)))
    async with opened(url, PLAN) as store:
        assert await store.begin(turn, "a cat") == turn
        assert await store.find(turn.message_id) == turn
        with pytest.raises(NoSuchChat):
            await store.begin(make_turn(request_key="k2"))
        found = shown(url)
        assert (found[turn.user_message_id]["role"], found[turn.message_id]["role"]) == ("user", "assistant")
        assert found[turn.user_message_id]["parts"] == [{"type": "text", "text": "a cat"}]
        assert found[turn.message_id]["parts"] == []
        await store.save(replace(turn, state="refused"))
        assert shown(url) == {}


async def test_messages_that_the_application_holds_on_to_stay_and_the_turn_is_refused_all_the_same(postgres_database):
    make_theirs(postgres_database, "postgres")
    await upgrade(postgres_database, PLAN)
    query(postgres_database, text('CREATE TABLE vote (of uuid REFERENCES "Message_v2"(id))'))
    turn = make_turn(chat_id=uuid.UUID(add_chat(postgres_database)))
    async with opened(postgres_database, PLAN) as store:
        await store.begin(turn)
        query(postgres_database, text("INSERT INTO vote VALUES (:id)").bindparams(id=uuid.UUID(turn.message_id)))
        await store.save(replace(turn, state="refused"))
        assert (await store.find(turn.message_id)).state == "refused"
    assert len(shown(postgres_database)) == 2


def without_parts(tmp_path):
    url = f"sqlite:///{tmp_path}/app.db"
    make_theirs(url, "sqlite")
    query(url, text('ALTER TABLE "Message_v2" ADD state text'))
    words = EXAMPLE.read_text().replace('parts = "parts"', 'status = "state"')
    layout = parse(words.replace("attachments = []", 'attachments = []\nparts = ""'), "x")
    return url, Plan("rendercast_", layout, stubs=False)


async def test_a_layout_without_a_place_for_the_users_words_is_told(tmp_path):
    url, plan = without_parts(tmp_path)
    await upgrade(url, plan)
    async with opened(url, plan) as store:
        with pytest.raises(StopProcess, match="parts"):
            await store.begin(make_turn())


async def test_a_database_without_our_tables_is_told_and_one_that_comes_later_is_found(tmp_path):
    url = f"sqlite:///{tmp_path}/late.db"
    async with opened(url) as store:
        with pytest.raises(StopProcess, match="rendercast db upgrade"):
            await store.begin(make_turn())
        await upgrade(url)
        turn = make_turn()
        assert await store.begin(turn) == turn


async def test_a_database_that_is_away_is_asked_again_later():
    async with opened("postgresql://nobody@127.0.0.1:1/none") as store:
        with pytest.raises(RetryLater):
            await store.begin(make_turn())


async def test_the_key_of_a_turn_outlives_its_messages(database):
    turn = make_turn()
    async with opened(database) as store:
        await store.begin(turn)
        query(database, text("DELETE FROM message"))
        assert await store.begin(make_turn()) == turn
    assert len(rows(database, "turn")) == 1


async def test_a_request_outside_a_chat_has_a_key_and_neither_messages_nor_a_chat(database):
    tries = [order() for _ in range(8)]
    async with opened(database) as store, opened(database, Plan(stubs=False)) as other:
        found = await asyncio.gather(*((store, other)[n % 2].begin(each) for n, each in enumerate(tries)))
        assert len({each.attempt for each in found}) == 1
        [turn] = {each.attempt: each for each in found}.values()
        await store.begin(order(request_key="another"))
        await store.save(replace(turn, state="unsure"), only_asked=True)
        assert await other.find_key("me", "k") == replace(turn, state="unsure")
        assert await other.find_key("you", "k") is None
        await store.save(replace(turn, state="refused"))
        again = order(digest="another")
        assert await other.begin(again) == again
    assert len(rows(database, "turn")) == 2
    assert rows(database, "message") == rows(database, "chat") == []


async def test_a_layout_without_a_place_for_words_takes_requests_outside_a_chat(tmp_path):
    url, plan = without_parts(tmp_path)
    await upgrade(url, plan)
    turn = order()
    async with opened(url, plan) as store:
        assert await store.begin(turn) == turn


async def test_what_a_message_shows_is_known_without_its_turn(database):
    turn = make_turn()
    sink = Store(database, "the database", "group", tools=False, timeout=10)
    async with opened(database) as store:
        await store.begin(turn)
        await sink.place([("artifacts", 0), ("stored", 0)])
        await sink.write(entries(artifact(new_id(), chat=str(turn.chat_id), message=turn.message_id, generation="r1")))
        await sink.close()
        query(database, text("DELETE FROM turn"))
        assert await store.find(turn.message_id) is None
        assert [each["generation"] for each in await store.artifacts(turn.message_id)] == ["r1"]
