"""`rendercast db`: the schema of the chat database and of the local store, and how far they have read."""

from collections.abc import Collection

from sqlalchemy import delete

from connectors.chats import database
from connectors.chats.plan import OWN, Plan, plan_of
from connectors.chats.settings import ChatsSettings
from connectors.chats.tables import own_tables
from rendercast import groups
from rendercast.rights import rights
from rendercast.settings import Settings
from schemas.errors import StopProcess


def databases(settings: ChatsSettings) -> dict[str, tuple[str, Plan]]:
    """URL and plan of the chat database, and of the local store if there is one."""
    found = {"chats": (settings.url.get_secret_value(), plan_of(settings))}
    if settings.local_url is not None:
        found["local"] = settings.local_url.get_secret_value(), OWN
    return found


async def upgrade(settings: ChatsSettings) -> list[str]:
    """One line per database. Raises StopProcess where the layout does not fit: then nothing was made."""
    return [f"{name}: at {(await database.upgrade(*each)).current}" for name, each in databases(settings).items()]


async def check(settings: ChatsSettings) -> tuple[list[str], bool]:
    """One line per database and one per misfit of the layout, and whether all is as this release needs it."""
    lines, fits = [], True
    for name, each in databases(settings).items():
        found = await database.check(*each)
        at = found.revisions
        lines.append(f"{name}: at {at.current or 'nothing'}, this release needs {at.expected}")
        lines += [f"{name}: {misfit}" for misfit in found.adapted.misfits]
        fits = fits and at.match and not found.adapted.misfits
    return lines, fits


async def rewind(settings: Settings, topics: Collection[str]) -> list[str]:
    """Forget how far these topics were read; one line per database. Raises StopProcess while a chat sink runs."""
    if "chats" in await groups.running(settings):
        raise StopProcess("a chat sink still runs. Stop all of them first")
    lines = []
    for name, (url, plan) in databases(settings.chats).items():
        offset, engine = own_tables(plan.prefix).consumer_offset, database.make_engine(url)
        ours = (offset.c.group_id == rights(settings)["chats"].group) & offset.c.topic.in_(topics)
        try:
            with database.translated(name):
                async with engine.begin() as connection:
                    gone = (await connection.execute(delete(offset).where(ours))).rowcount
        finally:
            await engine.dispose()
        lines.append(f"{name}: {gone} partitions will be read from their beginning")
    return lines
