"""What one database promises, on SQLite and on Postgres, without Kafka."""

import asyncio
import sys
import uuid
from contextlib import asynccontextmanager

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from integration.chats.support import artifact, by_file, entries, landed, location, new_id, query, rows, stored
from sqlalchemy import create_engine, insert, make_url, select, text

from connectors.chats.database import check, upgrade
from connectors.chats.store import Store
from connectors.chats.tables import OWN_TABLES
from connectors.chats.writer import Fenced
from schemas import utcnow
from schemas.errors import RejectRecord, RetryLater, StopProcess
from schemas.ids import chat_uuid, message_id

chat, message, metadata = OWN_TABLES.chat, OWN_TABLES.message, OWN_TABLES.metadata
LANES = [("artifacts", 0), ("stored", 0), ("artifacts", 1), ("stored", 1)]


@asynccontextmanager
async def opened(url, *, tools=False):
    store = Store(url, "the database", "group", tools=tools, timeout=10)
    try:
        await store.place(LANES)
        yield store
    finally:
        await store.close()


async def written(url, *records, **options):
    async with opened(url, **options) as store:
        await store.write(entries(*records))


def insert_message(url, chat_id, id_, role="user"):
    now = utcnow()
    if not query(url, select(chat.c.id).where(chat.c.id == chat_id)):
        query(url, insert(chat).values(id=chat_id, created_at=now))
    query(url, insert(message).values(id=id_, chat_id=chat_id, role=role, created_at=now, updated_at=now))


async def test_a_batch_lands_as_the_last_version_of_each_artifact_with_its_offsets(database):
    one, two, in_chat = new_id(), new_id(), new_id()
    await written(
        database,
        artifact(one, 1, chat=in_chat),
        artifact(two, 1, chat=in_chat),
        artifact(one, 3, chat=in_chat, status="completed"),
        artifact(one, 2, chat=in_chat),
    )
    found = by_file(database)
    assert (found[one]["version"], found[one]["status"], found[one]["revision"]) == (3, "completed", 1)
    assert found[two]["version"] == 1
    assert landed(database) == 4


async def test_an_older_version_never_overwrites_a_newer_one(database):
    file, in_chat = new_id(), new_id()
    async with opened(database) as store:
        await store.write(entries(artifact(file, 5, chat=in_chat, status="completed")))
        before = rows(database, "artifact")
        await store.write(entries(artifact(file, 4, chat=in_chat), start=1))
    assert rows(database, "artifact") == before
    assert landed(database) == 2


async def test_a_later_generation_is_a_row_of_its_own(database):
    file, in_chat = new_id(), new_id()
    await written(
        database,
        artifact(file, 1, chat=in_chat, generation="g1", status="completed"),
        artifact(file, 2, chat=in_chat, generation="g2"),
    )
    assert {(row["generation"], row["status"]) for row in rows(database, "artifact")} == {
        ("g1", "completed"),
        ("g2", "processing"),
    }


async def test_the_message_that_asked_shows_the_artifact_and_follows_it(database):
    file, in_chat, asking = new_id(), uuid.uuid4(), uuid.uuid4()
    insert_message(database, in_chat, asking)
    async with opened(database) as store:
        await store.write(entries(artifact(file, 1, chat=str(in_chat), message=str(asking))))
        (first,) = rows(database, "message")
        await store.write(entries(artifact(file, 2, chat=str(in_chat), message=str(asking), status="error"), start=1))
        (then,) = rows(database, "message")
    assert by_file(database)[file]["message_id"] == asking
    assert (first["status"], then["status"]) == ("processing", "error")
    assert then["version"] > first["version"]
    assert then["role"] == "user"


@pytest.mark.parametrize("asked", [None, "b7a0c7f0-0000-4000-8000-000000000000", "not-a-uuid"])
async def test_where_no_known_message_asked_one_is_made_under_the_derived_id(database, asked):
    file, in_chat = new_id(), new_id()
    async with opened(database) as store:
        for version in (1, 2):
            changed = artifact(file, version, chat=in_chat, message=asked)
            await store.write(entries(changed, start=version - 1))
    (made,) = rows(database, "message")
    assert str(made["id"]) == message_id(in_chat, file, "g1")
    assert (made["role"], made["generation"]) == ("assistant", "g1")


async def test_a_message_of_another_chat_is_not_the_one_that_asked(database):
    file, mine, others, asking = new_id(), new_id(), uuid.uuid4(), uuid.uuid4()
    insert_message(database, others, asking)
    await written(database, artifact(file, 1, chat=mine, message=str(asking)))
    assert str(by_file(database)[file]["message_id"]) == message_id(mine, file, "g1")


