"""The chat databases: reached, at this release's revision, and written to - in a transaction that is taken back."""

from pathlib import Path

from sqlalchemy import func, select

from connectors.chats.database import check, database_url, make_engine, translated
from connectors.chats.plan import Plan
from connectors.chats.tables import own_tables
from rendercast.databases import databases
from rendercast.doctor import clock
from rendercast.doctor.finding import Finding, Findings, good, wrong
from rendercast.settings import Settings
from schemas import utcnow
from schemas.errors import RejectRecord, RetryLater, StopProcess

_NAMES = {"chats": "chat database", "local": "local store"}


async def examine(settings: Settings) -> Findings:
    """Nothing is kept."""
    for name, (url, plan) in databases(settings.chats).items():
        async for each in _database(
            _NAMES[name], f"RENDERCAST_CHATS__{'URL' if name == 'chats' else 'LOCAL_URL'}", url, plan
        ):
            yield each


async def _database(about: str, setting: str, url: str, plan: Plan) -> Findings:
    try:
        absent = _absent_file(url)
        if absent is not None:
            yield wrong(about, f"{absent} is not there", f"Run `rendercast db upgrade`, or correct {setting}.")
            return
        found = await check(url, plan)
    except RetryLater as error:
        yield wrong(about, str(error), f"Start it, or correct {setting}.")
        return
    except StopProcess as error:
        yield wrong(about, str(error), f"Correct {setting}, or the rights of its user.")
        return
    for misfit in found.adapted.misfits:
        yield wrong(about, str(misfit), "Correct the layout file or the table; see docs/chat-databases.md.")
    at = found.revisions
    if not at.match:
        yield wrong(
            about, f"is at revision {at.current or 'none'}, this release needs {at.expected}",
            "Run `rendercast db upgrade`.",
        )  # fmt: skip
        return
    for each in await _written(about, url, plan):
        yield each


def _absent_file(url: str) -> str | None:
    """Of SQLite, which would make it: then its owner would be who called the doctor, and not who runs the sink."""
    found = database_url(url)
    file = found.database if found.drivername.startswith("sqlite") else None
    if not file or file == ":memory:" or file.startswith("file:") or Path(file).exists():
        return None
    return file


async def _written(about: str, url: str, plan: Plan) -> list[Finding]:
    offsets = own_tables(plan.prefix).consumer_offset
    engine = make_engine(url)
    try:
        with translated(about):
            async with engine.connect() as connection:
                transaction = await connection.begin()
                await connection.execute(
                    offsets.insert().values(group_id="rendercast-doctor", topic="probe", partition=0, next_offset=0)
                )
                asked_at = utcnow()
                now = await connection.scalar(select(func.now())) if engine.dialect.name == "postgresql" else None
                await transaction.rollback()
    except (RetryLater, StopProcess, RejectRecord) as error:
        return [
            wrong(
                about,
                f"takes no row: {error}",
                "Let its user write to our tables; to those of the primary, not of a replica.",
            )
        ]
    finally:
        await engine.dispose()
    found = [good(about, "is at this release's revision, and takes a row")]
    return found if now is None else [*found, clock.compare(f"the {about}", now, asked_at)]
