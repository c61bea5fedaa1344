"""The object store on a local folder."""

import asyncio
import os
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest

from connectors.storage.copier import Copier
from connectors.storage.settings import StorageSettings
from connectors.storage.store import ObjectStore, StoreAway
from schemas import StorageRequest, Stored, utcnow
from schemas.errors import RejectRecord, RetryLater, StopProcess

KEY = "video/2026/01/02/f/g=2F1.mp4"
DAYS = 2 * 86_400


@pytest.fixture
def store(tmp_path):
    return ObjectStore(StorageSettings(store_url=f"file://{tmp_path}/store"))


async def of(*chunks, error=None):
    for chunk in chunks:
        await asyncio.sleep(0)
        yield chunk
    if error is not None:
        raise error


def put(store, *chunks, error=None):
    return store.put(KEY, of(*chunks, error=error), lambda: {"Content-Type": "video/mp4"})


def sheet(**fields):
    return Stored(
        **{
            "file_id": "0b8fdd2c-68a8-4d43-8c4a-6f4c5a1e2b3d", "generation": "g/1", "url": "https://e.com/a.mp4",
            "kind": "video", "location": "file:///x", "bytes": 2, "sha256": "00", "content_type": "video/mp4",
            "stored_at": utcnow(), **fields,
        }
    )  # fmt: skip


def files(folder):
    return sorted(str(each.relative_to(folder)) for each in folder.rglob("*") if each.is_file())


async def test_what_was_put_can_be_read(store, tmp_path):
    assert await put(store, b"a", b"b")
    assert await store.size(KEY) == 2
    assert b"".join([chunk async for chunk in store.read(KEY)]) == b"ab"
    assert files(tmp_path / "store") == [KEY]


async def test_an_object_that_is_there_is_never_replaced(store, tmp_path):
    ends = await asyncio.gather(*(put(store, each) for each in (b"one", b"two", b"three")))
    assert sorted(ends) == [False, False, True]
    first = (tmp_path / "store" / KEY).read_bytes()
    assert not await put(store, b"four")
    assert (tmp_path / "store" / KEY).read_bytes() == first
    assert files(tmp_path / "store") == [KEY]


@pytest.mark.parametrize("error", [RetryLater("cut"), RejectRecord("not_media", "a page"), asyncio.CancelledError()])
async def test_what_breaks_off_leaves_nothing_and_says_why(store, tmp_path, error):
    with pytest.raises(type(error)):
        await put(store, b"x" * 6_000_000, b"y" * 6_000_000, error=error)
    assert await store.size(KEY) is None
    assert files(tmp_path / "store") == []


async def test_the_first_sheet_counts(store):
    assert await store.sheet(KEY) is None
    first = sheet()
    assert await store.vouch(KEY, first) == first
    assert await store.vouch(KEY, sheet(sha256="ff")) == first
    assert await store.sheet(KEY) == first


async def test_what_a_killed_process_left_is_removed_after_a_day(store, tmp_path):
    incoming = tmp_path / "store" / ".incoming"
    incoming.mkdir()
    for name, age in (("old#1", DAYS), ("new#1", 0)):
        (incoming / name).write_bytes(b"part")
        os.utime(incoming / name, (utcnow().timestamp() - age,) * 2)
    await store.sweep()
    assert files(tmp_path / "store") == [".incoming/new#1"]


async def test_a_store_that_cannot_be_written_is_away(store, tmp_path):
    (tmp_path / "store").rmdir()
    (tmp_path / "store").write_text("a file")
    with pytest.raises(StoreAway):
        await put(store, b"a")


@pytest.mark.parametrize("url", ["file:///dev/null/store", "s3://"])
def test_a_store_that_cannot_be_opened_stops_the_process(url):
    with pytest.raises(StopProcess):
        ObjectStore(StorageSettings(store_url=url))


def test_a_location_is_below_the_stores_own_url_or_the_one_it_is_served_under(tmp_path):
    plain = ObjectStore(StorageSettings(store_url=f"file://{tmp_path}/store"))
    assert plain.location(KEY) == f"file://{tmp_path}/store/{KEY}"
    served = ObjectStore(StorageSettings(store_url=str(tmp_path), location_base="https://media.example.com/"))
    assert served.location("a/ü.mp4") == "https://media.example.com/a/%C3%BC.mp4"


@pytest.mark.parametrize("key", [KEY, "a", "ä b/c%2F?d#e.mp4"])
@pytest.mark.parametrize("base", [None, "https://cdn.example/media/", "s3://bucket"])
def test_a_location_leads_back_to_its_key(tmp_path, key, base):
    store = ObjectStore(StorageSettings(store_url=f"file://{tmp_path}/store", location_base=base))
    assert store.key(store.location(key)) == key


def test_a_location_of_another_store_has_no_key_here(store, tmp_path):
    base = store.location("a").removesuffix("/a")
    for location in ("s3://bucket/a", f"{base}2/a", base, f"{base}/", tmp_path.as_uri()):
        assert store.key(location) is None


async def test_a_key_that_the_store_refuses_is_the_records_fault(store):
    with pytest.raises(RejectRecord) as refused:
        await store.size("a/../b.mp4")
    assert refused.value.reason == "bad_key"


async def test_a_sheet_is_written_although_its_task_is_cancelled_meanwhile(tmp_path):
    """As in a rebalance: the object is there by then, and an overtaken sheet would tell of other bytes."""
    begun, go_on = asyncio.Event(), asyncio.Event()

    class Held(ObjectStore):
        async def vouch(self, *args, **options):
            begun.set()
            await go_on.wait()
            return await super().vouch(*args, **options)

    class Host:
        @asynccontextmanager
        async def get(self, *_):
            body = b"\x00\x00\x00\x20ftypisom\x00\x00\x02\x00isomiso2avc1mp41"

            async def chunks(_):
                yield body

            content = SimpleNamespace(iter_chunked=chunks)
            yield SimpleNamespace(status=200, headers={}, content_length=len(body), content=content)

    settings = StorageSettings(store_url=str(tmp_path))
    asked = StorageRequest(**sheet().model_dump(include=set(StorageRequest.model_fields)))
    copying = asyncio.create_task(Copier(settings, Host(), Held(settings)).copy(asked, utcnow()))
    await begun.wait()
    copying.cancel()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await copying
    assert [each.name for each in tmp_path.rglob("*.json")] == ["g=2F1.mp4.json"]
