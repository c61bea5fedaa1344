"""A change that breaks readers of the last release is told; one that does not is not."""

import copy

import orjson
import pytest

from rendercast.contracts import files
from rendercast.contracts.__main__ import main
from rendercast.contracts.catalogue import CONTRACTS
from rendercast.contracts.compatibility import broken
from rendercast.contracts.schema import published

BY_NAME = {each.name: each for each in CONTRACTS}


def field(name, **values):
    """In the older release the field was otherwise; None: the keyword was not there."""

    def change(shape):
        for key, value in values.items():
            shape["properties"][name].pop(key, None)
            if value is not None:
                shape["properties"][name][key] = value

    return change


def had(name, schema, *, always=False):
    def change(shape):
        shape["properties"][name] = schema
        shape["required"] += [name] * always

    return change


def had_not(name):
    def change(shape):
        del shape["properties"][name]
        shape["required"] = [each for each in shape["required"] if each != name]

    return change


def closed_and_without(name):
    def change(shape):
        had_not(name)(shape)
        shape["additionalProperties"] = False

    return change


def always(name):
    return lambda shape: shape["required"].append(name)


def not_always(name):
    return lambda shape: shape["required"].remove(name)


def nullable(name):
    def change(shape):
        shape["properties"][name] = {"anyOf": [shape["properties"][name], {"type": "null"}]}

    return change


def not_nullable(name):
    def change(shape):
        shape["properties"][name] = shape["properties"][name]["anyOf"][0]

    return change


def older(topic, change, model=None):
    """The topic's schema of an older release, in which something was otherwise."""
    schema = copy.deepcopy(published(BY_NAME[topic]))
    change(schema["$defs"][model] if model else schema)
    return schema


def member_was(name):
    def change(schema):
        schema["oneOf"].append({"$ref": f"#/$defs/{name}"})
        schema["$defs"][name] = {
            "type": "object", "required": ["type"], "properties": {"type": {"type": "string", "const": name}},
        }  # fmt: skip

    return change


def member_was_not(name):
    def change(schema):
        schema["oneOf"].remove({"$ref": f"#/$defs/{name}"})

    return change


OUTCOMES = ["completed", "failed", "timed_out", "cancelled"]
OUTPUTS_THAT_BREAK = [
    ("completions", None, always("url"), "url: may be missing, and readers require it"),
    ("completions", None, field("outcome", enum=OUTCOMES), "outcome: 'superseded' may come, which"),
    ("completions", None, field("outcome", enum=[*OUTCOMES, "superseded", "lost"]), "outcome: 'lost' may come"),
    ("completions", None, field("kind", enum=["image", "video"]), "kind: any value may come, readers know"),
    ("completions", None, field("message", maxLength=100), "message: maxLength is 20000, that of readers is 100"),
    ("completions", None, field("message", maxLength=90_000), "message: maxLength is 90000"),
    ("completions", None, had("cost", {"type": "number"}), "cost: is gone"),
    ("completions", None, field("late", type="string", default=None), "late: may be of type boolean"),
    ("completions", None, field("file_id", pattern="^[0-9a-f]{32}$"), "file_id: pattern is"),
    ("completions", "ChatRef", always("message_id"), "chat.message_id: may be missing, and readers require it"),
    ("completions", None, field("tracked_at", format="date"), "tracked_at: format is 'date-time'"),
    ("artifacts", None, field("progress", type="integer"), "progress: may be of type number, readers take integer"),
    ("artifacts", None, field("progress", maximum=99), "progress: may be as large as 100, readers take 99 or less"),
    ("artifacts", None, field("progress", minimum=None, exclusiveMinimum=0), "progress: may be as small as 0, "),
    ("artifacts", None, field("status", const="pending", enum=None), "status: 'processing' may come"),
    ("jobs", None, field("chats", maxItems=3), "chats: maxItems is not bounded, that of readers is 3"),
    ("jobs", "ChatRef", always("message_id"), "chats[].message_id: may be missing"),
    ("jobs", None, field("late", default=True), "late: meant True where absent, and now means False"),
    ("jobs", None, field("applied", additionalProperties={"type": "string"}), "applied.*: may be of type integer"),
    ("jobs", None, closed_and_without("url"), "url: readers take no value"),
    ("stored", None, field("bytes", maximum=1_000), "bytes: may be as large as"),
    ("watches", None, not_always("deadline_at"), "deadline_at: may be missing, and readers require it"),
]  # fmt: skip
INPUTS_THAT_BREAK = [
    ("commands", "Track", not_always("kind"), "kind: may be missing, and readers require it"),
    ("commands", "Track", field("kind", enum=["image", "hologram"]), "kind: 'hologram' may come"),
    ("commands", "Track", had("priority", {"type": "integer"}), "priority: is gone"),
    ("commands", "Track", nullable("file_id"), "file_id: may be of type null, readers take string"),
    ("commands", "Track", field("issued_at", type=["string", "integer"]), "issued_at: may be of type integer"),
    ("commands", "Track", field("file_id", pattern=None), "file_id: pattern is not said, that of readers is"),
    (
        "commands",
        "Track",
        field("prompt", anyOf=[{"type": "string", "maxLength": 99_999}]),
        "prompt: maxLength is 99999",
    ),
    (
        "commands",
        "Track",
        field("estimate_seconds", anyOf=[{"type": "number"}]),
        "estimate_seconds: may be as small as any",
    ),
    ("commands", "ChatRef", not_always("chat_id"), "chat.chat_id: may be missing"),
    ("commands", None, member_was("pause"), "the value: type 'pause' is gone"),
    ("commands", "Track", field("type", const="follow"), "type 'follow' is gone"),
    ("upstream", "Result", field("url", pattern=None), "url: pattern is not said"),
    ("upstream", "Gap", not_always("cause"), "cause: may be missing"),
]
HARMLESS = [
    ("completions", None, not_always("late"), "a field that is always there now, and has a default"),
    ("completions", None, lambda shape: shape, "nothing"),
    ("completions", None, had_not("won_by"), "a new field that may be missing"),
    ("artifacts", None, had_not("gaps"), "a new field that is always there, and has a default"),
    ("artifacts", None, not_always("gaps"), "a field that is always there now, and has a default"),
    ("completions", None, field("kind", examples=["image"]), "a new word where words may come"),
    ("completions", None, field("url", description="Where it is.", title="URL"), "other words about it"),
    ("completions", "ChatRef", had_not("message_id"), "a new field further in"),
    ("commands", "Track", had_not("prompt"), "a new field that may be missing"),
    ("commands", "Track", always("request_id"), "a field that need not be there any more"),
    ("commands", "Track", field("kind", enum=["image", "video"]), "new words that are taken"),
    ("commands", "Track", field("kind", enum=None, const="image"), "more than the one word is taken"),
    ("commands", "Track", not_nullable("prompt"), "null is taken too"),
    ("commands", "Track", field("prompt", anyOf=[{"type": "string", "maxLength": 9}]), "a wider bound"),
    ("commands", "Track", field("deadline_seconds", anyOf=[{"type": "integer", "minimum": 1, "maximum": 9}]), "wider"),
    ("commands", None, member_was_not("Cancel"), "a new command"),
    ("upstream", None, member_was_not("Gap"), "a new observation"),
]  # fmt: skip


