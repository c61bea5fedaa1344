"""Records of a newer release, put before every reader: read, or refused in words; never a crash."""

import re
from types import SimpleNamespace

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.chats.rows import Tools, read
from connectors.gateway.board import Board
from connectors.gateway.settings import GatewaySettings
from connectors.storage.keys import object_key
from connectors.upstream.reconciler import _read as read_watch
from rendercast.contracts import files
from rendercast.contracts.catalogue import CONTRACTS
from rendercast.dead_letters.letters import Letter
from rendercast.dead_letters.words import line, shown
from schemas import JobView, Watch, utcnow
from schemas.codec import (
    decode_artifact,
    decode_command,
    decode_completion,
    decode_job,
    decode_job_view,
    decode_storage_request,
    decode_stored,
    decode_watch,
    encode,
)
from schemas.dead_letters import DeadLetter, marked
from schemas.errors import RejectRecord
from schemas.topics import Topics
from streams.rows import Rows
from streams.step import Stepper

TOPICS = Topics("t.")
BY_NAME = {each.name: each for each in CONTRACTS}
NEW_FIELDS = {"from_the_future": {"deep": [{"er": None}]}, "": 1, "type_of_type": "x", "__dict__": {}}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=6,
)


def example(contract, model, which="full"):
    return orjson.loads(files.example_path(contract, model, which).read_bytes())


def newer(topic, **changes):
    """The full example of a topic's first model as a newer release could write it."""
    contract = BY_NAME[topic]
    return orjson.dumps({**example(contract, contract.models[0]), **NEW_FIELDS, **changes})


def record(topic, value, *, key=None, headers=()):
    """As a consumer hands it over."""
    known = orjson.loads(value)["file_id"].encode() if key is None else key
    return SimpleNamespace(
        topic=TOPICS.prefix + topic, partition=0, offset=5, timestamp=1, key=known, value=value, headers=[*headers]
    )


@pytest.mark.parametrize(
    ("contract", "model"),
    [(each, model) for each in CONTRACTS for model in each.models],
    ids=lambda each: getattr(each, "name", ""),
)
def test_unknown_fields_are_passed_over_wherever_they_are(contract, model):
    known = example(contract, model)
    future = {**known, **NEW_FIELDS}
    for name in ("chat", "chats", "earlier"):
        if name in known:
            inner = known[name] if isinstance(known[name], list) else [known[name]]
            future[name] = [{**each, **NEW_FIELDS} for each in inner]
            future[name] = future[name] if isinstance(known[name], list) else future[name][0]
    assert contract.decode(orjson.dumps(future)) == contract.decode(orjson.dumps(known))


DESCRIBING = [
    (decode_watch, "watches", ["kind"]),
    (decode_completion, "completions", ["kind", "reason", "won_by"]),
    (decode_artifact, "artifacts", ["kind", "reason", "won_by"]),
    (decode_job_view, "jobs", ["kind", "reason", "won_by"]),
    (decode_storage_request, "storage", ["kind"]),
    (decode_stored, "stored", ["kind"]),
]


@pytest.mark.parametrize(
    ("decode", "topic", "names"), DESCRIBING, ids=lambda each: each if isinstance(each, str) else ""
)
def test_a_new_word_that_describes_is_read_as_other_or_as_none(decode, topic, names):
    known = decode(newer(topic))
    for some in [[name] for name in names] + [names]:
        meant = {name: "other" if name == "kind" else None for name in some}
        assert decode(newer(topic, **dict.fromkeys(some, "hologram"))) == known.model_copy(update=meant)


@pytest.mark.parametrize(
    ("decode", "topic", "name"),
    [
        (decode_artifact, "artifacts", "status"), (decode_artifact, "artifacts", "outcome"),
        (decode_job_view, "jobs", "status"), (decode_completion, "completions", "outcome"),
        (decode_storage_request, "storage", "role"), (decode_stored, "stored", "role"),
    ],
)  # fmt: skip
def test_a_new_word_that_decides_is_refused_and_named(decode, topic, name):
    for more in ({}, {"kind": "hologram"}):
        with pytest.raises(RejectRecord, match=rf"(^|; ){name}: ") as refused:
            decode(newer(topic, **{name: "vanished"}, **more))
        assert refused.value.reason == "invalid"


@pytest.mark.parametrize("odd", [1, None, [], {}, True])
def test_what_is_no_word_is_not_taken_for_a_new_one(odd):
    with pytest.raises(RejectRecord, match=r"^kind: "):
        decode_watch(newer("watches", kind=odd))


def test_the_processor_does_not_write_over_a_word_it_does_not_know():
    with pytest.raises(RejectRecord, match=r"^won_by: "):
        decode_job(newer("jobs", won_by="webhook"))


def test_a_command_with_a_word_that_nobody_knows_is_refused():
    """Whoever sends it has to hear of it: it is more often a slip than a newer release."""
    with pytest.raises(RejectRecord, match=r"^kind: "):
        decode_command(newer("commands", kind="hologram"))


