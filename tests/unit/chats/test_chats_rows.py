"""What a batch writes, without a database."""

import re
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.chats.rows import (
    Entry,
    Tools,
    artifact_key,
    asking_message_id,
    batch,
    chat_id,
    derived_message_id,
    read,
)
from schemas import Artifact, Stored
from schemas.codec import encode
from schemas.errors import RejectRecord
from schemas.ids import chat_uuid, message_id
from schemas.topics import Topics

FILE = "0b8fdd2c-68a8-4d43-8c4a-6f4c5a1e2b3d"
CHAT = "A1B2C3D4-0000-4000-8000-00000000000A"
NOW = datetime(2026, 1, 2, tzinfo=UTC)
TOPICS = Topics("t.")
NO_TOOLS = Tools(re.compile(r".*-tool"), kept=False)


def artifact(version=1, *, file=FILE, chat=CHAT, message=None, generation="g1"):
    return Artifact(
        file_id=file, generation=generation, version=version, kind="video", status="processing",
        chat={"chat_id": chat, "message_id": message}, deadline_at=NOW + timedelta(minutes=15), tracked_at=NOW,
        updated_at=NOW,
    )  # fmt: skip


def stored(location="file:///a", generation="g1"):
    return Stored(
        file_id=FILE, generation=generation, url="https://e.com/x", kind="video", location=location, bytes=1,
        sha256="", content_type="video/mp4", stored_at=NOW,
    )  # fmt: skip


def source(offset, value=b"", *, topic="t.artifacts", partition=0):
    return SimpleNamespace(topic=topic, partition=partition, offset=offset, key=None, value=value)


def in_a_row(*records, start=0):
    return [Entry(source(offset), record) for offset, record in enumerate(records, start)]


@given(st.permutations(range(1, 7)))
def test_of_many_versions_the_highest_is_written_in_whatever_order_they_come(versions):
    made = batch(in_a_row(*map(artifact, versions)), {("t.artifacts", 0): 0}, tools=False)
    assert [each.version for each in made.artifacts.values()] == [6]


def test_chats_and_generations_do_not_coalesce():
    other = "00000000-0000-4000-8000-000000000001"
    made = batch(
        in_a_row(artifact(), artifact(chat=other), artifact(generation="g2")), {("t.artifacts", 0): 0}, tools=False
    )  # fmt: skip
    assert len(made.artifacts) == 3
    assert list(made.artifacts) == sorted(artifact_key(each) for each in made.artifacts.values())


def test_a_batch_moves_each_partition_from_what_was_expected_past_its_last_record():
    entries = [
        *in_a_row(artifact(), None, start=5),
        Entry(source(2, topic="t.stored", partition=1), stored()),
    ]
    made = batch(entries, {("t.artifacts", 0): 4, ("t.stored", 1): 2}, tools=False)
    assert made.moves == {("t.artifacts", 0): (4, 7), ("t.stored", 1): (2, 3)}


def test_records_that_the_database_has_are_left_out():
    made = batch(in_a_row(artifact(1), artifact(2)), {("t.artifacts", 0): 2}, tools=False)
    assert (made.artifacts, made.moves) == ({}, {})


@pytest.mark.parametrize("tools", [True, False])
def test_a_tool_chat_is_written_only_where_tools_are_kept_and_its_offset_moves_either_way(tools):
    made = batch(in_a_row(artifact(chat="video-generator-tool")), {("t.artifacts", 0): 0}, tools=tools)
    assert len(made.artifacts) == tools
    assert made.moves == {("t.artifacts", 0): (0, 1)}


def test_the_last_copy_of_a_generation_is_kept():
    entries = [Entry(source(n, topic="t.stored"), stored(f"file:///{n}")) for n in range(3)]
    made = batch(entries, {("t.stored", 0): 0}, tools=False)
    assert [each.location for each in made.copies] == ["file:///2"]


def test_ids_of_chats_and_messages_are_those_that_everybody_derives():
    tool = artifact(chat="video-generator-tool")
    assert str(chat_id(tool)) == chat_uuid("video-generator-tool")
    assert str(derived_message_id(tool, text_ids=False)) == message_id("video-generator-tool", FILE, "g1")
    assert chat_id(artifact()) == UUID(CHAT)
    lower = artifact(chat=CHAT.lower())
    assert derived_message_id(artifact(), text_ids=False) == derived_message_id(lower, text_ids=False)
    assert derived_message_id(lower, text_ids=True) == str(derived_message_id(lower, text_ids=False))


@pytest.mark.parametrize(("asked", "found"), [(None, None), ("m-17", None), (CHAT, UUID(CHAT))])
def test_only_a_uuid_can_name_the_message_that_asked_where_their_ids_are_uuids(asked, found):
    assert asking_message_id(artifact(message=asked), text_ids=False) == found
    assert asking_message_id(artifact(message=asked), text_ids=True) == asked


def test_a_record_is_read_by_its_topic():
    assert read(source(0, encode(artifact())), TOPICS, NO_TOOLS) == artifact()
    assert read(source(0, encode(stored()), topic="t.stored"), TOPICS, NO_TOOLS) == stored()


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "not_json"),
        (b"{", "not_json"),
        (b"{}", "invalid"),
        (encode(artifact(chat="image-generator-tool")), "no_local_store"),
        (encode(artifact(chat="a-tool-or-so")), "bad_chat_id"),
    ],
)
def test_what_cannot_be_kept_is_refused_with_its_reason(value, reason):
    with pytest.raises(RejectRecord) as refused:
        read(source(0, value), TOPICS, NO_TOOLS)
    assert refused.value.reason == reason


def test_a_tool_is_what_the_pattern_matches_as_a_whole():
    kept = Tools(re.compile("image"), kept=True)
    assert read(source(0, encode(artifact(chat="image"))), TOPICS, kept) == artifact(chat="image")
    with pytest.raises(RejectRecord) as refused:
        read(source(0, encode(artifact(chat="image-generator"))), TOPICS, kept)
    assert refused.value.reason == "bad_chat_id"
