"""The values: what is refused, with the name of the field; and that schema, values and settings are of one mind."""

import json
import re
import runpy

import pytest
import yaml
from unit.helm.charts import BARE, FOLDER, MINIMAL, PROCESSES, STRIMZI, Refused, merged

WRITER = runpy.run_path(str(FOLDER.parent / "values_schema.py"))
VALUES = yaml.safe_load((FOLDER / "values.yaml").read_text())


def test_the_schema_is_what_the_code_says():
    assert (FOLDER / "values.schema.json").read_text() == WRITER["text"](), "settings have changed: run `make chart`"


EACH_ITS_KAFKA = {each: {"config": {"kafka": {"bootstrap_servers": "kafka:9092"}}} for each in PROCESSES.values()}


def nested(path, value):
    for name in reversed(path.split(".")):
        value = {name: value}
    return value


@pytest.mark.parametrize(
    ("path", "value", "field"),
    [
        ("conector.replicas", 2, "conector"),
        ("connector.replica", 2, "replica"),
        ("connector.replicas", "two", "/connector/replicas"),
        ("connector.replicas", 0, "/connector/replicas"),
        ("processor.persistence.size", 5, "/processor/persistence/size"),
        ("chatSink.autoscaling.kind", "vpa", "/chatSink/autoscaling/kind"),
        ("storageSink.autoscaling.minReplicas", 0, "/storageSink/autoscaling/minReplicas"),
        ("gateway.service.port", 70000, "/gateway/service/port"),
        ("gateway.ingress.paths", [{"path": "api", "pathType": "Prefix"}], "/gateway/ingress/paths/0/path"),
        ("gateway.extraEnv", [{"name": "RENDERCAST_GATEWAY__PORT", "value": "1"}], "/gateway/extraEnv/0/name"),
        ("topicsJob.replicas", 1, "replicas"),
        ("image.tag", "latest", "/image/tag"),
        ("image.digest", "sha256:abc", "/image/digest"),
        ("config.connector.bursts", 3, "bursts"),
        ("config.connector.burst", "three", "/config/connector/burst"),
        ("config.connector.burst", 0, "/config/connector/burst"),
        ("config.connector.base_url", "upstream.example.com", "/config/connector/base_url"),
        ("config.kafka.bootstrap_servers", "kafka", "/config/kafka/bootstrap_servers"),
        ("config.topics.partitions", 2.5, "/config/topics/partitions"),
        ("config.log.level", "loud", "/config/log/level"),
        ("config.processor.engine.step_record", 1, "step_record"),
        ("config.monitoring.port", 1, "monitoring"),
        ("config.simulator.port", 1, "simulator"),
        ("config.gateway.port", 1, "port"),
        ("config.processor.instance_id", "one", "instance_id"),
        ("config.storage.group_instance_id", "one", "group_instance_id"),
        ("config.connector.token", "in the open", "token"),
        ("config.chats.url", "postgresql://user:password@host/name", "url"),
        ("config.kafka.sasl_password", "in the open", "sasl_password"),
        ("secrets.chats.url", "postgresql://user:password@host/name", "/secrets/chats/url"),
        ("secrets.chats.local_url", {"name": "chats"}, "key"),
        ("secrets.storage.store_url", {"name": "a", "key": "b"}, "storage"),
        ("files.kafka", [{"secret": "a", "configMap": "b"}], "/files/kafka/0"),
        ("networkPolicy.kafka.ports", ["9092"], "/networkPolicy/kafka/ports/0"),
        ("podMonitor.interval", "often", "/podMonitor/interval"),
        ("strimzi.users.authentication", "plain", "/strimzi/users/authentication"),
        ("pods.listen", "127.0.0.1", "/pods/listen"),
        ("gateway.service.ipFamilyPolicy", "Dual", "/gateway/service/ipFamilyPolicy"),
        ("prometheusRule.runbookUrl", "docs/alerts.md", "/prometheusRule/runbookUrl"),
        ("prometheusRule.runbookUrl", "https://docs.example.com/alerts.md#", "/prometheusRule/runbookUrl"),
        ("toolbox.replicas", 2, "replicas"),
        ("nameOverride", "Foo Bar", "/nameOverride"),
        ("fullnameOverride", "1.render", "/fullnameOverride"),
        ("pods.labels", {"app.kubernetes.io/instance": "other"}, "app.kubernetes.io/instance"),
        ("connector.podLabels", {"app.kubernetes.io/component": "other"}, "app.kubernetes.io/component"),
    ],
)
def test_a_bad_value_is_refused_and_named(chart, path, value, field):
    with pytest.raises(Refused, match="don't meet the specifications of the schema") as told:
        chart.text(merged(MINIMAL, nested(path, value)))
    assert field in str(told.value)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"connector": {"replicas": 65}}, "connector.replicas: 65 is more than config.topics.partitions, 64"),
        ({"config": {"topics": {"partitions": 1}}}, "processor.replicas: 2 is more than config.topics.partitions, 1"),
        (
            {"chatSink": {"autoscaling": {"enabled": True, "kind": "hpa", "maxReplicas": 65}}},
            "chatSink.autoscaling.maxReplicas: 65 is more",
        ),
        ({"gateway": {"autoscaling": {"enabled": True, "minReplicas": 9}}}, "minReplicas: is more than maxReplicas"),
        ({"processor": {"autoscaling": {"enabled": True}}}, "keda.prometheus: needed by processor.autoscaling"),
        ({"strimzi": {"topics": {"enabled": True}}}, "strimzi.cluster"),
        ({"strimzi": {"cluster": "a", "users": {"enabled": True}}}, "strimzi.users.enabled: the topics job"),
        ({"processor": {"config": {"topics": {"prefix": "other."}}}}, "processor.config.topics"),
        ({"networkPolicy": {"kafka": {"to": []}}}, "networkPolicy.kafka: needs to and ports"),
        ({"networkPolicy": {"database": {"ports": []}}}, "networkPolicy.database: needs to and ports"),
        ({"networkPolicy": {"dns": {"to": []}}}, "networkPolicy.dns: needs to"),
        ({"networkPolicy": {"dns": None, "kafka": None}}, "networkPolicy.kafka: needs to and ports"),
        ({"gateway": {"ingress": {"enabled": True}}}, "gateway.ingress.hosts: needs at least one"),
        ({"topicsJob": {"config": {"topics": {"partitions": 8}}}}, "topicsJob.config.topics"),
        ({"toolbox": {"enabled": True, "config": {"topics": {"prefix": "a."}}}}, "toolbox.config.topics"),
        ({"config": {"kafka": None}, **EACH_ITS_KAFKA}, "config.kafka.bootstrap_servers: needed by the topics, too"),
        (
            {"chatSink": {"enabled": False}, "secrets": {"chats": None}, "gateway": {"chats": True}},
            "secrets.chats.url: needed by the gateway",
        ),
    ],
)
def test_values_that_do_not_fit_together_are_refused_with_the_reason(chart, values, words):
    with pytest.raises(Refused) as told:
        chart.text(merged(MINIMAL, values))
    assert words in str(told.value)


