"""What is asked for again, and what is found of a copy, without Kafka."""

import hashlib
from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner

from connectors.storage.settings import StorageSettings
from connectors.storage.store import ObjectStore, StoreAway
from rendercast.cli import main
from rendercast.reading import Extent
from rendercast.settings import Settings
from rendercast.storage_tools import verify as room
from rendercast.storage_tools.backfill import requests
from rendercast.storage_tools.told import Progress, Unreadable, name_of
from schemas import Completion, Job, StorageRequest, Stored
from schemas.errors import StopProcess
from streams.outputs import storage

FILE = "998d1234-5678-4abc-8def-0123456789ab"
AT = datetime(2026, 1, 2, tzinfo=UTC)
DAY = timedelta(days=1)
MEDIA, THUMBNAIL = "https://x.example/a.mp4", "https://x.example/a.jpg"
ENDED = {
    "file_id": FILE, "generation": "g", "kind": "video", "outcome": "completed", "url": MEDIA,
    "thumbnail_url": THUMBNAIL, "tracked_at": AT, "finished_at": AT,
}  # fmt: skip


def completion(**fields):
    return Completion(**{"id": "i", **ENDED, **fields})


def job(**fields):
    return Job(**{**ENDED, "version": 1, "status": "completed", "deadline_at": AT, "updated_at": AT, **fields})


def test_the_requests_are_those_that_the_processor_makes():
    document = job()
    made = (*storage(document, "media"), *storage(document, "thumbnail"))
    assert requests(document, AT, None) == requests(completion(), AT, None) == made


@pytest.mark.parametrize(
    ("fields", "since", "until", "roles"),
    [
        ({}, AT, None, ["media", "thumbnail"]),
        ({"thumbnail_url": None}, AT, None, ["media"]),
        ({"outcome": "failed", "url": None}, AT, None, []),
        ({"outcome": "superseded"}, AT, None, []),
        ({}, AT + DAY, None, []),
        ({}, AT - DAY, AT, []),
        ({}, AT - DAY, AT + DAY, ["media", "thumbnail"]),
    ],
)
def test_what_was_completed_in_that_time_is_asked_for(fields, since, until, roles):
    for ended in (completion(**fields), job(**fields)):
        assert [each.role for each in requests(ended, since, until)] == roles


def test_a_job_that_has_not_ended_asks_for_nothing():
    assert requests(job(outcome=None, finished_at=None), AT, None) == ()


def test_names_differ_by_file_generation_and_role():
    made = [
        StorageRequest(file_id=file_id, generation=generation, url=MEDIA, kind="video", role=role)
        for file_id in (FILE, FILE.replace("9", "8"))
        for generation in ("g", "h")
        for role in ("media", "thumbnail")
    ]
    assert len({name_of(each) for each in made}) == len(made)
    assert name_of(made[0]) == name_of(made[0].model_copy(update={"url": THUMBNAIL, "finished_at": AT}))


@pytest.fixture
def settings(tmp_path):
    return Settings(storage=StorageSettings(store_url=str(tmp_path / "store")))


@pytest.fixture
def copies(settings, monkeypatch):
    """What topic `stored` is said to tell."""
    told = []

    async def latest(*_):
        for each in told:
            yield each

    async def extent(*_, **__):
        return Extent({}, {})

    monkeypatch.setattr(room, "latest", latest)
    monkeypatch.setattr(room, "extent", extent)
    monkeypatch.setattr(room, "_RETRY_SECONDS", 0)
    return told


def stored(location, data=b"abc", **fields):
    return Stored(
        **{
            "file_id": FILE, "generation": "g", "url": MEDIA, "kind": "video", "location": location,
            "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest(), "content_type": "video/mp4",
            "stored_at": AT, **fields,
        }
    )  # fmt: skip


async def verified(settings, **options):
    options = {"quick": False, "concurrency": 2, **options}
    return [each async for each in room.verify(settings, Progress(), **options)]


async def test_each_copy_is_good_missing_damaged_or_elsewhere(settings, copies, tmp_path):
    store = ObjectStore(settings.storage)
    for name, data in (("good", b"abc"), ("long", b"abcd"), ("other", b"abd")):
        (tmp_path / "store" / name).write_bytes(data)
    copies += [stored(store.location(name)) for name in ("good", "gone", "long", "other")]
    copies += [stored("s3://bucket/good"), Unreadable("stored 0:1", "not JSON")]
    found = {
        each.location.rpartition("/")[2] if each.stored else each.location: each for each in await verified(settings)
    }
    states = {name: each.state for name, each in found.items() if name != "good"}
    assert states == {"gone": "missing", "long": "damaged", "other": "damaged", "stored 0:1": "unreadable"}
    assert "4 bytes, 3 were told" in found["long"].detail
    assert "sha256" in found["other"].detail
    assert "not JSON" in found["stored 0:1"].detail
    assert sorted(each.state for each in await verified(settings)) == [
        "damaged", "damaged", "elsewhere", "good", "missing", "unreadable",
    ]  # fmt: skip


async def test_a_quick_look_compares_sizes_only(settings, copies, tmp_path):
    store = ObjectStore(settings.storage)
    (tmp_path / "store" / "other").write_bytes(b"abd")
    copies.append(stored(store.location("other")))
    assert [each.state for each in await verified(settings, quick=True)] == ["good"]
    assert [each.state for each in await verified(settings)] == ["damaged"]


async def test_no_more_than_the_limit_are_looked_at_and_no_more_than_so_many_at_once(settings, copies, monkeypatch):
    now, most = 0, 0
    finding = room._finding

    async def counted(*arguments, **options):
        nonlocal now, most
        now += 1
        most = max(most, now)
        try:
            return await finding(*arguments, **options)
        finally:
            now -= 1

    monkeypatch.setattr(room, "_finding", counted)
    store = ObjectStore(settings.storage)
    copies += [stored(store.location(str(number))) for number in range(20)]
    assert len(await verified(settings, limit=9, concurrency=3)) == 9
    assert most == 3


async def test_what_fails_once_is_tried_again_and_a_store_that_is_away_ends_it(settings, copies, monkeypatch):
    fails = 2
    size = ObjectStore.size

    async def failing(self, key):
        nonlocal fails
        fails -= 1
        if fails >= 0:
            raise StoreAway("the object store does not answer: no")
        return await size(self, key)

    monkeypatch.setattr(ObjectStore, "size", failing)
    store = ObjectStore(settings.storage)
    copies += [stored(store.location(str(number))) for number in range(30)]
    assert {each.state for each in await verified(settings, limit=5)} == {"missing"}
    fails = 3
    found = await verified(settings, limit=5, concurrency=1)
    assert sorted(each.state for each in found) == ["missing"] * 4 + ["unreadable"]
    fails = 1_000
    with pytest.raises(StopProcess, match="10 objects in a row could not be read: the object store does not answer"):
        await verified(settings)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("backfill",), "--since"),
        (("backfill", "--since", "soon"), "a span before now"),
        (("verify", "--limit", "0"), "--limit"),
        (("verify", "--concurrency", "0"), "--concurrency"),
    ],
)
def test_a_wrong_option_of_storage_is_explained(arguments, word):
    result = CliRunner().invoke(main, ["storage", *arguments])
    assert (result.exit_code, result.stdout) == (2, "")
    assert word in result.stderr
