"""Policies for every pod, in the manner of checkov; and how pods start, stop and are replaced."""

import pytest
from unit.helm.charts import (
    BARE,
    EVERYTHING,
    MINIMAL,
    PROCESSES,
    STRIMZI,
    container,
    environment,
    merged,
    of_kind,
    pods,
)

from connectors.chats.settings import ChatsSettings
from connectors.gateway.settings import GatewaySettings
from connectors.storage.settings import StorageSettings
from streams.settings import ProcessorSettings

STOP_SECONDS = 10
"""A process ends within this after SIGTERM: rendercast/processes.py, docs/runbook-sinks.md."""

POLICIES = {
    "has requests and a memory limit": lambda pod, one: (
        {"cpu", "memory"} <= one["resources"]["requests"].keys() and "memory" in one["resources"]["limits"]
    ),
    "runs as a user of its own": lambda pod, one: (
        pod["securityContext"]["runAsNonRoot"] and pod["securityContext"]["runAsUser"] >= 10_000
    ),
    "has the runtime's seccomp profile": lambda pod, one: (
        pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    ),
    "cannot write to its image": lambda pod, one: one["securityContext"]["readOnlyRootFilesystem"],
    "gains no privileges": lambda pod, one: one["securityContext"]["allowPrivilegeEscalation"] is False,
    "is not privileged": lambda pod, one: not one["securityContext"].get("privileged"),
    "has no capabilities": lambda pod, one: one["securityContext"]["capabilities"] == {"drop": ["ALL"]},
    "has a token for nothing": lambda pod, one: pod["automountServiceAccountToken"] is False,
    "has an account of its own": lambda pod, one: pod["serviceAccountName"] == f"rendercast-{one['name']}",
    "shares nothing with its host": lambda pod, one: not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys(),
    "mounts no folder of its host": lambda pod, one: not any("hostPath" in each for each in pod["volumes"]),
    "opens no port of its host": lambda pod, one: not any("hostPort" in each for each in one.get("ports", ())),
    "has its image pinned": lambda pod, one: "@sha256:" in one["image"] or one["image"].endswith(":0.1.0"),
    "bounds what it may write": lambda pod, one: all(
        "sizeLimit" in each["emptyDir"] for each in pod["volumes"] if "emptyDir" in each and each["name"] != "extra"
    ),
    "can write to /tmp": lambda pod, one: {"name": "tmp", "mountPath": "/tmp"} in one["volumeMounts"],
    "has time to stop": lambda pod, one: pod["terminationGracePeriodSeconds"] >= STOP_SECONDS + pre_stop(one) + 8,
}


def pre_stop(one):
    command = one.get("lifecycle", {}).get("preStop", {}).get("exec", {}).get("command", ["sleep", "0"])
    assert command[0] == "sleep"
    return int(command[1])


@pytest.mark.parametrize("policy", POLICIES)
def test_every_pod(chart, values, policy):
    found = pods(chart.objects(values))
    assert found
    for component, pod in found.items():
        assert POLICIES[policy](pod["spec"], container(pod)), component


def test_no_account_has_a_token(chart, values):
    accounts = [each for each in chart.objects(values) if each["kind"] == "ServiceAccount"]
    assert {each["metadata"]["name"] for each in accounts} == {
        pod["spec"]["serviceAccountName"] for pod in pods(chart.objects(values)).values()
    }
    assert all(each["automountServiceAccountToken"] is False for each in accounts)


def test_every_process_has_probes_at_its_monitoring_port(chart, values):
    for component, pod in pods(chart.objects(values)).items():
        one = container(pod)
        if component not in PROCESSES:
            assert not {"startupProbe", "livenessProbe", "readinessProbe"} & one.keys()
            continue
        ports = {each["name"]: each["containerPort"] for each in one["ports"]}
        assert str(ports["monitoring"]) == environment(pod)["RENDERCAST_MONITORING__PORT"]
        for probe, path in (("startupProbe", "/healthz"), ("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")):
            assert one[probe]["httpGet"] == {"path": path, "port": "monitoring"}, (component, probe)


def test_no_probe_that_kills_asks_whether_a_process_is_ready(chart):
    """Recovery, and a broker or database that is away, make a process not ready: killing it would help nobody."""
    for pod in pods(chart.objects(MINIMAL)).values():
        for probe in {"startupProbe", "livenessProbe"} & container(pod).keys():
            found = container(pod)[probe]
            assert found["httpGet"]["path"] == "/healthz"
            assert found["periodSeconds"] * found["failureThreshold"] >= 60


def test_the_settings_that_bound_a_stop_fit_into_what_the_grace_is_counted_from():
    most = [
        ChatsSettings.model_fields["stop_grace_seconds"],
        StorageSettings.model_fields["stop_grace_seconds"],
        GatewaySettings.model_fields["close_timeout_seconds"],
    ]
    for field in most:
        assert max(each.le for each in field.metadata if hasattr(each, "le")) < STOP_SECONDS


def test_what_shares_partitions_is_never_more_during_an_update(chart):
    """With as many replicas as partitions a surge pod would never be ready, and the update never end."""
    for component, each in of_kind(chart.objects(MINIMAL), "Deployment").items():
        surge = each["spec"]["strategy"]["rollingUpdate"]
        assert surge == (
            {"maxSurge": 1, "maxUnavailable": 0} if component == "gateway" else {"maxSurge": 0, "maxUnavailable": 1}
        )


