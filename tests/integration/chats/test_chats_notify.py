"""Who listens on the channel of a chat is told of each message that has changed, once, after the commit."""

import uuid

import psycopg
import pytest
from integration.chats.support import artifact, entries, new_id, query, rows, stored
from integration.chats.theirs import PLAN, add_chat, make_theirs, shown
from sqlalchemy import text

from connectors.chats.database import upgrade
from connectors.chats.plan import OWN, Plan
from connectors.chats.store import Store
from schemas.errors import RejectRecord
from schemas.ids import message_id

LANES = [("artifacts", 0), ("stored", 0)]


class Listener:
    """An application's connection."""

    def __init__(self, url):
        self._connection = psycopg.connect(url, autocommit=True)

    def listen(self, chat):
        self._connection.execute(f'LISTEN "chat:{chat}"')

    def heard(self):
        """What has come since the last time. A signal of our own comes behind all that were told before."""
        end = uuid.uuid4().hex
        self._connection.execute("LISTEN ended")
        self._connection.execute("SELECT pg_notify('ended', %s)", [end])
        found = []
        for each in self._connection.notifies(timeout=10):
            if each.payload == end:
                return found
            found.append((each.channel, each.payload))
        raise AssertionError("our own signal did not come")

    def close(self):
        self._connection.close()


@pytest.fixture
def listener(postgres_database):
    made = Listener(postgres_database)
    yield made
    made.close()


@pytest.fixture
async def store(postgres_database):
    await upgrade(postgres_database)
    async for each in opened(postgres_database, OWN):
        yield each


async def opened(url, plan):
    store = Store(url, "the database", "group", tools=False, timeout=10, plan=plan)
    await store.require_schema()
    await store.place(LANES)
    yield store
    await store.close()


async def test_it_is_told_once_per_message_and_batch_with_the_version_that_the_message_has(
    store, listener, postgres_database
):
    in_chat, file, other = new_id(), new_id(), new_id()
    listener.listen(in_chat)
    versions = [artifact(file, number, chat=in_chat) for number in (1, 2, 3)]
    await store.write(entries(*versions, artifact(other, 1, chat=in_chat), artifact(new_id(), 1)))
    told = listener.heard()
    assert sorted(told) == sorted(
        (f"chat:{in_chat}", f'{{"message_id":"{row["id"]}","version":{row["version"]}}}')
        for row in rows(postgres_database, "message")
        if str(row["chat_id"]) == in_chat
    )
    assert len(told) == 2
    await store.write(entries(stored(file)))
    ((_, payload),) = listener.heard()
    assert payload == f'{{"message_id":"{message_id(in_chat, file, "g1")}","version":2}}'


REFUSES_AT_COMMIT = """
    CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN RAISE EXCEPTION 'refused' USING ERRCODE = 'check_violation'; END $$;
    CREATE CONSTRAINT TRIGGER refuse AFTER INSERT ON artifact DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW EXECUTE FUNCTION refuse()
"""


async def test_a_batch_that_is_rolled_back_tells_nothing(store, listener, postgres_database):
    in_chat = new_id()
    listener.listen(in_chat)
    query(postgres_database, text(REFUSES_AT_COMMIT))
    with pytest.raises(RejectRecord, match="refused"):
        await store.write(entries(artifact(new_id(), 1, chat=in_chat)))
    assert listener.heard() == []


async def test_a_replay_and_an_older_version_tell_nothing(store, listener):
    in_chat, file = new_id(), new_id()
    listener.listen(in_chat)
    batch = [artifact(file, 2, chat=in_chat, status="completed"), stored(file)]
    await store.write(entries(*batch))
    assert len(listener.heard()) == 1
    await store.write(entries(*batch))
    await store.write(entries(*batch, artifact(file, 1, chat=in_chat), start=1))
    assert listener.heard() == []


async def test_it_can_be_switched_off(listener, postgres_database):
    await upgrade(postgres_database)
    in_chat = new_id()
    listener.listen(in_chat)
    async for store in opened(postgres_database, Plan(notify=False)):
        await store.write(entries(artifact(new_id(), 1, chat=in_chat)))
    assert listener.heard() == []


async def test_beside_tables_of_an_application_the_version_is_that_of_the_artifacts(listener, postgres_database):
    make_theirs(postgres_database, "postgres")
    await upgrade(postgres_database, PLAN)
    in_chat, file = add_chat(postgres_database), new_id()
    listener.listen(in_chat)
    async for store in opened(postgres_database, PLAN):
        await store.write(entries(artifact(file, 1, chat=in_chat)))
        await store.write(entries(artifact(file, 2, chat=in_chat, status="completed"), stored(file), start=1))
    (made,) = shown(postgres_database)
    assert listener.heard() == [
        (f"chat:{in_chat}", f'{{"message_id":"{made}","version":{version}}}') for version in (1, 3)
    ]
