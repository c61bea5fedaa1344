"""Script files: what they make, break and heal, when; and what a wrong one gets."""

import json
from unittest.mock import Mock
from uuid import uuid4

import pytest

from rendercast.simulator import script as room
from rendercast.simulator.script import read_script
from schemas.errors import StopProcess

FILE = "3f2c9a5e-0d0b-4a53-9d5e-2b7d6b1f0a01"
TOML = f"""
[faults]
junk = 0.25

[[files]]
file_id = "{FILE}"
kind = "image"
behaviour = "fails"
seconds = 0

[[files]]
at = 3600
kind = "video"

[[events]]
at = 0
break = {{ what = "refuse", status = 503, of = "streams" }}
"""


@pytest.fixture
def script(tmp_path):
    def write(text, name="script.toml"):
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


async def test_what_is_due_at_the_start_is_there_before_the_first_call(start, script):
    upstream = await start(script_file=script(TOML))
    assert (await upstream.get(FILE)).json()["tasks"][0]["status"] == "error"
    record = await upstream.record()
    assert list(record["files"]) == [FILE]
    assert record["rates"]["junk"] == 0.25
    assert (await upstream.http.get(f"/api/v1/events/file.{FILE}")).status_code == 503


async def test_things_happen_at_their_simulated_time_and_in_order(start, script):
    steps = {
        "files": [{"file_id": FILE, "seconds": 0}],
        "events": [
            {"at": 30, "heal": {}, "faults": {"junk": 0.5}},
            {"at": 20, "break": {"what": "refuse"}},
            {"at": 40, "regenerate": {"file_id": FILE, "behaviour": "fails", "request_id": "second"}},
        ],
    }
    upstream = await start(speed=100, script_file=script(json.dumps(steps), "script.json"), faults={"late_poll": 0.1})

    async def second():
        record = await upstream.record()
        return len(record["files"][FILE]["generations"]) == 2 and record

    record = await upstream.eventually(second)
    assert [next(name for name in each if name != "at") for each in record["levers"]] == ["break", "heal", "faults"]
    assert [each["at"] * 100 >= due for each, due in zip(record["levers"], (20, 30, 30), strict=True)] == [True] * 3
    assert (record["rates"]["junk"], record["rates"]["late_poll"]) == (0.5, 0.1)
    assert record["files"][FILE]["generations"][1]["request_id"] == "second"
    assert record["broken_now"] == []


async def test_a_step_that_is_refused_is_logged_and_the_next_one_is_done(start, script, monkeypatch):
    log = Mock()
    monkeypatch.setattr(room, "log", log)
    steps = {"events": [{"at": 0, "regenerate": {"file_id": str(uuid4())}}, {"at": 0, "faults": {"junk": 1}}]}
    upstream = await start(script_file=script(json.dumps(steps), "script.json"))
    assert (await upstream.record())["rates"]["junk"] == 1
    assert [each.kwargs["why"] for each in log.warning.call_args_list] == [{"detail": "File not found"}]


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("files = 3", "files"),
        ("[[files]]\nkind = 'hologram'", "files.0.kind"),
        ("[[events]]\nat = 1", "events.0"),
        ("[[events]]\nat = 1\nbreak = { what = 'refuse', status = 200 }", "events.0.break.refuse.status"),
        ("[faults]\nstream_drop = 2", "faults.stream_drop"),
        ("[[", "script.toml"),
    ],
)
def test_a_wrong_script_stops_the_process_and_names_the_place(script, text, place):
    with pytest.raises(StopProcess, match=place):
        read_script(script(text))


def test_a_script_that_is_not_there_stops_the_process(tmp_path):
    with pytest.raises(StopProcess, match=r"none\.toml"):
        read_script(tmp_path / "none.toml")
