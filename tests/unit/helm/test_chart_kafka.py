"""Strimzi's objects: topics as `rendercast topics apply` makes them, and for each process the rights it uses."""

import pytest
from unit.helm.charts import PROCESSES, STRIMZI, environment, merged, pods

from rendercast.rights import rights
from rendercast.settings import Settings
from schemas.topics import Topics

SPECS = {spec.name: spec for spec in Topics("render.").specs()}
NAMES = {
    "chat-sink": "chats",
    "storage-sink": "storage",
    **{each: each for each in ("connector", "processor", "gateway")},
}


def users(chart, values=STRIMZI):
    return {
        each["metadata"]["labels"]["app.kubernetes.io/component"]: each["spec"]["authorization"]["acls"]
        for each in chart.objects(values)
        if each["kind"] == "KafkaUser"
    }


def allowed(acls, kind, operation):
    return {
        (each["resource"]["name"], each["resource"]["patternType"])
        for each in acls
        if each["resource"]["type"] == kind and operation in each["operations"]
    }


def test_the_topics_are_those_of_the_code(chart):
    found = {}
    for each in chart.objects(STRIMZI):
        if each["kind"] == "KafkaTopic":
            found[each["spec"]["topicName"]] = each
    assert found.keys() == SPECS.keys()
    for name, each in found.items():
        assert each["spec"]["config"] == {**SPECS[name].configs(), "min.insync.replicas": "2"}
        assert (each["spec"]["partitions"], each["spec"]["replicas"]) == (64, 3)
        assert each["metadata"]["labels"]["strimzi.io/cluster"] == "events"
        assert each["metadata"]["annotations"]["helm.sh/resource-policy"] == "keep", (
            "else uninstalling deletes what is in it"
        )


def test_topics_have_the_names_and_cut_that_the_processes_expect(chart):
    values = merged(STRIMZI, {"config": {"topics": {"prefix": "other.", "partitions": 12, "replication": 1}}})
    found = [each["spec"] for each in chart.objects(values) if each["kind"] == "KafkaTopic"]
    assert {each["topicName"] for each in found} == {spec.name for spec in Topics("other.").specs()}
    assert {(each["partitions"], each["replicas"]) for each in found} == {(12, 1)}
    for component, pod in pods(chart.objects(values)).items():
        if component != "migrations":
            assert environment(pod)["RENDERCAST_TOPICS__PREFIX"] == "other."
            assert environment(pod)["RENDERCAST_TOPICS__PARTITIONS"] == "12"


@pytest.mark.parametrize("component", PROCESSES)
@pytest.mark.parametrize("own", [False, True])
def test_each_has_the_rights_that_the_code_says_it_needs(chart, component, own):
    """tests/integration/brokers/test_least_privilege.py proves those on a broker with ACLs."""
    config = {
        "topics": {"prefix": "own.", "partitions": 8},
        "processor": {"group": "whole"},
        **{each: {"group_id": "mine"} for each in ("connector", "chats", "storage")},
    }
    values = merged(STRIMZI, {"config": config}) if own else STRIMZI
    needed = rights(Settings(**config) if own else Settings())[NAMES[component]]
    acls = users(chart, values)[component]
    assert allowed(acls, "topic", "Read") == literal(needed.reads)
    assert allowed(acls, "topic", "Write") == literal(needed.writes)
    assert allowed(acls, "topic", "DescribeConfigs") == allowed(acls, "topic", "Describe") == literal(needed.topics)
    assert allowed(acls, "group", "Read") == literal({needed.group} - {None})
    ids = {(needed.transactional_ids, "prefix")} if needed.transactional_ids else set()
    assert allowed(acls, "transactionalId", "Write") == ids


def literal(names):
    return {(name, "literal") for name in names}


def test_no_right_is_wider_than_reading_writing_and_looking(chart):
    for acls in users(chart).values():
        for each in acls:
            assert each["resource"]["type"] != "cluster"
            assert each["resource"]["name"] not in ("", "*")
            assert set(each["operations"]) <= {"Read", "Write", "Describe", "DescribeConfigs"}
