"""The object store: an object is written, read and deleted."""

from collections.abc import AsyncIterator
from uuid import uuid4

from connectors.storage.store import ObjectStore
from rendercast.doctor.finding import Findings, doubtful, good, wrong
from rendercast.settings import Settings
from schemas.errors import RejectRecord, RetryLater, StopProcess

_WORDS = b"written by `rendercast doctor`; it may be deleted\n"


async def examine(settings: Settings) -> Findings:
    """One small object under `.rendercast-doctor/`, gone afterwards."""
    url, key = settings.storage.store_url, f".rendercast-doctor/{uuid4().hex}"
    about = "object store"
    try:
        store = ObjectStore(settings.storage)
        await store.put(key, _once(), lambda: {"Content-Type": "text/plain"})
        try:
            read = b"".join([each async for each in store.read(key)])
        finally:
            kept = await _deleted(store, key)
    except (StopProcess, RejectRecord) as error:
        yield wrong(about, str(error), "Correct RENDERCAST_STORAGE__STORE_URL or its credentials; see docs/storage.md.")
        return
    except RetryLater as error:
        yield wrong(about, str(error), "Start it, or let this machine reach it; see docs/storage.md.")
        return
    if read != _WORDS:
        yield wrong(about, f"{url} gives back other bytes than it was given", "Is something between us and the store?")
        return
    if kept is not None:
        yield doubtful(
            about, f"{url} is written and read, but {key} cannot be deleted: {kept}",
            "The sink deletes nothing and needs no such right. Delete the object by hand.",
        )  # fmt: skip
        return
    yield good(about, f"{url} is written, read and deleted from")


async def _deleted(store: ObjectStore, key: str) -> StopProcess | RetryLater | None:
    """The error that keeps it there."""
    try:
        await store.delete(key)
    except (StopProcess, RetryLater) as error:
        return error
    return None


async def _once() -> AsyncIterator[bytes]:
    yield _WORDS
