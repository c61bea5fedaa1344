"""What the pages tell people to type is understood: subcommands, options and choices; services of Compose."""

import re
import shlex
from pathlib import Path

import click
import pytest
import yaml
from unit.docs.test_docs import NAMES, PAGES, ROOT, words

from rendercast.cli import main

SERVICES = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
PROFILES = {profile for each in SERVICES.values() for profile in each.get("profiles", ())}
COMPOSE = {"up", "down", "logs", "exec", "run", "ps", "stop", "start", "restart", "build", "pull"}
ENDS = {"|", "||", "&&", ";", ">", ">>", "<", "2>"}
LEFT_OPEN = re.compile(r"…|\.\.\.|[<>A-Z]{2,}|\*")
"""An argument that a page leaves to its reader."""


def typed(page: Path) -> list[str]:
    """Lines of blocks, continued ones as one, and what stands in backquotes."""
    text = words(page)
    fenced = re.findall(r"^```(?:sh|bash|console)?\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    blocks = "\n".join([*re.findall(r"^ {4}(.*)$", text, re.MULTILINE), *fenced]).replace("\\\n", " ")
    return [*blocks.splitlines(), *re.findall(r"`([^`\n]+)`", text)]


def calls(line: str, program: str) -> list[list[str]]:
    """The arguments of each call of a program in a line: at its beginning, after a pipe, or after `--`."""
    try:
        lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;<>")
        lexer.whitespace_split = True
        found = list(lexer)
    except ValueError:  # prose, or half a line of another language
        return []
    starts = [place + 1 for place, word in enumerate(found) if word == program and _begins(found[:place])]
    return [_until_end(found[start:]) for start in starts]


def _begins(before: list[str]) -> bool:
    return not before or before[-1] in ENDS | {"--"} or re.match(r"[A-Z_]+=", before[-1]) is not None


def _until_end(found: list[str]) -> list[str]:
    end = next((place for place, word in enumerate(found) if word in ENDS), len(found))
    return found[:end]


def misunderstood(arguments: list[str]) -> str:
    """What click does not know of a call of `rendercast`; empty where it knows all of it."""
    command: click.Command = main
    options: dict[str, click.Option] = {}
    waiting = list(arguments)
    while waiting:
        word = waiting.pop(0)
        options |= {name: each for each in command.params if isinstance(each, click.Option) for name in each.opts}
        options |= {
            name: each for each in command.params if isinstance(each, click.Option) for name in each.secondary_opts
        }
        if word.startswith("--") or re.fullmatch(r"-[a-z]", word):
            name, _, value = word.partition("=")
            if name not in {*options, "--help", "-h", "--version"}:
                return f"no option {name}"
            option = options.get(name)
            if option is None or option.is_flag or option.count:
                continue
            value = value or (waiting.pop(0) if waiting else "")
            choices = option.type.choices if isinstance(option.type, click.Choice) else None
            if not value or (choices and value not in choices and not LEFT_OPEN.search(value)):
                return f"{name} does not take {value!r}"
        elif isinstance(command, click.Group):
            if LEFT_OPEN.search(word):
                return ""
            if word.rstrip(",") not in command.commands:
                return f"no command {word}"
            command = command.commands[word.rstrip(",")]
    return ""


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_what_is_to_be_typed_is_understood(page):
    wrong = {line: why for line in typed(page) for call in calls(line, "rendercast") if (why := misunderstood(call))}
    assert wrong == {}


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_compose_knows_its_services_and_profiles(page):
    for line in typed(page):
        for call in calls(line, "docker"):
            if not call or call[0] != "compose":
                continue
            profiles = [call[place + 1] for place, word in enumerate(call) if word == "--profile"]
            assert set(profiles) <= PROFILES, line
            rest = [word for word in call[1:] if not word.startswith("-") and word not in profiles]
            assert rest[:1] == [] or rest[0] in COMPOSE, line
            for service in rest[1:2]:
                assert service in SERVICES, line


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("rendercast jobs list --status processing", ""),
        ("rendercast jobs lost", "no command lost"),
        ("rendercast jobs list --state processing", "no option --state"),
        ("rendercast jobs list --status lost", "--status does not take 'lost'"),
        ("kubectl exec deployment/a -- rendercast dcotor", "no command dcotor"),
        ("rendercast jobs save --as check | rendercast jobs sent", "no command sent"),
        ("RENDERCAST_LOG__LEVEL=debug rendercast jobs sent", "no command sent"),
        ("rendercast jobs send < jobs.jsonl", ""),
    ],
)
def test_a_slip_is_found(line, why):
    assert [each for call in calls(line, "rendercast") if (each := misunderstood(call))] == ([why] if why else [])


def test_there_is_something_to_understand():
    found = [call for page in PAGES for line in typed(page) for call in calls(line, "rendercast")]
    assert len(found) > 60
    assert any(calls(line, "docker") for page in PAGES for line in typed(page))
