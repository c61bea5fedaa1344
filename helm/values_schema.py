# noqa: INP001 - a script beside the chart, of no package
"""Writes `rendercast/values.schema.json`: the chart's values, with the settings as the code has them.

`make chart` runs it. A test fails while the file is another than this would write.
"""

import json
from pathlib import Path
from typing import Any

from rendercast.settings import Settings

FILE = Path(__file__).parent / "rendercast" / "values.schema.json"

SECTIONS = ("kafka", "topics", "log", "tracing", "connector", "processor", "chats", "storage", "gateway")
"""Of the settings; what is missing here is none of the chart's processes', or set by the chart (`monitoring`)."""

BY_CHART = {
    "connector": {"group_instance_id"},  # of a Deployment's pods no name survives a restart
    "chats": {"group_instance_id"},
    "storage": {"group_instance_id"},
    "processor": {"instance_id", "data_directory"},
    "gateway": {"host", "port"},
}
ALSO_SECRET = {("kafka", "sasl_username"), ("kafka", "oauth_client_id"), ("gateway", "jwt_public_key")}
"""Told in a Secret often enough; they may stand in `config`, too."""

OURS = r"^(app\.kubernetes\.io/(name|instance|component|version|managed-by)|helm\.sh/chart)$"
"""Labels that the chart gives by itself, and selects by."""

Schema = dict[str, Any]


def closed(properties: Schema, **more: Any) -> Schema:
    """An object that has these properties and no others."""
    return {"type": "object", "additionalProperties": False, "properties": properties, **more}


def a(kind: str, **more: Any) -> Schema:
    """A value of one type."""
    return {"type": kind, **more}


def ref(name: str) -> Schema:
    """A definition below `$defs`."""
    return {"$ref": f"#/$defs/{name}"}


def _plain(found: Schema, definitions: Schema) -> Schema:
    """A setting without what says nothing here: titles, defaults, formats; and null, which is said by absence."""
    if "$ref" in found:
        return _plain(definitions[found["$ref"].rpartition("/")[2]], definitions)
    kinds = [each for each in found.get("anyOf", ()) if each != {"type": "null"}]
    if len(kinds) == 1:
        found = {**found, **kinds[0]}
        del found["anyOf"]
    kept = {name: value for name, value in found.items() if name not in {"title", "default", "format", "writeOnly"}}
    if "properties" in kept:
        return closed({name: _plain(value, definitions) for name, value in kept["properties"].items()})
    if "items" in kept:
        kept["items"] = _plain(kept["items"], definitions)
    return kept


def _secret(found: Schema) -> bool:
    return any(each.get("writeOnly") for each in (found, *found.get("anyOf", ())))


def settings() -> tuple[Schema, Schema]:
    """What may stand in `config`, and what in `secrets`: passwords in `secrets` only."""
    whole = Settings.model_json_schema()
    definitions = whole["$defs"]
    config, secrets = {}, {}
    for section in SECTIONS:
        fields = definitions[whole["properties"][section]["$ref"].rpartition("/")[2]]["properties"]
        ours = {name: value for name, value in fields.items() if name not in BY_CHART.get(section, ())}
        config[section] = closed(
            {name: _plain(value, definitions) for name, value in ours.items() if not _secret(value)}
        )
        hidden = [name for name, value in ours.items() if _secret(value) or (section, name) in ALSO_SECRET]
        if hidden:
            secrets[section] = closed({name: ref("secretKey") for name in hidden})
    return closed(config), closed(secrets)


