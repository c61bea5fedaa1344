"""Making the topics, and saying what differs from how they should be. Workers never make one on the fly."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from brokers import arguments, no_broker, require_token
from schemas.errors import StopProcess
from schemas.settings import KafkaSettings, TopicSettings
from schemas.topics import TopicSpec


@dataclass(frozen=True, slots=True)
class Difference:
    """One thing about a topic that is not as the settings say."""

    topic: str
    what: str
    wanted: str
    found: str

    def __str__(self) -> str:
        return f"{self.topic}: {self.what} should be {self.wanted}, is {self.found}"


@asynccontextmanager
async def admin(kafka: KafkaSettings) -> AsyncIterator[AIOKafkaAdminClient]:
    """An admin client. Raises StopProcess when no broker answers within the start timeout."""
    client = AIOKafkaAdminClient(**arguments(kafka), client_id="rendercast-topics")
    try:
        async with asyncio.timeout(kafka.start_timeout_seconds):
            await require_token(kafka)
            await client.start()
    except (TimeoutError, KafkaError, OSError) as error:
        with contextlib.suppress(Exception):
            await client.close()
        raise await no_broker(kafka) from error
    try:
        yield client
    finally:
        await client.close()


async def apply(kafka: KafkaSettings, settings: TopicSettings) -> list[str]:
    """Make the topics that are missing; their names. What is there is left as it is: `check` says how it differs."""
    async with admin(kafka) as client:
        there = set(await client.list_topics())
        missing = [spec for spec in settings.names.specs() if spec.name not in there]
        if missing:
            answer = await client.create_topics(
                [
                    NewTopic(spec.name, settings.partitions, settings.replication, topic_configs=spec.configs())
                    for spec in missing
                ]
            )
            for name, code, *message in answer.topic_errors:
                if code and for_code(code) is not TopicAlreadyExistsError:
                    raise StopProcess(f"topic {name} cannot be made: {for_code(code).__name__} {message or ''}")
            await _until_known(client, [spec.name for spec in missing])
    return [spec.name for spec in missing]


async def _until_known(client: AIOKafkaAdminClient, names: list[str]) -> None:
    """A topic that was just made is not at once known to every broker, nor has every partition a leader."""
    async with asyncio.timeout(30):
        while True:
            described = await client.describe_topics(names)
            if all(not each["error_code"] and all(p["leader"] >= 0 for p in each["partitions"]) for each in described):
                return
            await asyncio.sleep(0.05)


async def check(kafka: KafkaSettings, settings: TopicSettings) -> list[Difference]:
    """Every difference between the cluster's topics and the settings; empty when all is well."""
    async with admin(kafka) as client:
        there = set(await client.list_topics())
        specs = settings.names.specs()
        found = [Difference(spec.name, "topic", "there", "missing") for spec in specs if spec.name not in there]
        present = [spec for spec in specs if spec.name in there]
        for described in await client.describe_topics([spec.name for spec in present]) if present else []:
            found += _shape(described, settings)
        configs = await _configs(client, present)
        for spec in present:
            found += [
                Difference(spec.name, name, wanted, configs[spec.name].get(name, "unset"))
                for name, wanted in spec.configs().items()
                if spec.name in configs and configs[spec.name].get(name) != wanted
            ]
    return found


def _shape(described: Mapping[str, Any], settings: TopicSettings) -> list[Difference]:
    partitions = described["partitions"]
    replicas = min((len(each["replicas"]) for each in partitions), default=0)
    facts = (("partitions", settings.partitions, len(partitions)), ("replication", settings.replication, replicas))
    return [
        Difference(described["topic"], what, str(wanted), str(is_now))
        for what, wanted, is_now in facts
        if wanted != is_now
    ]


async def _configs(client: AIOKafkaAdminClient, specs: list[TopicSpec]) -> dict[str, dict[str, str]]:
    """By topic. One whose configuration this user may not see is left out: a process's user needs no such right."""
    answers = await client.describe_configs([ConfigResource(ConfigResourceType.TOPIC, spec.name) for spec in specs])
    return {
        resource[3]: {entry[0]: entry[1] for entry in resource[4]}
        for answer in answers
        for resource in answer.resources
        if not resource[0]
    }


async def delete(kafka: KafkaSettings, settings: TopicSettings, names: Collection[str] | None = None) -> None:
    """Delete the topics that are there, or those of them that are named; returns when they are gone."""
    async with admin(kafka) as client:
        there = set(await client.list_topics())
        doomed = [
            each.name for each in settings.names.specs() if each.name in there and (names is None or each.name in names)
        ]
        if doomed:
            await client.delete_topics(doomed)
            async with asyncio.timeout(30):
                while there & set(doomed):
                    await asyncio.sleep(0.05)
                    there = set(await client.list_topics())


async def require(kafka: KafkaSettings, settings: TopicSettings, names: Collection[str]) -> None:
    """Raises StopProcess where a process must not start: one of these topics is missing, or is cut differently."""
    found = [each for each in await check(kafka, settings) if each.topic in names]
    wrong = [each for each in found if each.what in ("topic", "partitions", "cleanup.policy")]
    if wrong:
        raise StopProcess(
            "the topics are not as the settings say (`rendercast topics apply` makes missing ones): "
            + "; ".join(map(str, wrong))
        )
