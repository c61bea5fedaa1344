"""Topics are made by a command, and differences are told."""

import asyncio
import uuid

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from click.testing import CliRunner

from rendercast import topics as admin
from rendercast.cli import main
from rendercast.settings import kafka_variables
from schemas.errors import StopProcess
from schemas.settings import KafkaSettings, TopicSettings


def test_apply_makes_all_topics_as_they_should_be_and_nothing_the_second_time(kafka):
    settings = TopicSettings(prefix=f"test-{uuid.uuid4().hex[:8]}.", partitions=3)
    assert asyncio.run(admin.apply(kafka, settings)) == [spec.name for spec in settings.names.specs()]
    assert asyncio.run(admin.check(kafka, settings)) == []
    assert asyncio.run(admin.apply(kafka, settings)) == []


def test_check_says_what_differs(kafka):
    settings = TopicSettings(prefix=f"test-{uuid.uuid4().hex[:8]}.", partitions=2)

    async def make_wrong():
        client = AIOKafkaAdminClient(bootstrap_servers=kafka.servers)
        await client.start()
        await client.create_topics([NewTopic(settings.names.jobs, 5, 1)])
        await client.close()

    asyncio.run(make_wrong())
    asyncio.run(admin.apply(kafka, settings))
    assert sorted(map(str, asyncio.run(admin.check(kafka, settings)))) == [
        f"{settings.names.jobs}: cleanup.policy should be compact, is delete",
        f"{settings.names.jobs}: partitions should be 2, is 5",
    ]
    with pytest.raises(StopProcess, match="partitions should be 2, is 5"):
        asyncio.run(admin.require(kafka, settings, {settings.names.jobs}))
    asyncio.run(admin.require(kafka, settings, {settings.names.commands}))


@pytest.mark.parametrize("command", [["jobs", "watch", str(uuid.uuid4())], ["topics", "rewind"]])
def test_a_command_makes_no_topics_by_the_way(kafka, monkeypatch, command):
    """Brokers make what is asked for, cut in their own way, unless they are told not to."""
    settings = TopicSettings(prefix=f"test-{uuid.uuid4().hex[:8]}.")
    for name, value in {**kafka_variables(kafka), "RENDERCAST_TOPICS__PREFIX": settings.prefix}.items():
        monkeypatch.setenv(name, value)
    done = CliRunner().invoke(main, command)
    assert done.exit_code == 1
    assert "`rendercast topics apply` makes missing ones" in done.stderr


def test_an_unreachable_broker_is_named_in_time():
    nobody = KafkaSettings(bootstrap_servers="127.0.0.1:1", start_timeout_seconds=3)
    with pytest.raises(StopProcess, match=r"no Kafka broker lets us in at 127\.0\.0\.1:1"):
        asyncio.run(admin.check(nobody, TopicSettings()))