async def test_a_message_of_several_files_is_completed_when_none_is_unfinished(database):
    one, two, in_chat, asking = new_id(), new_id(), uuid.uuid4(), uuid.uuid4()
    insert_message(database, in_chat, asking)
    told = {"chat": str(in_chat), "message": str(asking)}
    changes = [
        artifact(one, 1, **told),
        artifact(two, 1, **told, status="completed"),
        artifact(one, 2, **told, status="error"),
    ]
    seen = []
    async with opened(database) as store:
        for number, change in enumerate(changes):
            await store.write(entries(change, start=number))
            seen.append(rows(database, "message")[0]["status"])
    assert seen == ["processing", "processing", "completed"]


async def test_two_partitions_may_show_in_one_message_at_the_same_time(database):
    in_chat = uuid.uuid4()
    asking = [uuid.uuid4() for _ in range(30)]
    for each in asking:
        insert_message(database, in_chat, each)
    async with opened(database) as one, opened(database) as two:

        async def write(store, partition, number):
            last = artifact(new_id(), 1, chat=str(in_chat), message=str(asking[number]), status="completed")
            await store.write(entries(last, start=number, partition=partition))

        for number in range(len(asking)):
            await asyncio.gather(write(one, 0, number), write(two, 1, number))
    assert [(row["version"], row["status"]) for row in rows(database, "message")] == [(2, "completed")] * len(asking)


async def test_an_artifact_and_its_copy_written_at_the_same_time_find_each_other(database):
    """As after a rebalance, when the two topics' partitions have different owners for a moment."""
    files, in_chat = [new_id() for _ in range(30)], new_id()
    async with opened(database) as one, opened(database) as two:
        for number, file in enumerate(files):
            shown = artifact(file, 1, chat=in_chat, status="completed")
            await asyncio.gather(
                one.write(entries(shown, start=number)), two.write(entries(stored(file), start=number))
            )  # fmt: skip
    assert {each: row["durable_url"] for each, row in by_file(database).items()} == {
        each: location(each) for each in files
    }


@pytest.mark.parametrize("first", ["artifact", "copy", "together", "copy in the same batch first"])
async def test_the_copy_is_added_in_whichever_order_it_comes(database, first):
    file, in_chat = new_id(), new_id()
    shown = artifact(file, 1, chat=in_chat, status="completed")
    copies = [stored(file), stored(file, role="thumbnail"), stored(file, generation="other")]
    async with opened(database) as store:
        if first == "artifact":
            await store.write(entries(shown))
            await store.write(entries(*copies))
        elif first == "copy":
            await store.write(entries(*copies))
            await store.write(entries(shown))
        elif first == "together":
            await store.write(entries(shown, *copies))
        else:
            await store.write(entries(*copies, shown))
    found = by_file(database)[file]
    assert found["durable_url"] == location(file)
    assert found["durable_thumbnail_url"] == location(file, role="thumbnail")


async def test_a_copy_raises_the_version_of_the_message_once(database):
    file, in_chat = new_id(), new_id()
    async with opened(database) as store:
        await store.write(entries(artifact(file, 1, chat=in_chat, status="completed")))
        seen = [rows(database, "message")[0]["version"]]
        for number in range(2):
            await store.write(entries(stored(file), start=number))
            seen.append(rows(database, "message")[0]["version"])
    assert seen[0] < seen[1] == seen[2]


async def test_a_later_version_keeps_the_durable_url(database):
    file, in_chat = new_id(), new_id()
    async with opened(database) as store:
        await store.write(entries(artifact(file, 1, chat=in_chat, status="completed"), stored(file)))
        await store.write(entries(artifact(file, 2, chat=in_chat, status="completed"), start=1))
    assert by_file(database)[file]["durable_url"] == location(file)
    assert by_file(database)[file]["version"] == 2


async def test_a_tool_chat_goes_to_the_local_store_only(database, local_store):
    tool, real = new_id(), new_id()
    in_chat = new_id()
    batch = (artifact(tool, 1, chat="video-generator-tool"), artifact(real, 1, chat=in_chat))
    await written(database, *batch)
    await written(local_store, *batch, tools=True)
    assert set(by_file(database)) == {real}
    assert set(by_file(local_store)) == {tool, real}
    assert landed(database) == landed(local_store) == 2
    names = {str(row["id"]): row["name"] for row in rows(local_store, "chat")}
    assert names == {chat_uuid("video-generator-tool"): "video-generator-tool", in_chat: None}


