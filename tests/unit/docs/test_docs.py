"""Links lead somewhere; commands that are named exist; settings that are named exist."""

import re
from pathlib import Path

import click
import pytest

from rendercast.cli import main
from rendercast.settings import Settings

ROOT = Path(__file__).parents[3]
PAGES = sorted(
    each for each in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("*/README.md")] if each.is_file()
)
NAMES = [str(each.relative_to(ROOT)) for each in PAGES]


def words(page):
    return page.read_text()


def anchors(page):
    """As GitHub makes them of headings."""
    headings = re.findall(r"^#+ (.*)$", words(page), re.MULTILINE)
    found = {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}
    return found | set(re.findall(r'<a (?:id|name)="([^"]+)"', words(page)))


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", words(page)):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        to = (page.parent / path).resolve() if path else page
        assert to.exists(), target
        assert not anchor or anchor in anchors(to), target


def _commands(group, before=()):
    for name, command in group.commands.items():
        yield (*before, name)
        if isinstance(command, click.Group):
            yield from _commands(command, (*before, name))


COMMANDS = {" ".join(each): each for each in _commands(main)}


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_commands_that_are_named_exist(page):
    """In blocks and in backquotes: `rendercast NAME …` with all its subcommands' names."""
    code = re.findall(r"`(rendercast [^`]+)`", words(page)) + re.findall(
        r"^ {4}(rendercast .*)$", words(page), re.MULTILINE
    )
    for line in code:
        said = line.split()[1:]
        if not re.fullmatch(r"[a-z-]+", said[0]):
            continue  # an option, or `rendercast …`
        assert said[0] in COMMANDS, line
        if isinstance(main.commands[said[0]], click.Group) and len(said) > 1 and re.fullmatch(r"[a-z-]+", said[1]):
            assert f"{said[0]} {said[1]}" in COMMANDS, line


def test_every_command_is_in_the_readme():
    readme = words(ROOT / "README.md")
    table = " ".join(re.findall(r"^\| (`rendercast.*?) \|", readme, re.MULTILINE))
    for name in main.commands:
        assert re.search(rf"`(rendercast )?{name}\b", table), name


SETTINGS = {
    f"RENDERCAST_{section.upper()}__{field.upper()}"
    for section, info in Settings.model_fields.items()
    for field in info.annotation.model_fields
}


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_settings_that_are_named_exist(page):
    for name in re.findall(r"RENDERCAST_(?!TEST_)[A-Z]+__[A-Z_]+[A-Z]\b(?!_?…)", words(page)):
        known = name in SETTINGS or name.removesuffix("_FILE") in SETTINGS
        assert known or any(name.startswith(f"{each}__") for each in SETTINGS), name


def test_the_schemas_revision_is_this_releases():
    newest = max(each.name[:4] for each in (ROOT / "connectors/chats/migrations/versions").glob("[0-9]*.py"))
    assert set(re.findall(r"chats: at (\d+)", words(ROOT / "docs/chat-databases.md"))) == {newest}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_says_what_it_does(name):
    command = main
    for each in COMMANDS[name]:
        command = command.commands[each]
    assert (command.help or "").strip()
    for option in command.params:
        if isinstance(option, click.Option) and not option.hidden:
            assert option.help or option.name in {"project_id", "user_id", "kind", "status", "deadline_seconds"}, option