def test_the_processor_is_a_static_member_by_its_pods_name(chart):
    (found,) = [each for each in chart.objects(MINIMAL) if each["kind"] == "StatefulSet"]
    name = {"fieldRef": {"fieldPath": "metadata.name"}}
    assert environment(found["spec"]["template"])["RENDERCAST_PROCESSOR__INSTANCE_ID"] == name
    assert found["spec"]["updateStrategy"] == {"type": "RollingUpdate"}
    assert found["spec"]["podManagementPolicy"] == "Parallel"
    bare = pods(chart.objects(BARE))["processor"]
    assert "RENDERCAST_PROCESSOR__INSTANCE_ID" not in environment(bare)
    others = {name for name, pod in pods(chart.objects(EVERYTHING)).items() if name != "processor"}
    for component in others:  # their pods' names do not survive a restart
        assert not any("INSTANCE_ID" in each for each in environment(pods(chart.objects(EVERYTHING))[component]))


def test_the_processors_store_is_a_volume_that_it_can_write_to(chart):
    for values, claims in ((MINIMAL, 0), (EVERYTHING, 1)):
        (found,) = [each for each in chart.objects(values) if each["kind"] == "StatefulSet"]
        pod = found["spec"]["template"]
        folder = environment(pod)["RENDERCAST_PROCESSOR__DATA_DIRECTORY"]
        (mount,) = [each for each in container(pod)["volumeMounts"] if each["mountPath"] == folder]
        volumes = [each["name"] for each in pod["spec"]["volumes"]]
        templates = [each["metadata"]["name"] for each in found["spec"].get("volumeClaimTemplates", ())]
        assert (mount["name"] in volumes) != (mount["name"] in templates)
        assert len(templates) == claims
        assert pod["spec"]["securityContext"]["fsGroup"] == pod["spec"]["securityContext"]["runAsUser"]
    assert ProcessorSettings.model_fields["data_directory"].default != folder


def test_every_selector_finds_its_own_pods_and_no_others(chart):
    objects = chart.objects(merged(EVERYTHING, STRIMZI))
    labels = {name: pod["metadata"]["labels"] for name, pod in pods(objects).items()}

    def found(selector):
        return {name for name, has in labels.items() if selector.items() <= has.items()}

    for each in objects:
        component = each["metadata"]["labels"].get("app.kubernetes.io/component")
        spec = each.get("spec", {})
        selector = {
            "Service": lambda spec=spec: spec["selector"],
            "NetworkPolicy": lambda spec=spec: spec["podSelector"]["matchLabels"],
        }.get(each["kind"], lambda spec=spec: spec.get("selector", {}).get("matchLabels"))()
        if component and selector:
            assert found(selector) == {component}, (each["kind"], component)
        for spread in spec.get("template", {}).get("spec", {}).get("topologySpreadConstraints", ()):
            assert found(spread["labelSelector"]["matchLabels"]) == {component}


def test_a_budget_lets_one_pod_of_a_process_go_at_a_time_and_never_holds_a_node(chart):
    found = of_kind(chart.objects(MINIMAL), "PodDisruptionBudget")
    assert found.keys() == PROCESSES.keys()
    for each in found.values():
        assert each["spec"]["maxUnavailable"] == 1
        assert "minAvailable" not in each["spec"]
        assert each["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
    assert of_kind(chart.objects(BARE), "PodDisruptionBudget") == {}


def test_pods_are_spread_over_zones_and_nodes(chart):
    for component, pod in pods(chart.objects(MINIMAL)).items():
        keys = [each["topologyKey"] for each in pod["spec"].get("topologySpreadConstraints", ())]
        assert keys == (["topology.kubernetes.io/zone", "kubernetes.io/hostname"] if component in PROCESSES else [])


def test_what_is_said_of_all_pods_reaches_each_and_each_can_differ(chart):
    values = merged(EVERYTHING, {"gateway": {"nodeSelector": {"pool": "edge"}, "podLabels": {"team": "web"}}})
    found = pods(chart.objects(values))
    assert found["connector"]["spec"]["nodeSelector"] == {"pool": "video"}
    assert found["gateway"]["spec"]["nodeSelector"] == {"pool": "edge"}
    assert found["gateway"]["metadata"]["labels"]["team"] == "web"
    for component, pod in found.items():
        assert pod["spec"]["priorityClassName"] == "high", component
        assert pod["spec"]["imagePullSecrets"] == [{"name": "registry"}]
        assert pod["metadata"]["annotations"]["example.com/a"] == "b"


def test_the_gateway_answers_on_while_it_is_taken_off_the_list(chart):
    assert pre_stop(container(pods(chart.objects(MINIMAL))["gateway"])) == 5
    assert pre_stop(container(pods(chart.objects(BARE))["gateway"])) == 0


def test_jobs_end_and_do_not_restart_in_place(chart):
    for component, job in of_kind(chart.objects(MINIMAL), "Job").items():
        assert job["spec"]["template"]["spec"]["restartPolicy"] == "Never", component
        assert 0 < job["spec"]["activeDeadlineSeconds"] <= 600