@pytest.mark.parametrize("release", ["1render", "my.render"])
def test_a_release_that_no_service_can_be_called_after_is_told_so(chart, release):
    with pytest.raises(Refused, match="fullnameOverride: needed"):
        chart.text(MINIMAL, release=release)
    chart.text(merged(MINIMAL, {"fullnameOverride": "render"}), release=release)


def test_a_gateway_needs_a_key_to_check_tokens_with_or_the_word_off(chart):
    values = merged(MINIMAL)
    del values["secrets"]["gateway"]
    with pytest.raises(Refused, match=r"secrets\.gateway\.jwt_secret"):
        chart.text(values)
    chart.text(merged(values, {"config": {"gateway": {"jwks_url": "https://issuer.example.com/keys"}}}))
    chart.text(merged(values, {"config": {"gateway": {"auth": "off"}}}))


def test_what_only_a_disabled_process_needs_is_not_asked_for(chart):
    values = merged(BARE)
    del values["config"]["connector"], values["config"]["storage"], values["secrets"]
    chart.text(values)


def test_every_value_that_the_schema_knows_stands_in_values_yaml():
    def missing(schema, values, path):
        name = schema.get("$ref", "").rpartition("/")[2]
        if name in ("config", "secrets", "files", "resources", "strings", "peers", "callers"):
            return
        schema = SCHEMA["$defs"].get(name, schema)
        for each, inner in schema.get("properties", {}).items():
            if each == "global" or (path in JOBS and each == "enabled" and "enabled" in values):
                continue
            if each not in values:
                yield f"{path}.{each}".strip(".")
            elif isinstance(values[each], dict):
                yield from missing(inner, values[each], f"{path}.{each}".strip("."))

    SCHEMA = json.loads((FOLDER / "values.schema.json").read_text())  # noqa: N806 - read by the function above
    JOBS = ("topicsJob", "migrationsJob")  # noqa: N806
    assert list(missing(SCHEMA, VALUES, "")) == []


def test_strimzi_of_either_api_is_taken(chart):
    for api in ("kafka.strimzi.io/v1", "kafka.strimzi.io/v1beta2"):
        found = chart.objects(merged(STRIMZI, {"strimzi": {"apiVersion": api}}))
        assert {each["apiVersion"] for each in found if each["kind"] in ("KafkaTopic", "KafkaUser")} == {api}


def test_every_example_of_the_docs_renders(chart):
    text = (FOLDER.parents[1] / "docs" / "kubernetes.md").read_text()
    examples = [yaml.safe_load(each) for each in re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)]
    assert len(examples) >= 4
    complete, *others = examples
    assert {each["kind"] for each in chart.objects(complete)} >= {"StatefulSet", "Deployment", "Job"}
    for each in others:
        chart.text(merged(complete, each))


def test_every_value_that_the_docs_name_is_one():
    text = (FOLDER.parents[1] / "docs" / "kubernetes.md").read_text()
    named = [path.split(".") for path in re.findall(r"`([a-zA-Z]+(?:\.[a-zA-Z]+)+)`", text)]
    known = [path for path in named if path[0] in VALUES]
    assert len(known) > 10
    for path in known:
        found = VALUES
        for name in path:
            if name in ("config", "secrets", "files"):
                break  # the schema knows those
            assert name in found, ".".join(path)
            found = found[name]
