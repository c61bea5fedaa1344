"""An application's own chat and message tables: read, written to, never altered."""

import asyncio
import json
import uuid
from collections import Counter

import pytest
from harness import read, send
from integration.chats.support import artifact, entries, location, new_id, query, running_sink, stored, until
from integration.chats.theirs import (
    EXAMPLE,
    MESSAGE_V2,
    PLAN,
    ROOT,
    THEIRS,
    add_chat,
    add_message,
    make_theirs,
    set_parts,
    shown,
)
from sqlalchemy import text

from connectors.chats.database import check, upgrade
from connectors.chats.layout import load, parse
from connectors.chats.messages import UnknownChats
from connectors.chats.plan import Plan
from connectors.chats.settings import ChatsSettings
from connectors.chats.store import Store
from rendercast import databases
from schemas.errors import RejectRecord, StopProcess
from schemas.ids import message_id

LANES = [("artifacts", 0), ("stored", 0), ("artifacts", 1), ("stored", 1)]


@pytest.fixture(params=THEIRS)
def theirs(request, tmp_path):
    """An application's database with our tables beside its own."""
    file = f"sqlite:///{tmp_path}/app.db"
    url = file if request.param == "sqlite" else request.getfixturevalue("postgres_database")
    make_theirs(url, request.param)
    asyncio.run(upgrade(url, PLAN))
    return url


async def written(url, *records, plan=PLAN, start=0):
    store = Store(url, "the database", "group", tools=False, timeout=10, plan=plan)
    try:
        await store.require_schema()
        await store.place(LANES)
        await store.write(entries(*records, start=start))
    finally:
        await store.close()


def test_the_document_shows_the_example_as_it_is_tested():
    assert f"```toml\n{MESSAGE_V2}```" in (ROOT / "docs/chat-databases.md").read_text()
    assert load(EXAMPLE) == PLAN.layout


async def test_the_message_that_asked_shows_the_artifact_in_one_part_that_is_replaced_in_place(theirs):
    in_chat, file = add_chat(theirs), new_id()
    first, last = {"type": "text", "text": "here it is"}, {"type": "text", "text": "after"}
    asking = add_message(theirs, in_chat, json.dumps([first]))
    told = {"chat": in_chat, "message": asking}
    await written(theirs, artifact(file, 1, **told, progress=10))
    parts = shown(theirs)[asking]["parts"]
    assert parts[0] == first
    set_parts(theirs, [*parts, last])
    await written(theirs, artifact(file, 2, **told, status="completed"), stored(file), start=1)
    (row,) = shown(theirs).values()
    assert [row["parts"][0], row["parts"][2]] == [first, last]
    assert row["parts"][1] == {
        "type": "data-artifact",
        "id": f"{file}/g1",
        "data": {
            "file_id": file, "generation": "g1", "kind": "video", "status": "completed", "progress": 0.0,
            "url": f"https://cdn.example.com/{file}/g1.mp4", "durable_url": location(file), "version": 3,
        },
    }  # fmt: skip


async def test_an_unknown_message_is_made_once_with_the_constants_of_the_layout(theirs):
    in_chat, file = add_chat(theirs), new_id()
    await written(theirs, artifact(file, 1, chat=in_chat))
    await written(theirs, artifact(file, 2, chat=in_chat, status="completed"), start=1)
    ((made, row),) = shown(theirs).items()
    assert made == message_id(in_chat, file, "g1")
    assert (row["role"], json.loads(row["attachments"])) == ("assistant", [])
    assert [each["data"]["status"] for each in row["parts"]] == ["completed"]


async def test_two_artifacts_of_a_message_are_two_parts(theirs):
    in_chat = add_chat(theirs)
    asking = add_message(theirs, in_chat)
    files = [new_id(), new_id()]
    told = {"chat": in_chat, "message": asking}
    await written(
        theirs, *(artifact(file, 1, **told) for file in files), artifact(files[0], 2, **told, generation="g2")
    )
    assert Counter(each["id"] for each in shown(theirs)[asking]["parts"]) == Counter(
        [f"{files[0]}/g1", f"{files[1]}/g1", f"{files[0]}/g2"]
    )


