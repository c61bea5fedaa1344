"""The command line as a person meets it."""

import json
import sys

import pytest
from click.testing import CliRunner

from rendercast import __main__
from rendercast.broker import obtain
from rendercast.cli import main
from schemas.errors import StopProcess

FILE = "998d1234-5678-4abc-8def-0123456789ab"


def run(*arguments, stdin=None):
    return CliRunner().invoke(main, arguments, input=stdin)


def lines(text):
    return [json.loads(line) for line in text.splitlines()]


def test_parse_prints_the_observations_of_raw_bytes_and_why_the_rest_is_none():
    raw = (
        b'\xef\xbb\xbfdata: {"type":"render_progress","object":{"progress":0.5,"file_id":"%b"}}\r\n\r\n'
        b": ping - 2026-01-01 00:00:00\r\n\r\n"
        b'data: {"type":"hologram"}\r\n\r\n'
        b'data: {"type":"render_result",\r\ndata: "object":{"file_id":"%b","url":"https://x.example/a.mp4"}}\r\n\r\n'
    ) % (FILE.encode(), FILE.encode())
    result = run("parse", "--channel", f"file.{FILE}", stdin=raw)
    assert result.exit_code == 0
    assert [(each["type"], each.get("progress"), each.get("url")) for each in lines(result.stdout)] == [
        ("progress", 50, None),
        ("result", None, "https://x.example/a.mp4"),
    ]
    assert lines(result.stderr) == [{"type": "ignored", "reason": "unknown_type", "frame": None}]


def test_parse_reads_json_lines():
    frame = json.dumps({"type": "task_status", "object": {"status": "COMPLETED", "task_id": "t1"}})
    copied = f": ping\n\ndata: {frame}\n"
    assert len(lines(run("parse", "--channel", f"file.{FILE}", "--json-lines", stdin=copied).stdout)) == 1
    [found] = lines(run("parse", "--channel", f"file.{FILE}", "--json-lines", stdin=frame + "\n\n").stdout)
    assert (found["type"], found["status"], found["task_id"], found["file_id"]) == ("task", "completed", "t1", FILE)


def test_parse_says_what_is_broken():
    result = run("parse", "--channel", f"file.{FILE}", stdin=b"data: {nope\n\n")
    assert (result.exit_code, result.stdout) == (0, "")
    assert lines(result.stderr) == [{"type": "broken", "reason": "not_json", "bytes": "{nope"}]


def test_parse_passes_over_a_last_frame_that_was_cut():
    result = run("parse", "--channel", f"file.{FILE}", stdin=b'data: {"type":"render_pro')
    assert lines(result.stderr) == [{"type": "ignored", "reason": "cut", "frame": None}]


def test_config_masks_secrets_inside_urls(monkeypatch):
    monkeypatch.setenv("RENDERCAST_CONNECTOR__BASE_URL", "http://me:hush@host")
    monkeypatch.setenv("RENDERCAST_STORAGE__LOCATION_BASE", "https://host/?secret_access_key=hush")
    for arguments in (("config",), ("config", "--json")):
        result = run(*arguments)
        assert result.exit_code == 0
        assert "hush" not in result.output


@pytest.mark.parametrize("value", ["", "host", "host:notaport", "a:1,,b:2"])
def test_a_wrong_bootstrap_server_is_named(monkeypatch, value):
    monkeypatch.setenv("RENDERCAST_KAFKA__BOOTSTRAP_SERVERS", value)
    result = run("config")
    assert result.exit_code == 1
    assert "RENDERCAST_KAFKA__BOOTSTRAP_SERVERS: " in result.stderr


@pytest.mark.parametrize("endpoint", ["generate-video", "generate-image"])
def test_parse_finds_the_ids_of_a_generate_answer(endpoint):
    answer = {"id": FILE, "type": "video", "video_generation": {"id": "g1"}, "video_generation_id": "g1", "tasks": []}
    body = json.dumps(answer if endpoint == "generate-video" else [answer])
    [found] = lines(run("parse", "--endpoint", endpoint, stdin=body).stdout)
    assert found == {"file_id": FILE, "upstream_generation_id": "g1", "kind": "video"}


def test_parse_reads_a_file_answer():
    body = json.dumps({"id": FILE, "url": None, "type": "video", "tasks": [{"id": "t1", "status": "error"}]})
    [found] = lines(run("parse", "--endpoint", "file", stdin=body).stdout)
    assert (found["type"], found["task_status"], found["source"]) == ("snapshot", "error", "poll")


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("parse",), "--channel"),
        (("parse", "--channel", "file.x"), "not a channel"),
        (("parse", "--endpoint", "cat"), "expected one of"),
    ],
)
def test_wrong_options_are_explained_without_a_traceback(arguments, word):
    result = run(*arguments, stdin=b"")
    assert result.exit_code == 1
    assert word in result.stderr
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("track", "x", "--kind", "video"), "'x' is not a UUID"),
        (("track", FILE, "--kind", "hologram"), "'hologram' is not one of 'image', 'video', 'audio', 'other'"),
        (("track", FILE, "--kind", "video", "--deadline-seconds", "-1"), "deadline_seconds: Input should be greater"),
        (("track", FILE, "--kind", "video", "--message-id", "m"), "--message-id needs --chat-id"),
        (("track", FILE, "--kind", "video", "--chat-id", "c" * 301), "chat_id: String should have at most 300"),
    ],
)
def test_a_wrong_command_names_the_field_and_sends_nothing(arguments, word):
    result = run("jobs", *arguments)
    assert result.exit_code == 2
    assert word in result.stderr


def test_a_machine_without_any_kafka_is_told_all_three_ways_in_one_sentence(monkeypatch, tmp_path):
    monkeypatch.setattr(obtain, "has_docker", lambda: False)
    monkeypatch.setattr(obtain, "can_run", lambda: False)
    with pytest.raises(StopProcess) as caught, obtain.kafka(None, tmp_path):
        pass
    said = str(caught.value)
    assert all(word in said for word in ("RENDERCAST_KAFKA__BOOTSTRAP_SERVERS", "Docker", "Java 17 and Maven"))
    assert "\n" not in said


def test_a_database_that_is_away_is_one_line(monkeypatch):
    monkeypatch.setenv("RENDERCAST_CHATS__URL", "postgresql://me:hush@127.0.0.1:1/chats")
    for command in ("check", "upgrade"):
        result = run("db", command)
        assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
        assert result.stderr.startswith("rendercast: the database")
        assert "hush" not in result.output


def test_ctrl_c_while_it_loads_ends_it_without_a_traceback(monkeypatch):
    class Loading:
        @property
        def main(self):
            raise KeyboardInterrupt

    monkeypatch.setitem(sys.modules, "rendercast.cli", Loading())
    with pytest.raises(SystemExit, match="130"):
        __main__.main()
