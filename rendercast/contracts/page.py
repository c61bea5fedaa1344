"""The AsyncAPI document as one page of HTML, without script and without style of its own. Pure."""

from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

import orjson

from rendercast.contracts.text import kept, kind_of, prose

Document = Mapping[str, Any]

_HEAD = """\
<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <meta name="color-scheme" content="light dark">
  <title>Rendercast: topics</title>
  <link rel="icon" href="icon.svg" type="image/svg+xml">
  <link rel="stylesheet" href="asyncapi.css">
</head>
<body>
"""


def html(document: Document) -> str:
    """The page. Its links are to files beside it."""
    return "\n".join(
        (_HEAD + "\n".join(_header(document)), "<main>", *_main(document), "</main>", "</body>", "</html>", "")
    )


def _header(document: Document) -> Iterator[str]:
    info = document["info"]
    yield "<header>"
    yield f"<h1>{escape(info['title'])} <small>{escape(info['version'])}</small></h1>"
    yield prose(info["description"])
    yield '<p><a href="asyncapi.yaml">asyncapi.yaml</a> <span>AsyncAPI 3, for machines</span></p>'
    yield "<nav><ul>"
    for name, channel in document["channels"].items():
        yield f'<li><a href="#{escape(name)}">{escape(channel["address"])}</a></li>'
    yield "</ul></nav>"
    yield "</header>"


def _main(document: Document) -> Iterator[str]:
    for name, channel in document["channels"].items():
        yield from _channel(document, name, channel)
    yield '<section id="headers"><h2>Headers</h2>'
    headers = document["components"]["messageTraits"]["CloudEvent"]["headers"]
    yield prose(headers["description"])
    yield from _fields(headers)
    yield "</section>"
    yield '<section id="shapes"><h2>Shared shapes</h2>'
    messages = document["components"]["messages"]
    for name, schema in document["components"]["schemas"].items():
        if name not in messages:
            yield f'<article id="{escape(name)}"><h3>{escape(name)}</h3>'
            yield prose(schema.get("description", ""))
            yield from _fields(schema)
            yield "</article>"
    yield "</section>"
    yield '<section id="servers"><h2>Servers</h2>'
    for name, server in document["servers"].items():
        yield f"<article><h3>{escape(name)}</h3>{prose(server['description'])}<dl>"
        yield f"<div><dt>Protocol</dt><dd>{escape(server['protocol'])}</dd></div>"
        for each in server.get("security", ()):
            scheme = document["components"]["securitySchemes"][each["$ref"].rpartition("/")[2]]
            yield f"<div><dt>Security</dt><dd>{escape(scheme['description'])}</dd></div>"
        yield "</dl></article>"
    yield "</section>"


def _channel(document: Document, name: str, channel: Mapping[str, Any]) -> Iterator[str]:
    yield f'<section id="{escape(name)}"><h2>{escape(channel["address"])}</h2>'
    yield prose(channel["description"])
    yield "<dl>"
    for title, fact in _facts(document, name, channel):
        yield f"<div><dt>{title}</dt><dd>{escape(fact)}</dd></div>"
    yield "</dl>"
    for message_name in channel["messages"]:
        message = document["components"]["messages"][message_name]
        yield f'<article id="{escape(message_name)}"><h3>{escape(message["title"])}</h3>'
        yield from _message(document, message)
        yield "</article>"
    yield "</section>"


def _facts(document: Document, name: str, channel: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    bindings = channel["bindings"]["kafka"]
    at = f"#/channels/{name}"
    for title, action in (("Written by", "send"), ("Read by", "receive")):
        found = [each for each in document["operations"].values() if each["channel"]["$ref"] == at]
        yield title, ", ".join(each["tags"][0]["name"] for each in found if each["action"] == action)
    yield "Key", "as it came" if name == "dead-letters" else "source" if name == "positions" else "file id"
    yield "Kept", kept(bindings["topicConfiguration"])
    yield "Partitions", f"{bindings['partitions']} by default"


def _message(document: Document, message: Mapping[str, Any]) -> Iterator[str]:
    payload = message["payload"]
    schema = document["components"]["schemas"][payload["$ref"].rpartition("/")[2]] if "$ref" in payload else payload
    yield prose(schema.get("description") or message["summary"] if "$ref" in payload else message["summary"])
    told = [
        f"<code>{escape(key)}</code> <code>{escape(each['const'])}</code>"
        for key, each in message.get("headers", {}).get("properties", {}).items()
        if "const" in each
    ]
    if told:
        yield f'<p class="headers"><a href="#headers">Headers</a> {" ".join(told)}</p>'
    elif "headers" in message:
        yield from _fields(message["headers"], "Header")
    if schema.get("properties"):
        yield from _fields(schema)
    for each in message.get("examples", ()):
        text = orjson.dumps(each["payload"], option=orjson.OPT_INDENT_2).decode()
        yield f"<details><summary>Example: {escape(each['name'])}</summary><pre>{escape(text)}</pre></details>"


def _fields(schema: Mapping[str, Any], title: str = "Field") -> Iterator[str]:
    required = schema.get("required", ())
    yield f"<table><thead><tr><th>{title}</th><th>Type</th><th>Meaning</th></tr></thead><tbody>"
    for name, field in schema["properties"].items():
        mark = ' <span class="required">always</span>' if name in required else ""
        yield (
            f"<tr><td><code>{escape(name)}</code>{mark}</td><td>{kind_of(field)}</td>"
            f"<td>{prose(field.get('description', ''), 'span')}</td></tr>"
        )
    yield "</tbody></table>"
