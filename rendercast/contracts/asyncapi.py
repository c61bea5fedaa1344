"""The AsyncAPI 3 document: topics with bindings, messages with headers and examples, senders and receivers. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

from rendercast.contracts.catalogue import CONTRACTS, PROCESSES, Contract
from rendercast.contracts.schema import headers_schema, published
from schemas import Record
from schemas.headers import headers
from schemas.settings import TopicSettings
from schemas.topics import TopicSpec

Document = dict[str, Any]
Examples = Mapping[str, Mapping[type[Record], Mapping[str, Any]]]

_KAFKA = {"bindingVersion": "0.5.0"}
_KEY = {
    "type": "string", "format": "uuid",
    "description": "The file id: all records of a file are in one partition, of the same number on every topic.",
}  # fmt: skip
_DEAD_LETTERS = {
    "reason": "A short name for why it can never work.",
    "detail": "What was wrong, in words.",
    "by": "The process that gave up on it.",
    "topic": "Where it came from.",
    "partition": "Where it came from.",
    "offset": "Where it came from.",
    "attempts": "How often it was tried.",
    "truncated-from": "The value's size in bytes, where not all of it is kept.",
    "key-truncated-from": "The key's size in bytes, where not all of it is kept.",
}
_MARKS = {
    "replay-of": "Partition and offset of the letter that was sent again.",
    "time": "When it was sent again.",
}


def document(version: str, examples: Examples) -> Document:
    """The whole document, for the topics' default names."""
    specs = {each.name: each for each in TopicSettings().names.specs()}
    prefix = TopicSettings().prefix
    shapes, messages = _shapes(), _messages(examples)
    channels = {
        each.name: _channel(specs.pop(prefix + each.name), each.about, list(_message_names(each))) for each in CONTRACTS
    }
    channels["dead-letters"] = _channel(
        specs.pop(f"{prefix}dead-letters"), "Records that can never work, as they came, and marks of those sent again.",
        ["DeadLetter", "ReplayMark"],
    )  # fmt: skip
    channels["positions"] = _channel(
        specs.pop(f"{prefix}positions"),
        "The processor's own: how far it has applied each source. Nothing is promised.", ["Position"],
    )  # fmt: skip
    assert not specs, f"topics without a contract: {', '.join(specs)}"
    return {
        "asyncapi": "3.0.0",
        "id": "urn:rendercast",
        "info": _info(version),
        "defaultContentType": "application/json",
        "servers": _servers(),
        "channels": channels,
        "operations": dict(_operations(channels)),
        "components": {
            "schemas": shapes,
            "messages": messages,
            "messageTraits": {"CloudEvent": {"headers": headers_schema()}},
            "securitySchemes": _security(),
        },
    }


def _info(version: str) -> Document:
    return {
        "title": "Rendercast",
        "version": version,
        "description": (
            "The outcome of each generated image or video, announced once. Values are JSON; readers pass over fields "
            "they do not know. Topics have the prefix `render.` unless configured otherwise, and all have the same "
            "number of partitions."
        ),
        "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        "tags": [{"name": name, "description": about} for name, about in PROCESSES.items()],
    }


def _servers() -> Document:
    variables = {"bootstrap": {"default": "localhost:9092", "description": "A broker's host and port."}}
    secured = [{"$ref": f"#/components/securitySchemes/{name}"} for name in _security()]
    return {
        "plain": {
            "host": "{bootstrap}", "protocol": "kafka", "variables": variables,
            "description": "A broker inside, without authentication.",
        },
        "secured": {
            "host": "{bootstrap}", "protocol": "kafka-secure", "variables": variables, "security": secured,
            "description": "A broker that asks who it is: SASL over TLS, or a client's certificate.",
        },
    }  # fmt: skip


def _security() -> Document:
    return {
        "saslPlain": {"type": "plain", "description": "SASL_SSL with PLAIN."},
        "saslScramSha256": {"type": "scramSha256", "description": "SASL_SSL with SCRAM-SHA-256."},
        "saslScramSha512": {"type": "scramSha512", "description": "SASL_SSL with SCRAM-SHA-512."},
        "saslOauthbearer": {
            "type": "http", "scheme": "bearer", "bearerFormat": "JWT", "description": "SASL_SSL with OAUTHBEARER.",
        },
        "clientCertificate": {"type": "X509", "description": "SSL with a client's certificate."},
    }  # fmt: skip


def _channel(spec: TopicSpec, about: str, messages: list[str]) -> Document:
    settings = TopicSettings()
    configuration: Document = {"cleanup.policy": [spec.cleanup]}
    if spec.retention_ms is not None:
        configuration["retention.ms"] = spec.retention_ms
    return {
        "address": spec.name,
        "description": about,
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in messages},
        "bindings": {
            "kafka": {
                "topic": spec.name,
                "partitions": settings.partitions,
                "replicas": settings.replication,
                "topicConfiguration": configuration,
                **_KAFKA,
            }
        },
    }


