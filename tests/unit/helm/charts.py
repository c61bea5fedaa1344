"""The chart, rendered; and the values that the tests render it with."""

import copy
import json
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from unit.helm.toolbox import Tools

FOLDER = Path(__file__).parents[3] / "helm" / "rendercast"
RELEASE, NAMESPACE = "rendercast", "video"
KUBE_VERSION = "1.33.0"

PROCESSES = {
    "connector": "connector",
    "processor": "processor",
    "chat-sink": "chatSink",
    "storage-sink": "storageSink",
    "gateway": "gateway",
}
JOBS = {"topics": "topicsJob", "migrations": "migrationsJob"}

MINIMAL: dict[str, Any] = {
    "config": {
        "kafka": {"bootstrap_servers": "kafka-bootstrap.kafka:9092"},
        "connector": {"base_url": "https://upstream.example.com"},
        "storage": {"store_url": "s3://bucket/prefix"},
    },
    "secrets": {
        "connector": {"token": {"name": "upstream", "key": "token"}},
        "chats": {"url": {"name": "chats", "key": "url"}},
        "gateway": {"jwt_secret": {"name": "gateway", "key": "jwt"}},
    },
}


def merged(*layers: dict) -> dict:
    """Of several values files, as helm merges them."""
    found: dict = {}
    for layer in layers:
        for name, value in layer.items():
            both = isinstance(value, dict) and isinstance(found.get(name), dict)
            found[name] = merged(found[name], value) if both else copy.deepcopy(value)
    return found


EVERYTHING = merged(
    MINIMAL,
    {
        "config": {
            "kafka": {
                "security_protocol": "SASL_SSL",
                "sasl_mechanism": "SCRAM-SHA-512",
                "sasl_username": "rendercast",
                "ssl_cafile": "/etc/rendercast/kafka/ca.crt",
            },
            "log": {"level": "debug"},
            "connector": {"requests_per_second": 1048576, "poll_steps_seconds": [1, 2.5]},
            "processor": {"retention": 604800, "engine": {"step_records": 1048577}},
            "chats": {"layout": "/etc/rendercast/chats/layout.toml", "notify": False},
            "storage": {"max_bytes": 4294967297, "allow_hosts": [".example.com", "<&>"]},
            "gateway": {"cors_origins": ["https://app.example.com"]},
        },
        "secrets": {
            "kafka": {"sasl_password": {"name": "kafka", "key": "password"}},
            "chats": {"local_url": {"name": "chats", "key": "local-url"}},
        },
        "files": {
            "kafka": [{"secret": "kafka-ca"}],
            "chats": [{"configMap": "layout", "items": [{"key": "chats", "path": "layout.toml"}]}],
        },
        "connector": {
            "autoscaling": {"enabled": True, "kind": "hpa"},
            "config": {"connector": {"burst": 7}, "kafka": {"sasl_username": "own"}},
            "extraEnv": [{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}],
        },
        "processor": {
            "autoscaling": {"enabled": True},
            "persistence": {"enabled": True, "storageClassName": "fast"},
        },
        "chatSink": {
            "autoscaling": {"enabled": True},
            "extraVolumes": [{"name": "extra", "emptyDir": {}}],
            "extraVolumeMounts": [{"name": "extra", "mountPath": "/extra"}],
        },
        "storageSink": {
            "autoscaling": {"enabled": True},
            "serviceAccount": {"annotations": {"example.com/role": "writer"}},
            "egress": [{"ports": [{"protocol": "TCP", "port": 9000}]}],
        },
        "gateway": {
            "generate": True,
            "chats": True,
            "autoscaling": {"enabled": True, "kind": "hpa"},
            "service": {"sessionAffinity": "ClientIP", "annotations": {"a": "b"}},
            "ingress": {
                "enabled": True,
                "className": "nginx",
                "hosts": ["render.example.com"],
                "tls": [{"hosts": ["render.example.com"], "secretName": "tls"}],
                "annotations": {"nginx.ingress.kubernetes.io/proxy-buffering": "off"},
            },
        },
        "podMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
        "prometheusRule": {"enabled": True, "labels": {"release": "prometheus"}},
        "dashboards": {"enabled": True, "namespace": "grafana"},
        "keda": {"prometheus": "http://prometheus.monitoring:9090", "authentication": "prometheus"},
        "pods": {
            "labels": {"team": "media"},
            "annotations": {"example.com/a": "b"},
            "nodeSelector": {"pool": "video"},
            "tolerations": [{"key": "video", "operator": "Exists"}],
            "affinity": {"podAntiAffinity": {}},
            "priorityClassName": "high",
        },
        "imagePullSecrets": [{"name": "registry"}],
        "image": {"digest": f"sha256:{'0' * 64}"},
        "networkPolicy": {
            "upstream": {"to": [{"podSelector": {}}], "ports": [8100]},
            "objectStore": {"to": [{"podSelector": {}}], "ports": [9000]},
        },
    },
)
STRIMZI = merged(
    MINIMAL,
    {
        "strimzi": {
            "cluster": "events",
            "topics": {"enabled": True, "config": {"min.insync.replicas": "2"}},
            "users": {"enabled": True},
        }
    },
)
STRIMZI_TLS = merged(
    STRIMZI, {"strimzi": {"namespace": "kafka", "users": {"authentication": "tls"}}, "secretsAsFiles": True}
)
BARE = merged(
    MINIMAL,
    {
        "networkPolicy": {"enabled": False},
        "podDisruptionBudgets": {"enabled": False},
        "pods": {"topologySpread": []},
        "processor": {"staticMembership": False, "replicas": 1},
        "config": {"gateway": {"auth": "off"}},
        "gateway": {"preStopSeconds": 0},
        **{each: {"enabled": False} for each in ("connector", "chatSink", "storageSink", "topicsJob", "migrationsJob")},
    },
)
TOOLBOX = merged(
    STRIMZI,
    {
        "toolbox": {"enabled": True},
        "pods": {"listen": "::"},
        "gateway": {"chats": True, "service": {"ipFamilyPolicy": "PreferDualStack"}},
        "chatSink": {"enabled": False},
        "prometheusRule": {"enabled": True, "runbookUrl": "https://docs.example.com/alerts.md"},
    },
)
VARIANTS = {
    "minimal": MINIMAL,
    "everything": EVERYTHING,
    "strimzi": STRIMZI,
    "strimzi-tls": STRIMZI_TLS,
    "bare": BARE,
    "toolbox": TOOLBOX,
}


