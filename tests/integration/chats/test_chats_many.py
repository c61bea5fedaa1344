"""Many jobs, with repeats and in any order: exactly the rows that they should make.

RENDERCAST_TEST_CHATS_JOBS=50000 is the full run.
"""

import os
import random
from collections import Counter
from types import SimpleNamespace
from uuid import UUID

from integration.chats.support import artifact, location, rows, stored

from connectors.chats.rows import Entry
from connectors.chats.store import Store
from schemas import Artifact
from schemas.ids import message_id

JOBS = int(os.environ.get("RENDERCAST_TEST_CHATS_JOBS", "2500"))
LANES = [("artifacts", 0), ("stored", 0)]
BATCH = 500


def records(drawn):
    """One to three versions of each job and the copy of half of them; some twice, all in any order."""
    chats = [str(UUID(int=drawn.getrandbits(128), version=4)) for _ in range(JOBS // 20)]
    found = []
    for _ in range(JOBS):
        file, in_chat, last = str(UUID(int=drawn.getrandbits(128), version=4)), drawn.choice(chats), drawn.randint(1, 3)
        found += [artifact(file, number, chat=in_chat) for number in range(1, last)]
        found.append(artifact(file, last, chat=in_chat, status="completed"))
        if drawn.random() < 0.5:
            found.append(stored(file))
    found += drawn.sample(found, len(found) // 5)
    drawn.shuffle(found)
    return found


def on_topics(found):
    ends = Counter()
    for record in found:
        topic = "artifacts" if isinstance(record, Artifact) else "stored"
        yield Entry(SimpleNamespace(topic=topic, partition=0, offset=ends[topic]), record)
        ends[topic] += 1


async def test_many_jobs_with_repeats_and_shuffles_make_exactly_the_expected_rows(database):
    drawn = random.Random(50_000)
    found = records(drawn)
    entries = list(on_topics(found))
    store = Store(database, "the database", "group", tools=False, timeout=60)
    for start in range(0, len(entries), BATCH):
        if drawn.random() < 0.1 or start == 0:  # as after a restart: the last batches come again
            await store.place(LANES)
            for again in range(max(0, start - 3 * BATCH), start, BATCH):
                await store.write(entries[again : again + BATCH])
        await store.write(entries[start : start + BATCH])
    await store.close()

    expected, copies = {}, {each.file_id for each in found if not isinstance(each, Artifact)}
    for each in found:
        if isinstance(each, Artifact) and each.version >= expected.get(each.file_id, each).version:
            expected[each.file_id] = each
    shown = {str(row["file_id"]): row for row in rows(database, "artifact")}
    assert len(rows(database, "artifact")) == len(shown) == JOBS
    assert {file: (row["version"], row["status"], row["url"], row["durable_url"]) for file, row in shown.items()} == {
        file: (each.version, each.status, each.url, location(file) if file in copies else None)
        for file, each in expected.items()
    }
    assert {
        str(row["id"]): (str(row["chat_id"]), row["status"], row["version"]) for row in rows(database, "message")
    } == {
        message_id(each.chat.chat_id, file, "g1"): (each.chat.chat_id, each.status, shown[file]["revision"])
        for file, each in expected.items()
    }
    assert {str(row["id"]) for row in rows(database, "chat")} == {each.chat.chat_id for each in expected.values()}
    assert len(rows(database, "stored_copy")) == len(copies)
