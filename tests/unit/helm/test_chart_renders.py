"""What comes out, for several values: as Kubernetes and the operators would take it."""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from unit.helm.charts import (
    BARE,
    EVERYTHING,
    FOLDER,
    MINIMAL,
    PROCESSES,
    STRIMZI,
    STRIMZI_TLS,
    TOOLBOX,
    VARIANTS,
    Chart,
    Refused,
    merged,
    parse,
    pods,
)
from unit.helm.toolbox import KUBERNETES

CRDS = Path(__file__).parent / "crds"


def test_helm_lint_finds_nothing(chart, values):
    assert "0 chart(s) failed" in chart.lint(values)


def test_without_values_it_says_all_that_is_needed_at_once(chart):
    with pytest.raises(Refused) as told:
        chart.text({})
    for name in (
        "config.kafka.bootstrap_servers", "config.connector.base_url", "secrets.connector.token", "secrets.chats.url",
        "config.storage.store_url", "secrets.gateway.jwt_secret",
    ):  # fmt: skip
        assert f"{name}" in str(told.value)


@pytest.mark.parametrize("kubernetes", KUBERNETES)
def test_kubeconform_takes_every_object_of_every_variant(tools, chart, kubernetes):
    rendered = "\n---\n".join(chart.text(values) for values in VARIANTS.values())
    summary = (found := conform(tools, kubernetes, rendered))["summary"]
    assert (summary["invalid"], summary["errors"], summary["skipped"]) == (0, 0, 0), found["resources"]
    assert summary["valid"] == len(parse(rendered))


def test_kubeconform_would_see_a_field_that_kubernetes_does_not_know(tools, chart):
    kinds = {"Deployment", "PodMonitor", "KafkaUser"}
    objects = [each for each in chart.objects(merged(EVERYTHING, STRIMZI)) if each["kind"] in kinds]
    broken = [{**each, "spec": {**each["spec"], "replica": 1}} for each in objects]
    assert conform(tools, KUBERNETES[-1], yaml.safe_dump_all(broken))["summary"]["invalid"] == len(objects) > len(kinds)