async def test_a_process_that_was_overtaken_is_fenced_and_writes_nothing(database):
    file, in_chat = new_id(), new_id()
    async with opened(database) as frozen, opened(database) as owner:
        await owner.write(entries(artifact(file, 1, chat=in_chat), artifact(file, 2, chat=in_chat)))
        before = {table: rows(database, table) for table in metadata.tables}
        with pytest.raises(Fenced):
            await frozen.write(entries(artifact(file, 9, chat=in_chat), artifact(new_id(), 1)))
        assert {table: rows(database, table) for table in metadata.tables} == before
        await owner.write(entries(artifact(file, 3, chat=in_chat), start=2))
    assert by_file(database)[file]["version"] == 3


async def test_of_two_writers_at_the_same_moment_one_is_fenced(database):
    async with opened(database) as one, opened(database) as two:
        batch = entries(*(artifact(new_id(), 1) for _ in range(50)))
        ends = await asyncio.gather(one.write(batch), two.write(batch), return_exceptions=True)
    assert sorted(type(end).__name__ for end in ends) == ["Fenced", "NoneType"]
    assert len(rows(database, "artifact")) == landed(database) == 50


async def test_records_below_the_offset_are_passed_over(database):
    file, in_chat = new_id(), new_id()
    async with opened(database) as store:
        batch = entries(artifact(file, 1, chat=in_chat), artifact(file, 2, chat=in_chat))
        await store.write(batch)
        await store.write(batch)
        await store.write([*batch, *entries(artifact(file, 3, chat=in_chat), start=2)])
    assert by_file(database)[file]["version"] == 3
    assert landed(database) == 3


async def test_what_the_database_refuses_is_a_refused_record_and_leaves_nothing(database):
    async with opened(database) as store:
        with pytest.raises(RejectRecord):
            await store.write(
                entries(artifact(new_id(), 1), artifact(new_id(), version=1, status="completed", url=None))
            )
        assert rows(database, "artifact") == []
        await store.write(entries(artifact(new_id(), 1)))
    assert landed(database) == 1


async def test_a_text_that_postgres_cannot_keep_is_a_refused_record(postgres_database):
    await upgrade(postgres_database)
    async with opened(postgres_database) as store:
        with pytest.raises(RejectRecord):
            await store.write(entries(artifact(new_id(), 1, user_id="nul \x00 inside")))


async def test_a_database_without_schema_stops_the_process(tmp_path):
    store = Store(f"sqlite:///{tmp_path}/empty.db", "the database", "group", tools=False, timeout=5)
    with pytest.raises(StopProcess, match="db upgrade"):
        await store.require_schema()
    await store.close()


async def test_a_database_that_is_away_is_a_reason_to_retry(postgres_database):
    away = make_url(postgres_database).set(query={"host": "127.0.0.1", "port": "1"})
    with pytest.raises(RetryLater):
        await check(away.render_as_string(hide_password=False))


def test_the_migrations_make_what_the_tables_say(database):
    made = make_url(database)
    driver = "sqlite" if made.drivername.startswith("sqlite") else "postgresql+psycopg"
    engine = create_engine(made.set(drivername=driver))
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
    engine.dispose()


async def test_a_nul_in_peoples_words_does_not_cost_them_the_result(database):
    file = new_id()
    await written(database, artifact(file, 1, prompt="a\0b", message="c\0"))
    assert by_file(database)[file]["prompt"].replace("\ufffd", "") == "ab"


async def test_the_urls_own_options_hold_for_the_upgrade_and_for_the_sink(postgres_database):
    query(postgres_database, text("CREATE SCHEMA app"))
    url = make_url(postgres_database).update_query_dict({"options": "-csearch_path=app"})
    plain = url.render_as_string(hide_password=False)
    assert (await upgrade(plain)).match
    await written(plain, artifact(new_id(), 1))
    assert query(postgres_database, text("SELECT count(*) AS n FROM app.artifact")) == [{"n": 1}]


async def test_two_upgrades_of_one_file_take_turns(tmp_path):
    url = f"sqlite:///{tmp_path}/new.db"
    program = [
        sys.executable,
        "-c",
        f"import asyncio; from connectors.chats.database import upgrade; print(asyncio.run(upgrade({url!r})).match)",
    ]
    both = [await asyncio.create_subprocess_exec(*program, stdout=asyncio.subprocess.PIPE) for _ in range(2)]
    assert [await each.communicate() for each in both] == [(b"True\n", None)] * 2
