"""The toolbox: a pod for an operator's commands, which has what the processes have, and does nothing by itself."""

import re

import pytest
from unit.helm.charts import (
    BARE,
    EVERYTHING,
    FOLDER,
    MINIMAL,
    PROCESSES,
    STRIMZI,
    TOOLBOX,
    container,
    environment,
    merged,
    of_kind,
    pods,
)

from rendercast.rights import rights
from rendercast.settings import Settings
from schemas.topics import Topics

ENABLED = {"toolbox": {"enabled": True}}
OF_A_POD = r"MONITORING__|TRACING__|GATEWAY__(HOST|PORT)$|PROCESSOR__(INSTANCE_ID|DATA_DIRECTORY)$"
"""What a process has as a process, and nobody who looks at it from beside needs."""


def toolbox(chart, values):
    return pods(chart.objects(merged(values, ENABLED)))["toolbox"]


def test_it_is_not_there_until_it_is_asked_for(chart):
    asked = [each for each in chart.objects(TOOLBOX) if each["metadata"]["name"].endswith("toolbox")]
    assert {each["kind"] for each in asked} == {"Deployment", "ServiceAccount", "NetworkPolicy", "KafkaUser"}
    left = merged(TOOLBOX, {"toolbox": {"enabled": False}})
    assert not [each for each in chart.objects(left) if "toolbox" in each["metadata"]["name"]]


def test_it_waits_for_commands_and_serves_nothing(chart):
    (found,) = [each for each in chart.objects(TOOLBOX) if each["metadata"]["name"] == "rendercast-toolbox"
                and each["kind"] == "Deployment"]  # fmt: skip
    pod = found["spec"]["template"]
    assert found["spec"]["replicas"] == 1
    assert pod["spec"].get("restartPolicy", "Always") == "Always"
    assert container(pod)["command"] == ["sleep", "infinity"]
    assert not {"args", "ports", "startupProbe", "livenessProbe", "readinessProbe", "lifecycle"} & container(pod).keys()


@pytest.mark.parametrize("values", [MINIMAL, EVERYTHING, BARE], ids=["minimal", "everything", "bare"])
def test_it_has_the_settings_of_every_process_that_runs_and_of_no_other(chart, values):
    own = {
        "connector": {"config": {"connector": {"burst": 9}}},
        "processor": {"config": {"processor": {"group": "theirs"}}},
        "storageSink": {"config": {"storage": {"concurrency": 3}}, "files": {"storage": [{"secret": "store-key"}]}},
    }
    values = merged(values, own)
    found = toolbox(chart, values)
    processes = {name: pod for name, pod in pods(chart.objects(values)).items() if name in PROCESSES}
    wanted = {
        name: value
        for process, pod in processes.items()
        for name, value in environment(pod).items()
        if name.startswith("RENDERCAST_")
        and not re.search(OF_A_POD, name)
        and name != "RENDERCAST_KAFKA__SASL_USERNAME"
    }
    has = environment(found)
    assert wanted.items() <= has.items()
    assert {name for name in has if name.startswith("RENDERCAST_")} - wanted.keys() <= {
        "RENDERCAST_KAFKA__SASL_USERNAME"
    }
    mounts = {each["mountPath"] for each in container(found)["volumeMounts"]}
    assert ("/etc/rendercast/storage" in mounts) == ("storage-sink" in processes)


def test_what_the_gateway_alone_knows_of_chats_it_knows_too(chart):
    reference = {"name": "gateways", "key": "url"}
    values = merged(
        MINIMAL, {"chatSink": {"enabled": False}, "gateway": {"chats": True, "secrets": {"chats": {"url": reference}}}}
    )
    assert environment(toolbox(chart, values))["RENDERCAST_CHATS__URL"] == {"secretKeyRef": reference}
    del values["gateway"]["chats"]
    assert "RENDERCAST_CHATS__URL" not in environment(toolbox(chart, values))


def test_it_can_be_another_user_of_kafka_than_the_processes(chart):
    values = merged(EVERYTHING, {"toolbox": {"config": {"kafka": {"sasl_username": "admin"}}}})
    found = pods(chart.objects(merged(values, ENABLED)))
    assert environment(found["toolbox"])["RENDERCAST_KAFKA__SASL_USERNAME"] == "admin"
    assert environment(found["gateway"])["RENDERCAST_KAFKA__SASL_USERNAME"] == "rendercast"


@pytest.mark.parametrize("values", [MINIMAL, EVERYTHING], ids=["minimal", "everything"])
def test_it_reaches_what_all_the_processes_reach_and_nobody_reaches_it(chart, values):
    policies = of_kind(chart.objects(merged(values, ENABLED)), "NetworkPolicy")
    mine = policies["toolbox"]["spec"]
    others = [rule for name in PROCESSES for rule in policies[name]["spec"]["egress"]]
    assert all(rule in mine["egress"] for rule in others)
    assert all(rule in others for rule in mine["egress"])
    assert "Ingress" in mine["policyTypes"]
    assert "ingress" not in mine


@pytest.mark.parametrize("own", [False, True])
def test_its_user_may_do_what_all_of_them_may_and_make_topics_anew(chart, own):
    config = {"topics": {"prefix": "own."}, "processor": {"group": "whole"}, "chats": {"group_id": "mine"}}
    settings = Settings(**config) if own else Settings()
    prefix = settings.topics.prefix
    objects = chart.objects(merged(STRIMZI, ENABLED, {"config": config} if own else {}))
    (user,) = [each for each in objects if each["kind"] == "KafkaUser" and each["metadata"]["name"].endswith("toolbox")]
    may = {}
    for each in user["spec"]["authorization"]["acls"]:
        assert each["resource"]["patternType"] == "literal"
        may[each["resource"]["type"], each["resource"]["name"]] = set(each["operations"])
    needed = rights(settings).values()
    assert may.keys() == {
        *(("topic", spec.name) for spec in Topics(prefix).specs()),
        *(("group", each.group) for each in needed if each.group),
        ("transactionalId", f"{prefix}dead-letters-replay"),
    }
    for (kind, _), operations in may.items():
        assert (
            operations
            == {
                "topic": {"Create", "Delete", "Describe", "DescribeConfigs", "Read", "Write"},
                "group": {"Read", "Describe"},
                "transactionalId": {"Write", "Describe"},
            }[kind]
        )
    replay = (FOLDER.parents[1] / "rendercast/dead_letters/replay.py").read_text()
    assert 'transactional_id=f"{settings.topics.prefix}dead-letters-replay"' in replay
    used = environment(pods(objects)["toolbox"])["RENDERCAST_KAFKA__SASL_PASSWORD"]
    assert used == {"secretKeyRef": {"name": "rendercast-toolbox", "key": "password"}}
