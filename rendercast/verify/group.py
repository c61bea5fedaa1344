"""The processors' consumer group: how far it has come."""

import asyncio
import time
from collections.abc import Mapping

from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from rendercast.topics import admin
from schemas.errors import StopProcess
from schemas.settings import KafkaSettings

LOOK_SECONDS = 0.5
BROKER_SECONDS = 60


async def until_answered(kafka: KafkaSettings, group: str) -> None:
    """Wait for the group's coordinator after a restart of its broker."""
    async with asyncio.timeout(BROKER_SECONDS):
        while True:
            try:
                async with admin(kafka) as client:
                    await client.list_consumer_group_offsets(group)
            except (KafkaError, StopProcess):
                await asyncio.sleep(LOOK_SECONDS)
            else:
                return


async def behind(kafka: KafkaSettings, group: str, ends: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
    """Of each partition that is not committed to its end, how far it is; -1 where nothing is committed."""
    try:
        async with admin(kafka) as client:
            offsets = await client.list_consumer_group_offsets(group)
    except KafkaError:  # its coordinator is about to move, or to load
        offsets = {}
    committed = {tp: offsets[tp].offset if tp in offsets else -1 for tp in ends}
    return {tp: offset for tp, offset in committed.items() if offset < ends[tp]}


async def wait_until_read(
    kafka: KafkaSettings, group: str, ends: Mapping[TopicPartition, int], patience: float
) -> str | None:
    """None when the group has committed to the ends; else in words where it stood still for `patience` seconds."""
    left, moved_at = await behind(kafka, group, ends), time.monotonic()
    while left:
        await asyncio.sleep(LOOK_SECONDS)
        now = await behind(kafka, group, ends)
        if now != left:
            left, moved_at = now, time.monotonic()
        elif time.monotonic() - moved_at > patience:
            where = ", ".join(f"{tp.topic}-{tp.partition} at {at} of {ends[tp]}" for tp, at in sorted(left.items()))
            return f"nothing was committed for {patience:g} s: {where}"
    return None
