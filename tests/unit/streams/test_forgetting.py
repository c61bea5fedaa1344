"""The chore of a lane: what has finished long ago is found, all of it and nothing else, a slice at a time."""

from datetime import timedelta
from types import SimpleNamespace

import pytest

from schemas import Job, utcnow
from schemas.codec import encode
from streams import forgetting as room
from streams.forgetting import BREATH, Forgetting
from streams.rows import Rows

RETENTION = 1_000


def document(ago=None, **fields):
    """A job's document; `ago` seconds since it finished, None while it has not."""
    begun = utcnow() - timedelta(days=30)
    if ago is not None:
        fields |= {"status": "completed", "outcome": "completed", "finished_at": utcnow() - timedelta(seconds=ago)}
    return encode(
        Job(
            **{
                "file_id": "998d1234-5678-4abc-8def-0123456789ab", "generation": "r1", "version": 1, "kind": "video",
                "status": "processing", "deadline_at": begun, "tracked_at": begun, "updated_at": begun, **fields,
            }
        )
    )  # fmt: skip


class Partition:
    """Rows, and what was asked to be forgotten of them."""

    def __init__(self, monkeypatch, **documents):
        self.rows = Rows({name.encode(): value for name, value in documents.items()})
        self.slices, self.before = [], []
        monkeypatch.setattr(room.random, "uniform", lambda first, last: last)
        self.forgetting = Forgetting(RETENTION, self.forget)

    async def forget(self, held, keys, before):
        assert held.rows is self.rows
        self.slices.append([key.decode() for key in keys])
        self.before.append(before)
        for key in keys:
            self.rows.documents.pop(key, None)

    async def work(self):
        return await self.forgetting(SimpleNamespace(rows=self.rows))

    async def whole_pass(self):
        """The pauses between its slices; the last one is until the next pass."""
        pauses = [await self.work()]
        while pauses[-1] == BREATH:
            pauses.append(await self.work())
        return pauses


@pytest.fixture
def partition(monkeypatch):
    def make(**documents):
        return Partition(monkeypatch, **documents)

    return make


async def test_not_all_partitions_of_a_process_begin_at_once(partition):
    made = partition(due=document(RETENTION + 9))
    assert await made.work() == RETENTION / 10
    assert made.slices == []


async def test_exactly_the_jobs_that_finished_before_the_retention_time_are_forgotten(partition):
    made = partition(
        long_ago=document(86_400), just_due=document(RETENTION + 1), not_yet=document(RETENTION - 5),
        just_now=document(0), unfinished=document(), timed_out=document(RETENTION + 1, watching=True),
    )  # fmt: skip
    await made.work()
    before = utcnow() - timedelta(seconds=RETENTION)
    assert await made.whole_pass() == [RETENTION / 10]
    assert made.slices == [["long_ago", "just_due", "timed_out"]]
    assert before <= made.before[0] <= utcnow() - timedelta(seconds=RETENTION)


@pytest.mark.parametrize("field", ["prompt", "message"])
async def test_a_text_that_looks_like_a_time_fools_nobody(partition, field):
    old = '"finished_at":"2001-01-01T00:00:00.000Z"'
    made = partition(
        unfinished=document(**{field: old}), fresh=document(0, **{field: old}),
        due=document(86_400, **{field: old.replace("2001", "2199")}),
        key_like=document(applied={"finished_at": 5}),
    )  # fmt: skip
    await made.work()
    await made.whole_pass()
    assert made.slices == [["due"]]


async def test_a_slice_looks_at_so_many_and_forgets_so_many(partition, monkeypatch):
    monkeypatch.setattr(room, "LOOK_AT", 10)
    monkeypatch.setattr(room, "FORGET", 4)
    old, new = document(86_400), document(0)
    made = partition(**{f"old{number}": old for number in range(9)}, **{f"new{number}": new for number in range(25)})
    await made.work()
    pauses = await made.whole_pass()
    assert [len(each) for each in made.slices] == [4, 4, 1]
    assert len(pauses) == 5  # 4 and 4 found, 10 and 10 looked at, 6 left
    assert pauses[-1] == RETENTION / 10
    assert not any(name.startswith(b"old") for name in made.rows.documents)


async def test_the_next_pass_finds_what_has_come_since(partition):
    made = partition(first=document(86_400))
    await made.work()
    await made.whole_pass()
    made.rows.documents[b"second"] = document(86_400)
    await made.whole_pass()
    assert made.slices == [["first"], ["second"]]
    assert made.before[0] <= made.before[1]


async def test_what_changes_during_a_pass_is_seen_as_it_is_then(partition, monkeypatch):
    monkeypatch.setattr(room, "LOOK_AT", 1)
    made = partition(a=document(0), tracked_again=document(86_400), gone=document(86_400), ended=document())
    await made.work()
    assert await made.work() == BREATH
    made.rows.documents[b"tracked_again"] = document()
    made.rows.documents[b"ended"] = document(86_400)
    made.rows.documents[b"came_new"] = document(86_400)
    del made.rows.documents[b"gone"]
    await made.whole_pass()
    assert made.slices == [["ended"]]


@pytest.mark.parametrize(("retention", "interval"), [(0.01, 0.2), (50, 5), (7 * 86_400, 600)])
async def test_a_pass_begins_ten_times_in_a_retention_time_within_bounds(monkeypatch, retention, interval):
    made = Partition(monkeypatch)
    made.forgetting = Forgetting(retention, made.forget)
    assert await made.work() == interval
    assert await made.work() == interval
