"""The user that the chart gives its toolbox may do on a broker with ACLs what docs/operate.md asks of it."""

import asyncio
import json
from uuid import uuid4

import pytest
from aiokafka.protocol.admin import CreateAclsRequest
from click.testing import CliRunner
from harness import missing, read, require_java
from integration.brokers.secure import SecureBroker
from unit.helm.charts import STRIMZI, Chart, merged
from unit.helm.toolbox import obtain

from connectors.kafka import close, connect, producer
from rendercast.cli import main
from rendercast.settings import kafka_variables
from rendercast.topics import admin
from schemas.dead_letters import DeadLetter
from schemas.settings import TopicSettings

TOPICS = TopicSettings(prefix="tools.", partitions=2, replication=1)
KINDS = {"topic": 2, "group": 3, "transactionalId": 5}
OPERATIONS = {"Read": 3, "Write": 4, "Create": 5, "Delete": 6, "Describe": 8, "DescribeConfigs": 10}
LITERAL, ALLOW = 3, 3
"""Codes of Kafka's protocol."""


@pytest.fixture(scope="module")
def acls():
    try:
        chart = Chart(obtain())
    except LookupError as error:
        missing(str(error))
    values = merged(STRIMZI, {"toolbox": {"enabled": True}, "config": {"topics": {"prefix": TOPICS.prefix}}})
    (user,) = [
        each
        for each in chart.objects(values)
        if each["kind"] == "KafkaUser" and each["metadata"]["name"] == "rendercast-toolbox"
    ]
    return user["spec"]["authorization"]["acls"]


@pytest.fixture
def broker(tmp_path):
    """It denies what is not allowed."""
    require_java()
    with SecureBroker(tmp_path / "denying", ["toolbox"], denies=True) as found:
        yield found


async def grant(broker, acls):
    async with admin(broker.as_itself) as client:
        for each in acls:
            kind, name = KINDS[each["resource"]["type"]], each["resource"]["name"]
            for operation in each["operations"]:
                request = CreateAclsRequest(kind, name, LITERAL, "User:toolbox", "*", OPERATIONS[operation], ALLOW)
                answer = await client._client.send(client._client.get_random_node(), request)
                assert [made[0] for made in answer.creation_responses] == [0]


async def bury(broker):
    """A letter that came from `commands`."""
    names = TOPICS.names
    letter = DeadLetter("not_json", "broken", names.commands, 0, 0, "processor", b"k", b"{")
    client = await connect(producer(broker.as_itself, "bury"), broker.as_itself)
    try:
        await client.send_and_wait(names.dead_letters, letter.body(), partition=0, headers=letter.headers())
    finally:
        await close(client)


def test_an_operator_can_do_with_it_what_the_pages_ask_for(broker, acls, monkeypatch):
    asyncio.run(grant(broker, acls))
    for name, value in kafka_variables(broker.as_user("toolbox")).items():
        monkeypatch.setenv(name, value)
    for name, value in TOPICS.model_dump(mode="json").items():
        monkeypatch.setenv(f"RENDERCAST_TOPICS__{name.upper()}", str(value))

    def run(command, given=None):
        done = CliRunner().invoke(main, command.split(), input=given)
        assert done.exit_code == 0, (command, done.output)
        return done.stdout

    run("topics apply")
    run("topics check")
    findings = [json.loads(line) for line in run("doctor --only kafka --json").splitlines()]
    assert {each["state"] for each in findings} == {"good"}, findings
    run(f"jobs track {uuid4()} --kind image")
    assert len(read(broker.as_itself, TOPICS.names.commands)) == 1
    run("jobs list --json")
    assert run("jobs save") == ""
    run("top --once --json")
    asyncio.run(bury(broker))
    assert len(run("dead-letters list --json").splitlines()) == 1
    run("dead-letters replay --all --yes")
    assert len(read(broker.as_itself, TOPICS.names.commands)) == 2
    run("topics remake jobs positions --yes")
    run("topics rewind")
    command = {"type": "check", "file_id": str(uuid4()), "issued_at": "2026-01-02T03:04:05.000Z"}
    run("jobs send", json.dumps(command) + "\n")
    assert len(read(broker.as_itself, TOPICS.names.commands)) == 3
