"""docs/simulator.md says what is so: its tables are those of the code, its script plays, its calls are answered."""

import itertools
import re
import shlex
from pathlib import Path
from typing import get_args
from unittest.mock import Mock

import pytest

from rendercast.simulator import script as room
from rendercast.simulator.faults import menu
from rendercast.simulator.outages import BREAKS
from rendercast.simulator.settings import SimulatorSettings

TEXT = (Path(__file__).parents[3] / "docs" / "simulator.md").read_text()
FILE = "998d1234-5678-4abc-8def-0123456789ab"


def code(language):
    return re.findall(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)


def faults():
    for drawn, group in itertools.groupby(menu(), key=lambda fault: fault.drawn):
        yield f"| per {drawn} | what happens |\n| --- | --- |\n" + "\n".join(
            f"| `{each.name}` | {each.what} |" for each in group
        )


def breaks():
    rows = []
    for model in BREAKS:
        names = ", ".join(f"`{each}`" for each in get_args(model.model_fields["what"].annotation))
        fields = ", ".join(f"`{name}`" for name in model.model_fields if name != "what")
        rows.append(f"| {names} | {model.__doc__} | {fields} |")
    return "| `what` | does | takes |\n| --- | --- | --- |\n" + "\n".join(rows)


def fields():
    named = {
        name: field.description for model in BREAKS for name, field in model.model_fields.items() if field.description
    }
    return "| field | means |\n| --- | --- |\n" + "\n".join(f"| `{name}` | {what} |" for name, what in named.items())


def settings():
    rows = [
        f"| `{name.upper()}` | {'' if field.default is None else f'`{value(field.default)}`'} | {field.description} |"
        for name, field in SimulatorSettings.model_fields.items()
        if name != "faults"
    ]
    return "| setting | default | |\n| --- | --- | --- |\n" + "\n".join(rows)


def value(default):
    return getattr(default, "get_secret_value", lambda: default)()


@pytest.mark.parametrize("table", [*faults(), breaks(), fields(), settings()])
def test_each_table_is_that_of_the_code(table):
    assert table in TEXT, f"docs/simulator.md should have\n{table}"


@pytest.mark.parametrize("language", ["toml", "json"])
async def test_the_script_of_the_document_plays_to_its_end(start, tmp_path, language, monkeypatch):
    (text,) = code(language)
    path = tmp_path / f"script.{language}"
    path.write_text(text)
    log = Mock()
    monkeypatch.setattr(room, "log", log)
    upstream = await start(script_file=path, speed=1_000)

    async def is_played():
        record = await upstream.record()
        return len(record["levers"]) == 6 and record["files"][FILE]["generations"][1:] and record

    record = await upstream.eventually(is_played)
    assert len(record["files"]) == 3
    assert log.warning.call_args_list == []


async def test_every_call_of_the_document_is_answered(start):
    upstream = await start(speed=100)
    await upstream.script(file_id=FILE)
    seen = 0
    for line in re.sub(r"\\?\n +", " ", "".join(code("sh"))).splitlines():
        if not line.startswith("curl "):
            continue
        method, path, headers, body = call(shlex.split(line, comments=True)[1:])
        async with upstream.http.stream(method, path, headers=headers, content=body) as answer:
            assert answer.status_code == 200, line
            if not answer.headers["Content-Type"].startswith("text/event-stream"):
                await answer.aread()
            seen += 1
        if "__break" in path:
            await upstream.heal()
    assert seen > 12


def call(words):
    """Method, path, headers and body of a curl command."""
    method, headers, body, url = "GET", {}, None, ""
    while words:
        match words.pop(0):
            case "-X":
                method = words.pop(0)
            case "-H":
                name, _, text = words.pop(0).partition(": ")
                headers[name] = text.replace("$TOKEN", "simulator-token")
            case "-d":
                method, body = "POST", words.pop(0)
            case "-N" | "-s":
                pass
            case word:
                url = word
    assert url.startswith("localhost:8100/"), url
    return method, url.removeprefix("localhost:8100"), headers, body
