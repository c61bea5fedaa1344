"""Jobs from the command line, by way of the topics: commands go in, documents are read."""

from collections.abc import AsyncIterator

from aiokafka import AIOKafkaConsumer

from brokers import arguments
from connectors.kafka import connect, producer
from rendercast.rights import rights
from rendercast.settings import Settings
from rendercast.topics import require
from schemas import Cancel, Check, JobView, Track
from schemas.codec import decode_job, encode
from schemas.errors import RejectRecord, StopProcess
from schemas.headers import headers
from streams.exactly_once import changelog


async def send(settings: Settings, command: Track | Check | Cancel) -> None:
    """Write a command, to the partition where the file's job is; returns when the broker has it."""
    found = await _find(settings, command.file_id)
    client = await connect(producer(settings.kafka, "rendercast-jobs"), settings.kafka)
    try:
        await client.send_and_wait(
            settings.topics.names.commands,
            encode(command),
            key=command.file_id.encode(),
            headers=headers(command),
            partition=None if found is None else found[0],
        )
    finally:
        await client.stop()


async def show(settings: Settings, file_id: str) -> JobView | None:
    """The file's job as the `jobs` topic has it now, or None."""
    found = await _find(settings, file_id)
    return None if found is None else _view(found[1])


async def follow(settings: Settings, file_id: str) -> AsyncIterator[JobView]:
    """The file's job as it is, then at each change; ends when the job has ended."""
    client = AIOKafkaConsumer(
        settings.topics.names.jobs,
        **arguments(settings.kafka),
        isolation_level="read_committed",
        auto_offset_reset="latest",
        fetch_max_wait_ms=50,
    )
    await connect(client, settings.kafka)
    try:
        await client.seek_to_end()  # first the end, then the rows: what comes between is seen twice, not missed
        for tp in client.assignment():
            await client.position(tp)
        found = await show(settings, file_id)
        if found is not None:
            yield found
        while found is None or found.outcome is None:
            record = await client.getone()
            if record.key == file_id.encode() and record.value is not None:
                view = _view(record.value)
                if found is None or view.version > found.version:
                    found = view
                    yield view
    finally:
        await client.stop()


async def _find(settings: Settings, file_id: str) -> tuple[int, bytes] | None:
    """Partition and document of the file's job."""
    await require(settings.kafka, settings.topics, rights(settings)["gateway"].topics)
    rows = await changelog.load(settings.kafka, settings.topics.names.jobs, range(settings.topics.partitions))
    key = file_id.encode()
    return next(((number, held[key]) for number, held in rows.items() if key in held), None)


def _view(value: bytes) -> JobView:
    try:
        job = decode_job(value)
    except RejectRecord as error:
        raise StopProcess(f"the document in the jobs topic cannot be read by this release: {error}") from error
    return JobView.model_validate(job.model_dump())
