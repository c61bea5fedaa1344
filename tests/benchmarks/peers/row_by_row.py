"""A consumer as most services have one: for each record one transaction, then the batch is committed to Kafka.

It has what makes its rows right (versions, the message, the copy's URL), and nothing that makes it quick.
"""

import asyncio
import os
import uuid
from typing import Any

import orjson
import psycopg
from aiokafka import AIOKafkaConsumer

PREFIX = os.environ.get("RENDERCAST_TOPICS__PREFIX", "")
GROUP = os.environ.get("RENDERCAST_CHATS__GROUP_ID", "row-by-row")

CHAT = "INSERT INTO chat (id, created_at) VALUES (%(chat_id)s, %(tracked_at)s) ON CONFLICT DO NOTHING"
MESSAGE = """
    INSERT INTO message (id, chat_id, role, file_id, generation, status, version, created_at, updated_at)
    VALUES (%(message_id)s, %(chat_id)s, 'assistant', %(file_id)s, %(generation)s, %(status)s, %(version)s,
            %(tracked_at)s, %(updated_at)s)
    ON CONFLICT (id) DO UPDATE SET status = EXCLUDED.status, version = EXCLUDED.version,
            updated_at = EXCLUDED.updated_at WHERE EXCLUDED.version > message.version
"""
ARTIFACT = """
    INSERT INTO artifact (chat_id, file_id, generation, message_id, kind, status, progress, outcome, late, url,
            prompt, version, revision, tracked_at, updated_at, finished_at)
    VALUES (%(chat_id)s, %(file_id)s, %(generation)s, %(message_id)s, %(kind)s, %(status)s, %(progress)s, %(outcome)s,
            false, %(url)s, %(prompt)s, %(version)s, 1, %(tracked_at)s, %(updated_at)s, %(finished_at)s)
    ON CONFLICT (chat_id, file_id, generation) DO UPDATE SET status = EXCLUDED.status, progress = EXCLUDED.progress,
            outcome = EXCLUDED.outcome, url = EXCLUDED.url, version = EXCLUDED.version,
            updated_at = EXCLUDED.updated_at, finished_at = EXCLUDED.finished_at
    WHERE EXCLUDED.version > artifact.version
"""
COPY = "UPDATE artifact SET durable_url = %(location)s WHERE file_id = %(file_id)s AND generation = %(generation)s"


async def main() -> None:
    consumer = AIOKafkaConsumer(
        PREFIX + "artifacts", PREFIX + "stored", group_id=GROUP, enable_auto_commit=False,
        bootstrap_servers=os.environ["RENDERCAST_KAFKA__BOOTSTRAP_SERVERS"], auto_offset_reset="earliest",
    )  # fmt: skip
    await consumer.start()
    connection = await psycopg.AsyncConnection.connect(os.environ["RENDERCAST_CHATS__URL"])
    while True:
        found = await consumer.getmany(timeout_ms=500, max_records=500)
        for records in found.values():
            for record in records:
                await write(connection, orjson.loads(record.value))
        if found:
            await consumer.commit()


async def write(connection: psycopg.AsyncConnection[Any], record: dict[str, Any]) -> None:
    async with connection.transaction():
        if "location" in record:
            await connection.execute(COPY, record)
            return
        chat_id = record["chat"]["chat_id"]
        message_id = uuid.uuid5(uuid.UUID(chat_id), record["file_id"])
        values = {"outcome": None, "url": None, "finished_at": None} | record
        values |= {"chat_id": chat_id, "message_id": message_id}
        for statement in (CHAT, MESSAGE, ARTIFACT):
            await connection.execute(statement, values)


if __name__ == "__main__":
    asyncio.run(main())
