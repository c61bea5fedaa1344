"""What a user may not do on a broker with ACLs, the doctor names by process."""

import json

import pytest
from click.testing import CliRunner
from integration.brokers.secure import USER
from integration.brokers.test_kafka_security import new_topics

from rendercast.cli import main
from rendercast.settings import kafka_variables


@pytest.fixture
def findings(broker, monkeypatch):
    kafka = broker.as_user(USER)
    topics = new_topics(kafka)
    for name, value in kafka_variables(kafka).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("RENDERCAST_TOPICS__PREFIX", topics.prefix)
    monkeypatch.setenv("RENDERCAST_TOPICS__PARTITIONS", "2")

    def ask(*arguments):
        done = CliRunner().invoke(main, ["doctor", "--json", "--only", "kafka", *arguments])
        return done.exit_code, {each["about"]: each for each in map(json.loads, done.stdout.splitlines())}

    return ask, topics


def test_a_right_that_a_process_lacks_is_named(findings, broker):
    ask, topics = findings
    status, before = ask()
    assert (status, {each["state"] for each in before.values()}) == (0, {"good"})
    broker.allow(USER, "Read", topics.names.upstream)
    broker.allow(USER, "Describe", topics.names.upstream)
    broker.allow("another", "Read", group=f"{topics.prefix}storage")
    status, after = ask()
    assert status == 1
    assert after["rights of connector"]["words"] == f"lacks Write {topics.names.upstream}"
    assert after["rights of storage"]["words"] == f"lacks Read group {topics.prefix}storage"
    assert {each for each, found in after.items() if found["state"] != "good"} == {
        "rights of connector", "rights of storage",
    }  # fmt: skip
    assert ask("--process", "gateway")[0] == 0


def test_a_topic_that_may_not_even_be_seen_lacks_everything(findings, broker):
    ask, topics = findings
    broker.allow("another", "Read", topics.names.artifacts)
    _, found = ask("--process", "chats", "--process", "processor")
    assert found["rights of chats"]["words"] == f"lacks Read {topics.names.artifacts}"
    assert found["rights of processor"]["words"] == f"lacks Write {topics.names.artifacts}"
