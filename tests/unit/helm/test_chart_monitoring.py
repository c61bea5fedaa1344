"""What Prometheus, Grafana and the autoscalers are told."""

import re

import pytest
from unit.helm.charts import (
    EVERYTHING,
    FOLDER,
    MINIMAL,
    NAMESPACE,
    PROCESSES,
    TOOLBOX,
    container,
    merged,
    of_kind,
    pods,
)
from unit.operations.rules import SCOPE

METRICS = {
    "connector": "connectors/upstream/metrics.py",
    "processor": "streams/exactly_once/metrics.py",
    "chat-sink": "connectors/chats/metrics.py",
    "storage-sink": "connectors/storage/metrics.py",
    "gateway": "connectors/gateway/metrics.py",
}


def scalers(chart, values):
    return of_kind(chart.objects(values), "HorizontalPodAutoscaler", "ScaledObject")


def everything(kind):
    each = {"autoscaling": {"enabled": True, "kind": kind}}
    return merged(EVERYTHING, dict.fromkeys(PROCESSES.values(), each))


def test_the_pod_monitor_finds_every_process_and_no_job(chart):
    objects = chart.objects(EVERYTHING)
    (monitor,) = [each for each in objects if each["kind"] == "PodMonitor"]
    assert monitor["metadata"]["labels"]["release"] == "prometheus"
    selector = monitor["spec"]["selector"]
    (expression,) = selector["matchExpressions"]
    found = {
        name
        for name, pod in pods(objects).items()
        if selector["matchLabels"].items() <= pod["metadata"]["labels"].items()
        and pod["metadata"]["labels"][expression["key"]] in expression["values"]
    }
    assert found == PROCESSES.keys()
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    assert endpoint["path"] == "/metrics"
    for name in found:
        assert endpoint["port"] in {port["name"] for port in container(pods(objects)[name])["ports"]}


def test_what_tells_releases_apart_is_given_to_every_series(chart):
    """`namespace` is given by the operator, `cluster` by the configuration of a Prometheus that has several."""
    (monitor,) = [each for each in chart.objects(EVERYTHING) if each["kind"] == "PodMonitor"]
    given = {"cluster", "namespace"}
    for each in monitor["spec"]["podMetricsEndpoints"][0]["relabelings"]:
        given.add(each["targetLabel"])
        (source,) = each["sourceLabels"]
        (label,) = [
            label
            for label in monitor["spec"]["selector"]["matchLabels"]
            if f"__meta_kubernetes_pod_label_{re.sub(r'[^a-zA-Z0-9_]', '_', label)}" == source
        ]
        pod = pods(chart.objects(EVERYTHING, release="one"))["gateway"]
        assert pod["metadata"]["labels"][label] == "one", "a label that has the release's name"
    assert given == set(SCOPE)


def rules(chart, values):
    (found,) = [each for each in chart.objects(values) if each["kind"] == "PrometheusRule"]
    return [rule for group in found["spec"]["groups"] for rule in group["rules"]]


def test_an_alert_links_to_its_section_of_the_page_that_is_named(chart):
    for rule in rules(chart, TOOLBOX):
        if "alert" in rule:
            section = rule["alert"].lower()
            assert rule["annotations"]["runbook_url"] == f"https://docs.example.com/alerts.md#{section}"
            assert "runbook" not in rule["annotations"]
    plain = [rule["annotations"] for rule in rules(chart, EVERYTHING) if "alert" in rule]
    assert len(plain) > 15
    assert all(each["runbook"].startswith("docs/alerts.md#") for each in plain), "where no page is named: the file"
    assert not any("runbook_url" in each for each in plain), "what is no address is not called one"


def test_nothing_of_an_operator_is_made_unless_it_is_asked_for(chart):
    groups = {each["apiVersion"].partition("/")[0] for each in chart.objects(MINIMAL)}
    assert groups <= {"v1", "apps", "batch", "policy", "networking.k8s.io"}


@pytest.mark.parametrize("kind", ["hpa", "keda"])
def test_autoscaling_is_off_until_it_is_asked_for_and_then_replicas_are_left_alone(chart, kind):
    assert scalers(chart, MINIMAL) == {}
    found = scalers(chart, everything(kind))
    assert found.keys() == PROCESSES.keys()
    workloads = of_kind(chart.objects(everything(kind)), "Deployment", "StatefulSet")
    for component, each in found.items():
        target, workload = each["spec"]["scaleTargetRef"], workloads[component]
        assert (target["kind"], target["name"]) == (workload["kind"], workload["metadata"]["name"])
        assert target["apiVersion"] == workload["apiVersion"]
        assert "replicas" not in workload["spec"]
    for workload in of_kind(chart.objects(MINIMAL), "Deployment", "StatefulSet").values():
        assert workload["spec"]["replicas"] == 2


@pytest.mark.parametrize("component", PROCESSES)
def test_the_metric_that_scales_a_process_is_one_of_its_own(chart, component):
    hpa = scalers(chart, everything("hpa"))[component]["spec"]["metrics"][0]["pods"]
    (trigger,) = scalers(chart, everything("keda"))[component]["spec"]["triggers"]
    metric = hpa["metric"]["name"]
    assert f'"{metric}"' in (FOLDER.parents[1] / METRICS[component]).read_text()
    assert trigger["metadata"]["query"] == (
        f'sum({metric}{{namespace="{NAMESPACE}",pod=~"rendercast-{component}-.*"}})'
    )
    assert hpa["target"]["averageValue"] == trigger["metadata"]["threshold"]
    assert int(trigger["metadata"]["threshold"]) > 0


def test_a_large_threshold_stays_a_number(chart):
    values = merged(everything("keda"), {"processor": {"autoscaling": {"perReplica": 12345678}}})
    (trigger,) = scalers(chart, values)["processor"]["spec"]["triggers"]
    assert trigger["metadata"]["threshold"] == "12345678"


def test_scaling_down_goes_pod_by_pod(chart):
    for kind in ("hpa", "keda"):
        for each in scalers(chart, everything(kind)).values():
            spec = each["spec"]
            behavior = spec.get("behavior") or spec["advanced"]["horizontalPodAutoscalerConfig"]["behavior"]
            assert behavior["scaleDown"]["stabilizationWindowSeconds"] == 600
            assert behavior["scaleDown"]["policies"] == [{"type": "Pods", "value": 1, "periodSeconds": 60}]


def test_keda_is_given_its_prometheus_and_authentication(chart):
    (trigger,) = scalers(chart, everything("keda"))["connector"]["spec"]["triggers"]
    assert trigger["metadata"]["serverAddress"] == "http://prometheus.monitoring:9090"
    assert trigger["authenticationRef"] == {"name": "prometheus"}