class Refused(Exception):
    """What helm said."""


class Chart:
    """Renders a chart. What it has rendered it keeps; do not change what it returns."""

    def __init__(self, tools: Tools, folder: Path = FOLDER) -> None:
        self.tools, self.folder = tools, folder
        self._rendered = cache(self._render)
        self._parsed = cache(parse)

    def text(self, values: dict, **options: str) -> str:
        return self._rendered(json.dumps(values), options.get("release", RELEASE), options.get("show", ""))

    def objects(self, values: dict, **options: str) -> list[dict]:
        return self._parsed(self.text(values, **options))

    def lint(self, values: dict) -> str:
        command = ["lint", str(self.folder), "--strict", "--kube-version", KUBE_VERSION, "--values", "-"]
        return self._helm(command, json.dumps(values))

    def _render(self, values: str, release: str, show: str) -> str:
        command = ["template", release, str(self.folder), "--namespace", NAMESPACE, "--kube-version", KUBE_VERSION]
        return self._helm([*command, "--values", "-", *(["--show-only", show] if show else [])], values)

    def _helm(self, command: list[str], values: str) -> str:
        done = subprocess.run(
            [self.tools.helm, *command], input=values, capture_output=True, text=True, timeout=120, check=False
        )
        if done.returncode:
            raise Refused(done.stderr + done.stdout)
        return done.stdout


def parse(text: str) -> list[dict]:
    """By libyaml where PyYAML has it: ten times as quick."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return [each for each in yaml.load_all(text, loader) if each]


def of_kind(objects: list[dict], *kinds: str) -> dict[str, dict]:
    """By the component that they belong to."""
    return {
        each["metadata"]["labels"].get("app.kubernetes.io/component", ""): each
        for each in objects
        if each["kind"] in kinds
    }


def pods(objects: list[dict]) -> dict[str, dict]:
    """Pod templates by component."""
    found = of_kind(objects, "Deployment", "StatefulSet", "Job")
    return {name: each["spec"]["template"] for name, each in found.items()}


def container(pod: dict) -> dict:
    (only,) = pod["spec"]["containers"]
    return only


def environment(pod: dict) -> dict[str, Any]:
    """Variables: their text, or what `valueFrom` says."""
    return {each["name"]: each.get("value", each.get("valueFrom")) for each in container(pod)["env"]}