def definitions() -> Schema:
    """What several values share."""
    config, secrets = settings()
    strings = a("object", additionalProperties=a("string"))
    objects = a("array", items=a("object"))
    names = a("string", minLength=1, maxLength=253, pattern=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$")
    items = a("array", items=closed({"key": a("string"), "path": a("string")}, required=["key", "path"]))
    return {
        "config": config,
        "secrets": secrets,
        "secretKey": closed({"name": names, "key": a("string", minLength=1)}, required=["name", "key"]),
        "files": closed({section: a("array", items=ref("file")) for section in SECTIONS}),
        "file": closed(
            {"secret": names, "configMap": names, "items": items},
            oneOf=[{"required": ["secret"]}, {"required": ["configMap"]}],
        ),
        "strings": strings,
        "labels": a("object", additionalProperties=a("string"), propertyNames={"not": {"pattern": OURS}}),
        "objects": objects,
        "count": a("integer", minimum=1),
        "seconds": a("integer", minimum=1),
        "port": a("integer", minimum=1, maximum=65_535),
        "peers": closed({"to": objects, "ports": a("array", items=ref("port"))}),
        "callers": closed({"from": objects}),
        "extraEnv": a(
            "array",
            items=closed(
                {
                    "name": a("string", minLength=1, **{"not": {"pattern": "^RENDERCAST_"}}),
                    "value": a("string"),
                    "valueFrom": a("object"),
                },
                required=["name"],
            ),
        ),
        "resources": closed({each: a("object") for each in ("requests", "limits", "claims")}, required=["requests"]),
        "autoscaling": closed(
            {
                "enabled": a("boolean"),
                "kind": a("string", enum=["hpa", "keda"]),
                "minReplicas": ref("count"),
                "maxReplicas": ref("count"),
                "metric": a("string"),
                "perReplica": ref("count"),
                "scaleDownAfterSeconds": a("integer", minimum=0, maximum=3600),
            }
        ),
    }


POD: Schema = {
    "enabled": a("boolean"),
    "config": ref("config"),
    "secrets": ref("secrets"),
    "files": ref("files"),
    "resources": ref("resources"),
    "serviceAccount": closed({"annotations": ref("strings")}),
    "egress": ref("objects"),
    "podLabels": ref("labels"),
    "podAnnotations": ref("strings"),
    "nodeSelector": ref("strings"),
    "tolerations": ref("objects"),
    "affinity": a("object"),
    "priorityClassName": a("string"),
    "extraEnv": ref("extraEnv"),
    "extraVolumes": ref("objects"),
    "extraVolumeMounts": ref("objects"),
}
PROCESS: Schema = {**POD, "replicas": ref("count"), "autoscaling": ref("autoscaling")}
JOB: Schema = {**POD, "backoffLimit": a("integer", minimum=0), "activeDeadlineSeconds": ref("seconds")}

GATEWAY: Schema = {
    **PROCESS,
    "generate": a("boolean"),
    "chats": a("boolean"),
    "preStopSeconds": a("integer", minimum=0, maximum=120),
    "service": closed(
        {
            "type": a("string", enum=["ClusterIP", "NodePort", "LoadBalancer"]),
            "port": ref("port"),
            "ipFamilyPolicy": a("string", enum=["", "SingleStack", "PreferDualStack", "RequireDualStack"]),
            "sessionAffinity": a("string", enum=["None", "ClientIP"]),
            "annotations": ref("strings"),
        }
    ),
    "ingress": closed(
        {
            "enabled": a("boolean"),
            "className": a("string"),
            "annotations": ref("strings"),
            "hosts": a("array", items=a("string")),
            "tls": ref("objects"),
            "paths": a(
                "array",
                minItems=1,
                items=closed(
                    {
                        "path": a("string", pattern="^/"),
                        "pathType": a("string", enum=["Exact", "Prefix", "ImplementationSpecific"]),
                    },
                    required=["path", "pathType"],
                ),
            ),
        }
    ),
}
PROCESSOR: Schema = {
    **PROCESS,
    "staticMembership": a("boolean"),
    "persistence": closed({"enabled": a("boolean"), "size": a("string"), "storageClassName": a("string")}),
}


def schema() -> Schema:
    """The whole of it."""
    monitor = {"enabled": a("boolean"), "labels": ref("labels")}
    duration = a("string", pattern="^[0-9]+(ms|s|m)$")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "rendercast",
        **closed(
            {
                "global": a("object"),
                "nameOverride": a("string", pattern=r"^([a-z]([-a-z0-9]*[a-z0-9])?)?$"),
                "fullnameOverride": a("string", pattern=r"^([a-z]([-a-z0-9]*[a-z0-9])?)?$"),
                "image": closed(
                    {
                        "repository": a("string", minLength=1),
                        "tag": a("string", **{"not": {"const": "latest"}}),
                        "digest": a("string", pattern="^(sha256:[0-9a-f]{64})?$"),
                        "pullPolicy": a("string", enum=["Always", "IfNotPresent", "Never"]),
                    }
                ),
                "imagePullSecrets": ref("objects"),
                "config": ref("config"),
                "secrets": ref("secrets"),
                "secretsAsFiles": a("boolean"),
                "files": ref("files"),
                "pods": closed(
                    {
                        "listen": a("string", enum=["0.0.0.0", "::"]),
                        "labels": ref("labels"),
                        "annotations": ref("strings"),
                        "nodeSelector": ref("strings"),
                        "tolerations": ref("objects"),
                        "affinity": a("object"),
                        "priorityClassName": a("string"),
                        "topologySpread": a(
                            "array",
                            items=closed(
                                {
                                    "topologyKey": a("string", minLength=1),
                                    "maxSkew": ref("count"),
                                    "whenUnsatisfiable": a("string", enum=["ScheduleAnyway", "DoNotSchedule"]),
                                },
                                required=["topologyKey"],
                            ),
                        ),
                    }
                ),
                "connector": closed(PROCESS),
                "processor": closed(PROCESSOR),
                "chatSink": closed(PROCESS),
                "storageSink": closed(PROCESS),
                "gateway": closed(GATEWAY),
                "topicsJob": closed(JOB),
                "migrationsJob": closed(JOB),
                "toolbox": closed(POD),
                "podDisruptionBudgets": closed({"enabled": a("boolean")}),
                "networkPolicy": closed(
                    {
                        "enabled": a("boolean"),
                        "dns": closed({"to": ref("objects")}),
                        **dict.fromkeys(("kafka", "database", "upstream", "objectStore", "outside"), ref("peers")),
                        **dict.fromkeys(("metrics", "gateway"), ref("callers")),
                    }
                ),
                "podMonitor": closed({**monitor, "interval": duration, "scrapeTimeout": duration}),
                "prometheusRule": closed({**monitor, "runbookUrl": a("string", pattern=r"^(https?://[^\s#{}\"']+)?$")}),
                "dashboards": closed({**monitor, "namespace": a("string"), "annotations": ref("strings")}),
                "keda": closed({"prometheus": a("string", pattern="^(https?://.+)?$"), "authentication": a("string")}),
                "strimzi": closed(
                    {
                        "apiVersion": a("string", enum=["kafka.strimzi.io/v1", "kafka.strimzi.io/v1beta2"]),
                        "cluster": a("string"),
                        "namespace": a("string"),
                        "topics": closed({"enabled": a("boolean"), "config": a("object")}),
                        "users": closed(
                            {
                                "enabled": a("boolean"),
                                "authentication": a("string", enum=["scram-sha-512", "tls"]),
                            }
                        ),
                    }
                ),
            }
        ),
        "$defs": definitions(),
    }


def text() -> str:
    """As it stands in the file."""
    return json.dumps(schema(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    FILE.write_text(text())