@pytest.mark.parametrize(("topic", "model", "change", "told"), OUTPUTS_THAT_BREAK + INPUTS_THAT_BREAK, ids=str)
def test_a_change_that_breaks_somebody_is_told_by_its_place(topic, model, change, told):
    found = list(map(str, broken(BY_NAME[topic], older(topic, change, model), "0.0.9")))
    assert any(told in each for each in found), found
    assert all("0.0.9" in each for each in found)


@pytest.mark.parametrize(("topic", "model", "change", "what"), HARMLESS, ids=str)
def test_a_change_that_breaks_nobody_passes(topic, model, change, what):
    assert broken(BY_NAME[topic], older(topic, change, model), "0.0.9") == []


def test_nothing_breaks_those_who_were_built_against_the_last_release():
    """`python -m rendercast.contracts check` says what to do."""
    last = files.last_release()
    assert last is not None
    assert list(map(str, files.broken_since(last))) == []
    assert files.topics_gone_since(last) == []


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A release of our own, kept in a folder of the test."""
    monkeypatch.setattr(files, "RELEASED", tmp_path / "json" / "released")
    monkeypatch.setattr(files, "HOME", tmp_path)
    monkeypatch.setattr("rendercast.contracts.__main__.version", lambda: "0.1.0")
    monkeypatch.setattr(files, "stale", lambda _version: [])
    return tmp_path


def run(command):
    with pytest.raises(SystemExit) as ended:
        main([command])
    return ended.value.code


def test_the_check_fails_and_tells_what_to_do(checkout, capsys):
    assert run("release") == 0
    assert run("check") == 0
    kept = files.RELEASED / "0.1.0" / "completions.json"
    schema = orjson.loads(kept.read_bytes())
    schema["required"].append("url")
    kept.write_bytes(orjson.dumps(schema))
    (kept.parent / "gone.json").write_bytes(b"{}")
    capsys.readouterr()
    assert run("check") == 1
    said = capsys.readouterr().err
    assert "completions: url: may be missing, and readers require it" in said
    assert "gone: the topic is gone" in said
    assert "docs/contracts.md" in said


def test_a_stale_file_is_named(checkout, monkeypatch, capsys):
    monkeypatch.setattr(files, "stale", lambda _version: [checkout / "asyncapi.yaml"])
    assert run("check") == 1
    assert "asyncapi.yaml is not as the models say: make schemas" in capsys.readouterr().err


def test_the_last_release_is_the_highest_not_the_longest_name(checkout):
    assert files.last_release() is None
    for version in ("0.9.0", "0.10.0", "0.1.0"):
        files.keep(version)
    assert files.last_release() == "0.10.0"
