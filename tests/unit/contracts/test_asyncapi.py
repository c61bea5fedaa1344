"""The AsyncAPI document and its page: read by other programs, and complete."""

import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path

import orjson
import pytest
import yaml
from harness import missing
from jsonschema import Draft202012Validator
from unit.gateway.conftest import make_stand, stand  # noqa: F401 - fixtures

from connectors.gateway.static import FOLDER
from rendercast.contracts import asyncapi, files, page
from rendercast.contracts.catalogue import CONTRACTS
from rendercast.contracts.yaml_text import yaml_text
from schemas.settings import TopicSettings

HERE = Path(__file__).parent / "asyncapi_parser"
INSTALL_SECONDS, CHECK_SECONDS = 200, 120


@pytest.fixture(scope="module")
def document():
    return yaml.safe_load((files.HOME / "asyncapi.yaml").read_text())


@pytest.fixture(scope="module")
def parser():
    """Node, and the folder that has the parser: installed once, outside of the checkout."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        missing("no Node: install it with npm")
    lock = (HERE / "package-lock.json").read_bytes()
    caches = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = caches / "rendercast" / f"asyncapi-parser-{hashlib.sha256(lock).hexdigest()[:12]}"
    if not (folder / "installed").is_file():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for name in ("package.json", "package-lock.json", ".npmrc"):
            shutil.copy(HERE / name, folder / name)
        try:
            subprocess.run([npm, "ci"], cwd=folder, check=True, capture_output=True, timeout=INSTALL_SECONDS)
        except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
            missing(f"npm cannot install @asyncapi/parser: {(error.stderr or b'no answer in time').decode()[-500:]}")
        (folder / "installed").touch()
    return node, folder


def run_parser(parser, document):
    node, folder = parser
    return subprocess.run(
        [node, str(HERE / "check.js"), str(folder), str(document)],
        capture_output=True,
        text=True,
        timeout=CHECK_SECONDS,
        check=False,
    )


def test_the_document_is_valid_to_the_parser_of_asyncapi(parser):
    found = run_parser(parser, files.HOME / "asyncapi.yaml")
    assert found.returncode == 0, found.stdout + found.stderr
    assert set(found.stdout.split()[1:]) == {each.name for each in TopicSettings().names.specs()}


def test_the_parser_would_tell_what_is_wrong(parser, tmp_path, document):
    wrong = orjson.loads(orjson.dumps(document))
    wrong["channels"]["completions"]["bindings"]["kafka"]["partitions"] = "eight"
    (tmp_path / "wrong.yaml").write_text(yaml_text(wrong))
    found = run_parser(parser, tmp_path / "wrong.yaml")
    assert found.returncode == 1
    assert "channels.completions.bindings" in found.stdout


def test_the_lock_of_the_parser_names_no_registry():
    assert "http" not in (HERE / "package-lock.json").read_text()


def test_the_yaml_says_what_was_meant():
    examples = {each.name: files.examples(each) for each in CONTRACTS}
    meant = asyncapi.document("1.2.3", examples)
    assert yaml.safe_load(yaml_text(meant)) == orjson.loads(orjson.dumps(meant))


@pytest.mark.parametrize(
    "value",
    [
        "", " ", "a: b", "- a", "#", "null", "No", "1", "1.0", "0x1", "2026-01-01", "~", "a #b", "é",
        "\u2028\x85\ufeff", "\x00\x7f", "'", '"', "\\", "🐈", "a\nb", "=", "<<", "a ", "!x", "&a", "*a", "%a", "@a",
        "`a", "{", "[", ",", "?", "|", ">", "x:",
    ],
)  # fmt: skip
def test_no_text_changes_on_its_way_through_yaml(value):
    for each in (value, [value], {"a": value}, {value: [[value], {value: {}}, []]}):
        assert yaml.safe_load(yaml_text(each)) == each


@pytest.mark.parametrize("value", [0, -1, 2**63 - 1, 0.0, 1.5, 1e300, 1e-9, 1.5e-9, True, None])
def test_no_number_becomes_a_text(value):
    found = yaml.safe_load(yaml_text({"a": value}))["a"]
    assert (type(found), found) == (type(value), value)


def test_every_topic_is_there_as_it_is_made(document):
    for spec in TopicSettings().names.specs():
        channel = next(each for each in document["channels"].values() if each["address"] == spec.name)
        kafka = channel["bindings"]["kafka"]
        told = kafka["topicConfiguration"]
        configs = {name: str(each[0] if isinstance(each, list) else each) for name, each in told.items()}
        assert configs == spec.configs()
        assert (kafka["partitions"], kafka["replicas"]) == (TopicSettings().partitions, TopicSettings().replication)


def test_somebody_sends_and_somebody_receives_on_every_topic(document):
    for name in document["channels"]:
        on_it = [each for each in document["operations"].values() if each["channel"]["$ref"] == f"#/channels/{name}"]
        assert {each["action"] for each in on_it} == {"send", "receive"}


def test_the_examples_are_valid_by_the_schemas_beside_them(document):
    for message in document["components"]["messages"].values():
        for example in message.get("examples", ()):
            whole = {**message["payload"], "components": document["components"]}
            Draft202012Validator(whole).validate(example["payload"])
            if "headers" in example:
                Draft202012Validator(message["headers"]).validate(example["headers"])


class TestThePage:
    def test_it_uses_nothing_inline_and_loads_nothing_from_elsewhere(self):
        text = files.PAGE.read_text()
        assert not re.search(r"<style|<script|\sstyle=|\son\w+=", text)
        assert not re.search(r"(src|href)=\"(?!#|asyncapi\.(yaml|css)\"|icon\.svg\")", text)

    def test_every_topic_field_and_link_is_there(self, document):
        text = files.PAGE.read_text()
        ids = set(re.findall(r'id="([^"]+)"', text))
        assert set(re.findall(r'href="#([^"]+)"', text)) <= ids
        assert len(ids) == len(re.findall(r'\sid="', text))
        assert ids >= {*document["channels"], *document["components"]["messages"]}
        for schema in document["components"]["schemas"].values():
            for name in schema["properties"]:
                assert f"<code>{name}</code>" in text

    def test_words_from_examples_and_descriptions_are_no_markup(self, document):
        document = orjson.loads(orjson.dumps(document))
        document["info"]["title"] = "<b>&"
        document["channels"]["jobs"]["description"] = "<i> `<u>`"
        text = page.html(document)
        assert "&lt;b&gt;&amp;" in text
        assert "&lt;i&gt; <code>&lt;u&gt;</code>" in text
        assert "</script>" not in text

    @pytest.mark.parametrize(
        ("path", "media_type", "file"),
        [
            ("/asyncapi", "text/html; charset=utf-8", FOLDER / "asyncapi.html"),
            ("/asyncapi.css", "text/css; charset=utf-8", FOLDER / "asyncapi.css"),
            ("/asyncapi.yaml", "application/yaml", files.HOME / "asyncapi.yaml"),
        ],
    )
    async def test_the_gateway_serves_it(self, stand, path, media_type, file):  # noqa: F811 - the fixture
        answer = await stand.http.get(path)
        assert (answer.status_code, answer.headers["content-type"]) == (200, media_type)
        assert answer.content == file.read_bytes()
        assert "default-src 'none'" in answer.headers["content-security-policy"]