def _operations(channels: Document) -> Iterator[tuple[str, Document]]:
    told = [(each.name, each.writers, each.readers) for each in CONTRACTS]
    told += [
        ("dead-letters", ("processor", "connector", "chat-sink", "storage-sink", "operators"), ("operators",)),
        ("positions", ("processor",), ("processor",)),
    ]
    for topic, writers, readers in told:
        for action, processes in (("send", writers), ("receive", readers)):
            for process in processes:
                messages = channels[topic]["messages"]
                yield (
                    _camel(f"{process}-{action}s-{topic}"),
                    {
                        "action": action,
                        "channel": {"$ref": f"#/channels/{topic}"},
                        "summary": f"{process} {action}s {topic}",
                        "tags": [{"name": process}],
                        "messages": [{"$ref": f"#/channels/{topic}/messages/{name}"} for name in messages],
                    },
                )


def _camel(name: str) -> str:
    first, *rest = name.split("-")
    return first + "".join(each.capitalize() for each in rest)


def _message_names(contract: Contract) -> Iterator[str]:
    yield from (each.__name__ for each in contract.models)
    if contract.tombstone is not None:
        yield f"{contract.models[0].__name__}Tombstone"


def _messages(examples: Examples) -> Document:
    found: Document = {}
    for contract in CONTRACTS:
        for model in contract.models:
            found[model.__name__] = _message(contract, model, examples[contract.name][model])
        if contract.tombstone is not None:
            found[f"{contract.models[0].__name__}Tombstone"] = _bare(
                "Tombstone", f"A record without a value. {contract.tombstone}", {"type": "null"}, _KEY
            )
    letter, mark = (
        {
            "type": "object",
            "properties": {name: {"type": "string", "description": about} for name, about in told.items()},
        }
        for told in (_DEAD_LETTERS, _MARKS)
    )
    found["DeadLetter"] = {
        **_bare("Dead letter", "Key and value as they came.", {"description": "Any bytes."}), "headers": letter,
    }  # fmt: skip
    found["ReplayMark"] = {
        **_bare("Replay mark", "A record without a value: a letter was sent again.", {"type": "null"}), "headers": mark,
    }  # fmt: skip
    position = {"type": "object", "properties": {name: {"type": "integer"} for name in ("offset", "timestamp")}}
    found["Position"] = _bare("Position", "The last record applied of a source partition.", position)
    return found


def _bare(title: str, about: str, payload: Document, key: Document | None = None) -> Document:
    found = {"title": title, "summary": about, "payload": payload}
    return found if key is None else {**found, "bindings": {"kafka": {"key": key, **_KAFKA}}}


def _message(contract: Contract, model: type[Record], examples: Mapping[str, Any]) -> Document:
    found: Document = {
        "name": model.__name__,
        "title": model.__name__,
        "summary": " ".join((model.__doc__ or "").split("\n\n")[0].split()),
        "contentType": "application/json",
        "payload": {"$ref": f"#/components/schemas/{model.__name__}"},
        "bindings": {"kafka": {"key": _KEY, **_KAFKA}},
        "examples": [{"name": which, "payload": each} for which, each in examples.items()],
    }
    if contract.name == "jobs":
        return found
    told = {name: value.decode() for name, value in headers(model.model_validate(examples["full"]))}
    found["traits"] = [{"$ref": "#/components/messageTraits/CloudEvent"}]
    found["headers"] = {
        "type": "object",
        "properties": {name: {"type": "string", "const": told[name]} for name in ("ce_type", "ce_source")},
    }
    for each in found["examples"]:
        record = model.model_validate(each["payload"])
        each["headers"] = {name: value.decode() for name, value in headers(record)}
    return found


def _shapes() -> Document:
    """All models under one roof. What an output says of a shared one is less than what an input takes: two names."""
    found: Document = {}
    for contract in CONTRACTS:
        schema = published(contract)
        models = schema.pop("$defs", {})
        if contract.shape in contract.models:
            about = schema["description"].partition(f"\n\n{contract.about}")[0]
            own = {key: value for key, value in schema.items() if key not in ("$schema", "$id")}
            models[contract.models[0].__name__] = {**own, "description": about}
        names = {name: name if found.get(name, each) == each else f"{name}Told" for name, each in models.items()}
        for name, each in models.items():
            found[names[name]] = _pointed(each, names)
    return found


def _pointed(node: Any, names: Mapping[str, str]) -> Any:
    """The same with its references into the document's components."""
    if isinstance(node, dict):
        return {
            key: f"#/components/schemas/{names[value.rpartition('/')[2]]}" if key == "$ref" else _pointed(value, names)
            for key, value in node.items()
        }
    return [_pointed(each, names) for each in node] if isinstance(node, list) else node