async def test_a_replay_changes_nothing_of_theirs(theirs):
    in_chat, file = add_chat(theirs), new_id()
    asking = add_message(theirs, in_chat)
    told = {"chat": in_chat, "message": asking}
    await written(theirs, artifact(file, 2, **told, status="completed"), stored(file))
    query(theirs, text("UPDATE \"Message_v2\" SET parts = '[]'"))
    await written(theirs, artifact(file, 1, **told), artifact(file, 2, **told, status="completed"), start=1)
    assert shown(theirs)[asking]["parts"] == []


async def test_an_unknown_chat_is_told_and_nothing_is_written(theirs):
    known = add_chat(theirs)
    one, other = artifact(new_id(), 1, chat=known), artifact(new_id(), 1)
    with pytest.raises(UnknownChats) as unknown:
        await written(theirs, one, other)
    assert {str(key[0]) for key in unknown.value.keys} == {other.chat.chat_id}
    assert shown(theirs) == {}
    assert query(theirs, text("SELECT * FROM rendercast_artifact")) == []


async def test_a_message_that_the_application_has_deleted_stays_deleted(theirs):
    in_chat, file = add_chat(theirs), new_id()
    await written(theirs, artifact(file, 1, chat=in_chat))
    query(theirs, text('DELETE FROM "Message_v2"'))
    query(theirs, text('DELETE FROM "Chat"'))
    await written(theirs, artifact(file, 2, chat=in_chat, status="completed"), start=1)
    assert shown(theirs) == {}
    assert query(theirs, text("SELECT version FROM rendercast_artifact")) == [{"version": 2}]


@pytest.mark.parametrize("parts", ["{}", '"text"', "3"])
async def test_parts_that_are_no_array_are_left_alone_and_the_record_refused(theirs, parts):
    in_chat = add_chat(theirs)
    asking = add_message(theirs, in_chat, parts)
    with pytest.raises(RejectRecord) as refused:
        await written(theirs, artifact(new_id(), 1, chat=in_chat, message=asking))
    assert refused.value.reason == "bad_parts"
    assert shown(theirs)[asking]["parts"] == json.loads(parts)


async def test_a_copy_reaches_every_chat_of_its_file_but_the_one_whose_parts_are_no_array(theirs):
    file, chats = new_id(), [add_chat(theirs) for _ in range(3)]
    asking = [add_message(theirs, each, "[]") for each in chats]
    records = [
        artifact(file, 1, chat=chat, message=each, status="completed") for chat, each in zip(chats, asking, strict=True)
    ]
    await written(theirs, *records)
    query(theirs, text(f"""UPDATE "Message_v2" SET parts = '{{}}' WHERE id = '{asking[1]}'"""))
    await written(theirs, stored(file))
    found = shown(theirs)
    for each in (asking[0], asking[2]):
        assert found[each]["parts"][0]["data"]["durable_url"] == location(file)
    assert found[asking[1]]["parts"] == {}
    rows = query(theirs, text("SELECT durable_url FROM rendercast_artifact"))
    assert [each["durable_url"] for each in rows] == [location(file)] * 3


