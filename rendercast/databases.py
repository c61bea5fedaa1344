"""`rendercast db`: the schema of the chat database and of the local store."""

from connectors.chats import database
from connectors.chats.settings import ChatsSettings


def _urls(settings: ChatsSettings) -> dict[str, str]:
    urls = {"chats": settings.url.get_secret_value()}
    if settings.local_url is not None:
        urls["local"] = settings.local_url.get_secret_value()
    return urls


async def upgrade(settings: ChatsSettings) -> list[str]:
    """One line per database."""
    return [f"{name}: at {(await database.upgrade(url)).current}" for name, url in _urls(settings).items()]


async def check(settings: ChatsSettings) -> tuple[list[str], bool]:
    """One line per database, and whether each has the schema this release needs."""
    lines, fits = [], True
    for name, url in _urls(settings).items():
        found = await database.check(url)
        lines.append(f"{name}: at {found.current or 'nothing'}, this release needs {found.expected}")
        fits = fits and found.match
    return lines, fits
