"""Consumer groups from outside: whose have members, and putting one back to the beginning."""

import asyncio
import time
from collections.abc import Collection

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from connectors.kafka import close, connect, consumer
from rendercast.rights import Process, rights
from rendercast.settings import Settings
from rendercast.topics import admin
from schemas.errors import StopProcess
from schemas.settings import KafkaSettings

_QUIET = ("Empty", "Dead", "")
"""States of a group without members."""

LOOK_SECONDS = 0.5
EMPTY_SECONDS = 40
"""For the group to have lost its last member."""


async def running(settings: Settings) -> list[Process]:
    """The processes whose groups have members. A killed one stays a member for its session's time."""
    found: list[Process] = []
    async with admin(settings.kafka) as client:
        for process, needed in rights(settings).items():
            if needed.group is None:
                continue
            try:
                answers = await client.describe_consumer_groups([needed.group])
            except KafkaError:  # no group ever was on this cluster
                continue
            groups = [group for answer in answers for group in answer.to_object()["groups"]]
            if any(group["state"] not in _QUIET for group in groups):
                found.append(process)
    return found


async def rewind(kafka: KafkaSettings, group: str, partitions: Collection[TopicPartition]) -> None:
    """Commit offset 0 everywhere. The group has to be empty: members that were killed are waited for."""
    give_up = time.monotonic() + EMPTY_SECONDS
    while True:
        client = await connect(consumer(kafka, "rendercast-rewind", group), kafka)
        try:
            client.assign(list(partitions))
            async with asyncio.timeout(max(LOOK_SECONDS, give_up - time.monotonic())):  # the client retries for ever
                await client.commit(dict.fromkeys(partitions, 0))
        except (KafkaError, TimeoutError) as error:
            if time.monotonic() > give_up:
                why = str(error) or "no answer in time"
                raise StopProcess(f"the offsets of group {group} cannot be set; has it members? {why}") from error
            await asyncio.sleep(LOOK_SECONDS)
        else:
            return
        finally:
            await close(client)