async def test_nothing_of_theirs_is_altered_and_nothing_of_ours_refers_to_it(postgres_database):
    make_theirs(postgres_database, "postgres")

    def schema():
        return query(
            postgres_database,
            text(
                "SELECT table_name, column_name, data_type, is_nullable FROM information_schema.columns "
                "WHERE table_schema = 'public' AND table_name NOT LIKE 'rendercast_%' ORDER BY 1, 2"
            ),
        )

    before = schema()
    await upgrade(postgres_database, PLAN)
    assert schema() == before
    references = text(
        "SELECT conrelid::regclass::text AS of FROM pg_constraint WHERE contype = 'f' "
        "AND connamespace = 'public'::regnamespace"
    )
    assert [row["of"] for row in query(postgres_database, references)] == ['"Message_v2"']
    tables = text("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
    assert [row["tablename"] for row in query(postgres_database, tables)] == [
        "Chat", "Message_v2", "rendercast_alembic_version", "rendercast_artifact", "rendercast_consumer_offset",
        "rendercast_stored_copy", "rendercast_turn",
    ]  # fmt: skip


async def test_message_ids_of_any_text_are_found_where_their_column_takes_them(tmp_path):
    url = f"sqlite:///{tmp_path}/app.db"
    make_theirs(url, "sqlite")
    await upgrade(url, PLAN)
    in_chat = add_chat(url)
    add_message(url, in_chat, id_="msg_9fK2")
    await written(url, artifact(new_id(), 1, chat=in_chat, message="msg_9fK2"))
    assert len(shown(url)["msg_9fK2"]["parts"]) == 1


async def test_stubs_are_made_where_the_layout_can_fill_them(postgres_database):
    make_theirs(postgres_database, "postgres")
    filled = MESSAGE_V2.replace(
        "[message]", f'[chat.constants]\ntitle = "New chat"\nuserId = "{uuid.UUID(int=7)}"\n\n[message]', 1
    )
    plan = Plan("rendercast_", parse(filled, "filled"))
    await upgrade(postgres_database, plan)
    in_chat = new_id()
    await written(postgres_database, artifact(new_id(), 1, chat=in_chat), plan=plan)
    (row,) = query(postgres_database, text('SELECT * FROM "Chat"'))
    assert (str(row["id"]), row["title"], row["userId"]) == (in_chat, "New chat", uuid.UUID(int=7))
    assert len(shown(postgres_database)) == 1


async def test_status_and_version_go_to_columns_that_the_layout_names(postgres_database):
    query(postgres_database, text("CREATE TYPE state AS ENUM ('pending', 'processing', 'completed', 'error')"))
    query(postgres_database, text("CREATE TABLE thread (id uuid PRIMARY KEY)"))
    query(
        postgres_database,
        text(
            "CREATE TABLE post (id uuid PRIMARY KEY, thread uuid NOT NULL, who varchar(20) NOT NULL, "
            "state state, revision integer NOT NULL)"
        ),
    )
    layout = parse(
        '[chat]\ntable = "thread"\n[message]\ntable = "post"\nchat_id = "thread"\nrole = "who"\n'
        'assistant = "bot"\nstatus = "state"\nversion = "revision"\n',
        "columns",
    )
    plan = Plan("rendercast_", layout)
    await upgrade(postgres_database, plan)
    file, in_chat = new_id(), new_id()
    for version, status in ((1, "processing"), (2, "completed")):
        record = artifact(file, version, chat=in_chat, status=status)
        await written(postgres_database, record, plan=plan, start=version - 1)
    assert query(postgres_database, text("SELECT who, state, revision FROM post")) == [
        {"who": "bot", "state": "completed", "revision": 2}
    ]


MISFITS = {
    "there is no table Chat": ('DROP TABLE "Chat" CASCADE',),
    "Message_v2 has no column parts": ('ALTER TABLE "Message_v2" RENAME parts TO pieces',),
    "Message_v2.userId is NOT NULL and has no default": ('ALTER TABLE "Message_v2" ADD "userId" uuid NOT NULL',),
    "Message_v2.id is not unique": ('ALTER TABLE "Message_v2" DROP CONSTRAINT "Message_v2_pkey"',),
    "Message_v2.id is CHAR(36), which pads": ('ALTER TABLE "Message_v2" ALTER id TYPE char(36)',),
    "Message_v2.id is VARCHAR(20): a UUID has 36": ('ALTER TABLE "Message_v2" ALTER id TYPE varchar(20)',),
    "Message_v2.role knows USER, and no assistant": (
        "CREATE TYPE who AS ENUM ('USER')", 'ALTER TABLE "Message_v2" DROP role',
        'ALTER TABLE "Message_v2" ADD role who NOT NULL',
    ),
    "Message_v2.role is generated": (
        'ALTER TABLE "Message_v2" DROP role',
        """ALTER TABLE "Message_v2" ADD role text GENERATED ALWAYS AS ('assistant') STORED""",
    ),
    "Message_v2.chatId is INTEGER: expected uuid or text": (
        'ALTER TABLE "Message_v2" DROP "chatId"', 'ALTER TABLE "Message_v2" ADD "chatId" integer',
    ),
    "rendercast_artifact.message_id is UUID, but": (
        'ALTER TABLE "Message_v2" ALTER id DROP DEFAULT', 'ALTER TABLE "Message_v2" ALTER id TYPE text',
    ),
}  # fmt: skip


@pytest.mark.parametrize("told", MISFITS)
async def test_what_does_not_fit_is_told_before_anything_is_written(postgres_database, told):
    make_theirs(postgres_database, "postgres")
    await upgrade(postgres_database, PLAN)
    for statement in MISFITS[told]:
        query(postgres_database, text(statement))
    assert any(each.startswith(told) for each in (await check(postgres_database, PLAN)).adapted.misfits)
    with pytest.raises(StopProcess, match="does not fit the layout") as stopped:
        await written(postgres_database)
    assert told in str(stopped.value)


async def test_stubs_that_cannot_be_filled_stop_the_process_and_name_the_setting(postgres_database):
    make_theirs(postgres_database, "postgres")
    with pytest.raises(StopProcess, match=r"Chat\.userId is NOT NULL .*UNKNOWN_CHAT=dead-letter"):
        await upgrade(postgres_database, Plan("rendercast_", PLAN.layout))
    found = query(postgres_database, text("SELECT tablename FROM pg_tables WHERE schemaname = 'public'"))
    assert {row["tablename"] for row in found} == {"Chat", "Message_v2"}


async def test_tables_made_for_chats_of_our_own_are_not_used_beside_theirs(postgres_database):
    make_theirs(postgres_database, "postgres")
    await upgrade(postgres_database, Plan("rendercast_"))
    assert "choose another" in " ".join((await check(postgres_database, PLAN)).adapted.misfits)


async def test_two_partitions_may_show_in_one_message_at_the_same_time_and_no_part_is_lost(postgres_database):
    make_theirs(postgres_database, "postgres")
    await upgrade(postgres_database, PLAN)
    in_chat = add_chat(postgres_database)
    asking = add_message(postgres_database, in_chat)
    stores = [Store(postgres_database, "it", "group", tools=False, timeout=10, plan=PLAN) for _ in range(2)]
    for store in stores:
        await store.require_schema()
        await store.place(LANES)
    for number in range(20):
        await asyncio.gather(
            *(
                store.write(
                    entries(artifact(new_id(), 1, chat=in_chat, message=asking), start=number, partition=partition)
                )
                for partition, store in enumerate(stores)
            )
        )
        parts = shown(postgres_database)[asking]["parts"]
        assert len({each["id"] for each in parts}) == len(parts) == 2 * (number + 1)
    for store in stores:
        await store.close()


async def test_a_column_that_the_application_adds_in_mid_run_stops_the_process_and_costs_no_record(
    kafka, topics, postgres_database
):
    make_theirs(postgres_database, "postgres")
    await upgrade(postgres_database, PLAN)
    in_chat = add_chat(postgres_database)
    own = {"layout": EXAMPLE, "unknown_chat": "dead-letter"}

    async def run():
        async with running_sink(kafka, topics, postgres_database, **own) as sink:
            await until(lambda: sink.not_ready() is None)
            query(postgres_database, text('ALTER TABLE "Message_v2" ADD "userId" uuid NOT NULL'))
            await asyncio.to_thread(send, kafka, topics.names.artifacts, [artifact(new_id(), 1, chat=in_chat)])
            await asyncio.wait([sink.task], timeout=30)

    with pytest.raises(StopProcess, match=r"Message_v2\.userId is NOT NULL"):
        await run()
    assert await asyncio.to_thread(read, kafka, topics.names.dead_letters) == []


async def test_db_check_says_line_by_line_what_does_not_fit(postgres_database, tmp_path):
    make_theirs(postgres_database, "postgres")
    wrong = tmp_path / "wrong.toml"
    wrong.write_text(MESSAGE_V2.replace('"parts"', '"part"').replace("attachments =", "files ="))
    settings = ChatsSettings(url=postgres_database, layout=wrong, unknown_chat="dead-letter")
    assert await databases.check(settings) == (
        [
            "chats: at nothing, this release needs 0003",
            "chats: Message_v2 has no column part",
            "chats: Message_v2 has no column files",
            "chats: Message_v2.parts is NOT NULL and has no default: give it a constant",
            "chats: Message_v2.attachments is NOT NULL and has no default: give it a constant",
        ],
        False,
    )
    with pytest.raises(StopProcess, match="does not fit"):
        await databases.upgrade(settings)
    right = ChatsSettings(url=postgres_database, layout=EXAMPLE, unknown_chat="dead-letter")
    assert (await databases.check(right)) == (["chats: at nothing, this release needs 0003"], False)
    assert await databases.upgrade(right) == ["chats: at 0003"]
    assert await databases.check(right) == (["chats: at 0003, this release needs 0003"], True)