def conform(tools, kubernetes, text):
    name = "{{.ResourceKind}}{{.KindSuffix}}.json"
    done = subprocess.run(
        [
            tools.kubeconform, "-n", "1", "-strict", "-summary", "-output", "json", "-kubernetes-version", kubernetes,
            "-schema-location", f"{tools.schemas}/{kubernetes}/{name}", "-schema-location", f"{CRDS}/{name}", "-",
        ],
        input=text, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    return json.loads(done.stdout)


def test_every_object_has_a_name_of_its_own_that_kubernetes_takes(chart, values):
    for release in ("rendercast", "r", "a-release-whose-name-is-as-long-as-helm-allows-it"):
        objects = chart.objects(values, release=release)
        names = [(each["kind"], each["metadata"].get("namespace"), each["metadata"]["name"]) for each in objects]
        assert len(names) == len(set(names))
        # a StatefulSet's pods carry a label of its name and a hash of ten signs, at most 63 in all
        assert all(
            len(name) <= 52 for kind, _, name in names if kind in ("StatefulSet", "Service", "Deployment", "Job")
        )


@pytest.mark.parametrize("tag", ["0.1.0", "1.0_", f"{'a' * 62}-b", f"{'a' * 60}...b"])
def test_any_tag_of_an_image_makes_a_label_that_kubernetes_takes(chart, tag):
    for each in chart.objects(merged(MINIMAL, {"image": {"tag": tag}})):
        label = each["metadata"]["labels"]["app.kubernetes.io/version"]
        assert re.fullmatch(r"[a-zA-Z0-9]([-._a-zA-Z0-9]{0,61}[a-zA-Z0-9])?", label), label


@pytest.mark.parametrize("component", PROCESSES)
def test_a_process_that_is_disabled_leaves_nothing_behind(chart, component):
    values = merged(EVERYTHING, STRIMZI, {PROCESSES[component]: {"enabled": False}})
    name = f"rendercast-{component}"
    assert name in [each["metadata"]["name"] for each in chart.objects(merged(EVERYTHING, STRIMZI))]
    left = [each["kind"] for each in chart.objects(values) if each["metadata"]["name"] == name]
    assert left == []


def test_jobs_run_where_they_are_needed(chart):
    def jobs(values):
        return {each["metadata"]["name"] for each in chart.objects(values) if each["kind"] == "Job"}

    assert jobs(MINIMAL) == {"rendercast-topics", "rendercast-migrations"}
    assert jobs(STRIMZI) == {"rendercast-migrations"}, "Strimzi makes the topics"
    assert jobs(merged(MINIMAL, {"chatSink": {"enabled": False}})) == {"rendercast-topics"}
    only_the_gateway = {"chatSink": {"enabled": False}, "gateway": {"chats": True}}
    assert jobs(merged(MINIMAL, only_the_gateway)) == {"rendercast-topics", "rendercast-migrations"}
    none = merged(MINIMAL, only_the_gateway, {"gateway": {"enabled": False}})
    assert jobs(none) == {"rendercast-topics"}, "nobody uses the chat database"
    assert jobs(BARE) == set()


def test_jobs_come_before_the_processes_and_what_they_need_before_them(chart):
    objects = chart.objects(EVERYTHING)
    weights = {}
    for each in objects:
        hook = each["metadata"].get("annotations", {}).get("helm.sh/hook")
        if hook is not None:
            assert hook == "pre-install,pre-upgrade"
            weights[each["kind"]] = int(each["metadata"]["annotations"]["helm.sh/hook-weight"])
            assert "before-hook-creation" in each["metadata"]["annotations"]["helm.sh/hook-delete-policy"]
    assert weights.keys() == {"Job", "ServiceAccount", "NetworkPolicy"}
    assert weights["ServiceAccount"] < weights["Job"] > weights["NetworkPolicy"]
    for job, pod in pods(objects).items():
        account = pod["spec"]["serviceAccountName"]
        (found,) = [e for e in objects if e["kind"] == "ServiceAccount" and e["metadata"]["name"] == account]
        is_hook = "helm.sh/hook" in found["metadata"].get("annotations", {})
        assert is_hook == (job in ("topics", "migrations")), "a hook cannot use what is made after it"


def test_rules_and_dashboards_are_taken_from_files_as_they_are(tools, tmp_path):
    folder = shutil.copytree(FOLDER, tmp_path / "rendercast")
    shutil.rmtree(folder / "files", ignore_errors=True)
    shutil.rmtree(folder / "dashboards", ignore_errors=True)
    without = {each["kind"] for each in Chart(tools, folder).objects(EVERYTHING)}
    assert not {"PrometheusRule", "ConfigMap"} & without
    rules = {
        "groups": [
            {"name": "a", "rules": [{"alert": "A", "expr": "up == 0", "annotations": {"b": "{{ $labels.pod }}"}}]}
        ]
    }
    board = '{"title": "Overview", "legend": "{{partition}}"}\n'
    (folder / "files").mkdir()
    (folder / "files" / "alerts.yaml").write_text(f"# a comment\n{yaml.safe_dump(rules)}")
    (folder / "dashboards").mkdir()
    (folder / "dashboards" / "Up_stream.json").write_text(board)
    objects = Chart(tools, folder).objects(EVERYTHING)
    (rule,) = [each for each in objects if each["kind"] == "PrometheusRule"]
    assert rule["spec"] == rules
    assert rule["metadata"]["labels"]["release"] == "prometheus"
    (found,) = [each for each in objects if each["kind"] == "ConfigMap"]
    assert json.loads(found["data"]["Up_stream.json"]) == json.loads(board)
    assert found["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert conform(tools, KUBERNETES[-1], yaml.safe_dump_all([rule, found]))["summary"]["valid"] == 2
    assert not {"PrometheusRule", "ConfigMap"} & {each["kind"] for each in Chart(tools, folder).objects(MINIMAL)}


def test_the_notes_warn_of_a_gateway_that_lets_everybody_in(tools, tmp_path):
    folder = shutil.copytree(FOLDER, tmp_path / "rendercast")
    notes = (folder / "templates" / "NOTES.txt").read_text()
    (folder / "templates" / "notes.yaml").write_text(
        '{{- define "notes" }}' + notes + '{{ end }}\nkind: Notes\ntext: {{ include "notes" . | toJson }}\n'
    )

    def told(values):
        return Chart(tools, folder).objects(values, show="templates/notes.yaml")[0]["text"]

    assert "WARNING" not in told(MINIMAL)
    assert "config.gateway.auth is off" in told(BARE)
    assert "every pod may connect anywhere" in told(BARE)
    assert "https://render.example.com/" in told(EVERYTHING)
    assert "events-cluster-ca-cert" in told(STRIMZI_TLS), "secrets of another namespace have to be copied"
    assert "events-cluster-ca-cert" not in told(STRIMZI)
    assert "exec deployment/rendercast-toolbox -- rendercast doctor" in told(TOOLBOX)
    assert "toolbox" not in told(MINIMAL)