@pytest.mark.parametrize("number", [2**63, 2**70, 10**400])
@pytest.mark.parametrize(
    ("topic", "name"), [("jobs", "version"), ("jobs", "gaps"), ("stored", "bytes"), ("watches", "check")]
)
def test_a_number_that_nobody_could_write_again_is_refused(topic, name, number):
    value = newer(topic).replace(b'"%s":' % name.encode(), b'"%s":%d,"was":' % (name.encode(), number))
    with pytest.raises(RejectRecord, match=rf"^{name}: "):
        BY_NAME[topic].decode(value)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.data())
def test_whatever_a_field_becomes_a_record_is_read_or_refused(data):
    contract = data.draw(st.sampled_from(CONTRACTS))
    known = example(contract, data.draw(st.sampled_from(contract.models)))
    name = data.draw(st.sampled_from(sorted(known)))
    try:
        value = orjson.dumps({**known, name: data.draw(JSON)})
    except TypeError:
        return  # an integer that orjson cannot write
    try:
        found = contract.decode(value)
    except RejectRecord as refused:
        assert refused.reason in {"invalid", "unknown_type"}  # noqa: PT017 - either is right
    else:
        assert contract.decode(encode(found)) == found


class TestTheProcessor:
    def step(self, *records):
        return Stepper(TOPICS)(Rows(), records)

    def test_takes_commands_and_observations_with_new_fields(self):
        effects = self.step(record("commands", newer("commands")))
        assert effects.jobs
        assert not effects.dead_letters

    @pytest.mark.parametrize("topic", ["commands", "upstream"])
    def test_keeps_a_new_type_among_the_dead_letters_and_goes_on(self, topic):
        new = record(topic, newer(topic, type="pause"))
        after = record("commands", newer("commands"))
        after.offset = 6
        effects = self.step(new, after)
        assert effects.dead_letters == {"unknown_type": 1}
        assert effects.jobs
        letter = next(each for each in effects.out if each.topic == TOPICS.dead_letters)
        assert letter.value == new.value

    def test_keeps_a_new_word_of_an_observation_among_the_dead_letters(self):
        effects = self.step(record("upstream", newer("upstream", source="webhook")))
        assert effects.dead_letters == {"invalid": 1}


class TestTheConnector:
    def test_watches_what_it_has_no_word_for(self):
        _, watch = read_watch(record("watches", newer("watches", kind="hologram")))
        assert isinstance(watch, Watch)
        assert watch.kind == "other"

    def test_refuses_what_is_no_watch(self):
        with pytest.raises(RejectRecord):
            read_watch(record("watches", b'{"file_id":"%s","type":"watch-group"}' % (b"0" * 36), key=b"x"))


class TestTheSinks:
    tools = Tools(re.compile(r".*-tool"), kept=False)

    @pytest.mark.parametrize("topic", ["artifacts", "stored"])
    def test_chats_take_new_fields_and_new_words(self, topic):
        assert read(record(topic, newer(topic, kind="hologram")), TOPICS, self.tools).kind == "other"

    @pytest.mark.parametrize("name", ["status", "outcome"])
    def test_chats_refuse_a_verdict_they_do_not_know(self, name):
        with pytest.raises(RejectRecord, match=rf"^{name}: "):
            read(record("artifacts", newer("artifacts", **{name: "vanished"})), TOPICS, self.tools)

    def test_storage_finds_a_place_for_what_it_has_no_word_for(self):
        request = decode_storage_request(newer("storage", kind="hologram"))
        assert object_key("{kind}/{file_id}/{generation}{ext}", request, utcnow()).startswith("other/")


class TestTheGateway:
    def shown(self, **changes):
        board = Board(GatewaySettings(auth="off"), clock=lambda: decode_job(newer("jobs")).updated_at)
        value = newer("jobs", **changes)
        board.read(0, 0, orjson.loads(value)["file_id"].encode(), value)
        board.has_loaded()
        return [orjson.loads(each.body) for each in board.view.find(("all",), 10).jobs]

    def test_shows_jobs_with_new_fields_and_a_newer_format(self):
        (job,) = self.shown(format=99, chats=[{"chat_id": "c", **NEW_FIELDS}])
        assert set(job) <= set(JobView.model_fields)

    def test_shows_a_job_with_new_words(self):
        (job,) = self.shown(kind="hologram", reason="weather", won_by="webhook")
        assert job["kind"] == "other"
        assert not {"reason", "won_by"} & set(job)

    @pytest.mark.parametrize(
        "changes", [{"status": "queued"}, {"outcome": "vanished"}, {"version": 2**64 - 1}], ids=str
    )
    def test_leaves_out_what_it_cannot_tell(self, changes):
        assert self.shown(**changes) == []


class TestDeadLetters:
    def test_are_read_with_headers_that_nobody_knows(self):
        headers = [
            ("reason", b"a_new_one"),
            ("from-the-future", b"\xff\x00"),
            ("reason", b"said twice"),
            ("attempts", b"many"),
        ]
        letter = Letter.of(record("dead-letters", b'{"file_id":"x"}', headers=headers))
        assert letter.told.reason == "said twice"
        assert letter.told.attempts == 1
        assert line(letter, replayed=False)
        assert list(shown(letter, []))

    @given(st.lists(st.tuples(st.text(max_size=9), st.binary(max_size=9)), max_size=5))
    def test_of_any_headers_are_letters_or_marks(self, headers):
        DeadLetter.parse(headers, None, None)
        marked(headers)
