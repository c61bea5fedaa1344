"""What the pages tell people to type to helm and kubectl is true of the chart: values, names and labels."""

import re

import pytest
import yaml
from unit.docs.test_docs import NAMES, PAGES, words
from unit.docs.test_docs_commands import calls, typed
from unit.helm.charts import EVERYTHING, FOLDER, MINIMAL, NAMESPACE, merged, pods

VALUES = yaml.safe_load((FOLDER / "values.yaml").read_text())
KINDS = {
    "deployment": "Deployment", "statefulset": "StatefulSet", "job": "Job", "service": "Service",
    "scaledobject": "ScaledObject",
}  # fmt: skip
OF_ALL = merged(EVERYTHING, {"toolbox": {"enabled": True}, "processor": {"autoscaling": {"kind": "keda"}}})


def absent(path):
    """The part of a value's path that values.yaml does not have; empty where all of it is there."""
    found = VALUES
    for place, name in enumerate(path.split(".")):
        if name in ("config", "secrets", "files") or (place and found == {}):
            return ""  # the schema knows those
        if not isinstance(found, dict) or name not in found:
            return ".".join(path.split(".")[: place + 1])
        found = found[name]
    return ""


def named(arguments):
    """Kinds and names of objects in a call of kubectl: `kind/name`, or `kind name`."""
    before = arguments[: arguments.index("--")] if "--" in arguments else arguments
    for word, after in zip(before, [*before[1:], ""], strict=True):
        kind, slash, name = word.partition("/")
        if slash and kind in KINDS:
            yield KINDS[kind], name
        elif word in KINDS and after.startswith("rendercast"):
            yield KINDS[word], after


def selectors(arguments):
    for word, after in zip(arguments, [*arguments[1:], ""], strict=True):
        if word in ("--selector", "-l"):
            yield dict(each.split("=") for each in after.split(","))


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_values_that_are_set_or_named_are_in_values_yaml(page):
    for line in typed(page):
        for call in calls(line, "helm"):
            for each in re.findall(r"--set(?:-string)?[ =]([\w.]+)=", " ".join(call)):
                assert absent(each) == "", line
    for path in re.findall(r"`((?:[a-z][a-zA-Z]*\.)+[a-zA-Z]+)(?:: [^`]*)?`", words(page)):
        if path.split(".")[0] in VALUES.keys() - {"processor", "connector", "gateway", "image", "config", "files"}:
            assert absent(path) == "", path


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_kubectl_finds_what_it_is_asked_for(chart, page):
    objects = {(each["kind"], each["metadata"]["name"]) for each in chart.objects(OF_ALL)}
    labels = [pod["metadata"]["labels"] for pod in pods(chart.objects(OF_ALL)).values()]
    for line in typed(page):
        for call in calls(line, "kubectl"):
            for found in named(call):
                assert found in objects, line
            for selector in selectors(call):
                assert any(selector.items() <= each.items() for each in labels), line


def test_kubectl_and_helm_speak_of_one_namespace_and_release():
    page = FOLDER.parents[1] / "docs" / "kubernetes.md"
    seen = 0
    for line in typed(page):
        for call in [*calls(line, "kubectl"), *calls(line, "helm")]:
            if len(call) > 2 and call[:2] != ["create", "namespace"]:
                assert call[call.index("--namespace") + 1] == NAMESPACE, line
                seen += 1
    assert seen > 15


def test_a_container_that_is_entered_has_the_command(chart):
    """`rendercast` is the image's entry point, and no container runs another image."""
    images = {each["image"] for pod in pods(chart.objects(OF_ALL)).values() for each in pod["spec"]["containers"]}
    assert len(images) == 1
    assert 'ENTRYPOINT ["rendercast"]' in (FOLDER.parents[1] / "Dockerfile").read_text()


def test_slips_are_found(chart):
    assert absent("toolbox.enable") == "toolbox.enable"
    assert absent("config.kafka.bootstrap_servers") == ""
    assert list(named(["exec", "deployment/rendercast-tolbox", "--", "job/x"])) == [("Deployment", "rendercast-tolbox")]
    assert ("Deployment", "rendercast-tolbox") not in {
        (each["kind"], each["metadata"]["name"]) for each in chart.objects(MINIMAL)
    }
    assert list(selectors(["get", "-l", "a=b,c=d"])) == [{"a": "b", "c": "d"}]
