"""Event ids: what a reader gets that comes back with one."""

import asyncio
from datetime import timedelta

import orjson
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from connectors.gateway import frames
from connectors.gateway.board import Board
from connectors.gateway.positions import MAX_CHARS, pack, unpack
from connectors.gateway.settings import GatewaySettings
from schemas.codec import encode

LIMIT = 5
QUICK = {"queue_changes": LIMIT, "resume_seconds": 0.05}


class Log:
    """The topic in memory, which gateways read from its beginning, and the past that they read again."""

    def __init__(self, job, now, **bounds):
        self.records, self.boards = [], []
        self.reads = 0
        self._job, self._now, self._settings = job, now, GatewaySettings(**QUICK | bounds)
        self.during_reads = lambda: None

    def gateway(self, topic="made once", lost=None):
        board = Board(self._settings, lambda: self._now, self)
        self.load(board, topic, lost)
        self.boards.append(board)
        return board

    def load(self, board, topic="made once", lost=None):
        board.begin_anew(topic, lost)
        for record in self.records:
            board.read(*record)
        board.has_loaded()

    def tell(self, partition, number, *, forget=False, to=None, **fields):
        """One record, for the gateways named or for all; its place."""
        offset = max((record[1] for record in self.records if record[0] == partition), default=-1) + 1
        job = self._job(number, **fields)
        self.records.append((partition, offset, job.file_id.encode(), None if forget else encode(job)))
        for board in self.boards if to is None else to:
            board.read(*self.records[-1])
        return f"{partition}:{offset}"

    async def read(self, ranges, gathered):
        self.reads += 1
        for record in list(self.records):
            begin, end = ranges.get(record[0], (0, 0))
            if begin <= record[1] < end:
                gathered.take(*record)
        self.during_reads()
        await asyncio.sleep(0)
        return not gathered.useless

    def compact(self, below):
        """Of each file only its last record stays, below that place in the list."""
        last = {record[2]: record for record in self.records[:below]}
        self.records[:below] = [each for each in self.records[:below] if last[each[2]] is each]


@pytest.fixture
def log(job, now):
    return Log(job, now)


async def begin(board, last_event_id, *channels):
    """The frames of a reader that joins, as (event, id, data)."""
    with board.joined(channels) as subscriber:
        since = None if last_event_id is None else await board.since(subscriber, last_event_id)
        return [parse(frame) for frame in board.beginning(subscriber, since)]


def parse(frame):
    fields = dict(line.split(": ", 1) for line in frame.decode().strip().split("\n"))
    return fields["event"], fields.get("id"), orjson.loads(fields["data"])


def names(frames):
    return [event for event, _, _ in frames]


def told(frames):
    """Where each event stands in the topic, and its progress."""
    return [(at.partition(".")[0], data.get("progress")) for _, at, data in frames]


async def test_an_id_begins_with_its_place_in_the_topic(log, file_id):
    board = log.gateway()
    log.tell(3, 1)
    log.tell(0, 2)
    for channel, place in ((f"file.{file_id(1)}", "3:0"), ("all", "0:0")):
        [(event, at, data)] = await begin(board, None, channel)
        assert (event, at.partition(".")[0]) == ("snapshot", place)
        assert file_id(1) in [each["file_id"] for each in data["jobs"]]


@pytest.mark.parametrize("channel", ["file", "project.p", "all"])
async def test_a_reader_gets_the_last_state_of_what_changed_meanwhile_at_any_gateway(log, file_id, channel):
    channel = f"file.{file_id(1)}" if channel == "file" else channel
    first, second = log.gateway(), log.gateway()
    log.tell(0, 2, project_id="p")
    log.tell(1, 1, project_id="p")
    [(_, at, _)] = await begin(first, None, channel)
    for progress in (10, 20):
        log.tell(1, 1, project_id="p", progress=progress)
    log.tell(0, 3, project_id="q")
    assert (
        await begin(second, at, channel) == await begin(first, at, channel) == await begin(log.gateway(), at, channel)
    )
    expected = [("1:2", 20), ("0:1", 0)] if channel == "all" else [("1:2", 20)]
    assert told(await begin(second, at, channel)) == expected
    assert log.reads == 0


async def test_gateways_that_read_the_partitions_in_another_order_mean_the_same(log):
    first, second = log.gateway(), log.gateway()
    with first.joined(("all",)) as reader:
        first.beginning(reader)
        log.tell(0, 1, to=[first])
        log.tell(1, 2, to=[first])
        log.tell(0, 3, to=[first])
        [_, middle, _] = [first.event_ids(("all",)).of(each) for each in reader.take()]
    for record in (log.records[0], log.records[2], log.records[1]):
        second.read(*record)
    assert told(await begin(second, middle, "all")) == [("0:1", 0)]


async def test_who_is_cut_off_while_being_told_what_was_missed_goes_on_from_there(log):
    board = log.gateway()
    log.tell(0, 9)
    log.tell(1, 9)
    [(_, at, _)] = await begin(board, None, "all")
    for number in range(4):
        log.tell(number % 2, number)
    all_of_them = await begin(board, at, "all")
    assert len(all_of_them) == 4
    for count, (_, cut_off_at, _) in enumerate(all_of_them, 1):
        assert await begin(log.gateway(), cut_off_at, "all") == all_of_them[count:]


async def test_what_another_gateway_has_told_already_is_waited_for_and_not_told_again(job, now):
    log = Log(job, now, resume_seconds=30)
    ahead, behind = log.gateway(), log.gateway()
    log.tell(0, 1)
    place = log.tell(1, 2, to=[ahead])
    [(_, at, _)] = await begin(ahead, None, "all")
    assert at.startswith(place)
    coming = asyncio.create_task(begin(behind, at, "all"))
    await asyncio.sleep(0)
    assert not coming.done()
    behind.read(*log.records[-1])
    assert await asyncio.wait_for(coming, 10) == []


async def test_an_id_from_beyond_the_end_brings_a_gap_in_time(log, file_id):
    """As after the topic has lost its end, or of a gateway whose topic was another one with the same mark."""
    ahead, board = log.gateway(), log.gateway()
    for channel in ("all", f"file.{file_id(1)}"):
        log.tell(0, 1, to=[ahead])
        [(_, at, _)] = await begin(ahead, None, channel)
        assert await begin(board, at, channel) == [
            ("gap", None, {"reason": "unknown"}),
            *await begin(board, None, channel),
        ]


async def test_markers_behind_the_last_record_hold_nobody_up(log):
    ahead, board = log.gateway(), log.gateway()
    log.tell(0, 1)
    ahead.passed({0: 2, 1: 1})
    [(_, at, _)] = await begin(ahead, None, "all")
    board.passed({0: 2, 1: 1})
    assert await begin(board, at, "all") == []


MALFORMED = [
    "", "0", "0:-1", "0:0", "0:0:0", "0:0@00000000", "0:0.", "0:0.short", "0:" + "9" * 400, "\u0660:\u0661", "0:0\n",
    "a0000000-0000-4000-8000-000000000001", "9" * 5000,
]  # fmt: skip


@pytest.mark.parametrize("last_event_id", MALFORMED)
async def test_rubbish_brings_a_gap_and_a_fresh_snapshot(log, file_id, last_event_id):
    board = log.gateway()
    log.tell(0, 1, progress=40)
    for channel in ("all", f"file.{file_id(1)}"):
        (gap, no_id, why), (snapshot, at, data) = await begin(board, last_event_id, channel)
        assert (gap, no_id, why) == ("gap", None, {"reason": "malformed"})
        assert (snapshot, at.partition(".")[0], data["jobs"][0]["progress"]) == ("snapshot", "0:0", 40)


async def test_an_id_counts_on_its_own_channels_and_for_its_own_topic_only(log, file_id):
    board = log.gateway()
    log.tell(0, 1, project_id="p")
    log.tell(0, 2, project_id="p")
    sets = (("project.p",), ("project.q",), ("project.p", "user.u"), (f"file.{file_id(1)}",), (f"file.{file_id(2)}",))
    for mine in sets:
        [(_, at, _)] = await begin(board, None, *mine)
        if at is None:
            continue
        for other in sets:
            expected = [] if mine == other else ["gap", "snapshot"]
            assert names(await begin(board, at, *other)) == expected
        assert await begin(board, at, *reversed(mine)) == []
        assert names(await begin(log.gateway("made anew"), at, *mine)) == ["gap", "snapshot"]


async def test_an_unknown_file_has_an_empty_snapshot_whatever_the_id(log, file_id):
    board = log.gateway()
    for last_event_id, events in ((None, ["snapshot"]), ("0:5", ["gap", "snapshot"])):
        frames = await begin(board, last_event_id, f"file.{file_id(9)}")
        assert names(frames) == events
        assert frames[-1][1:] == (None, {"channels": [f"file.{file_id(9)}"], "total": 0, "jobs": []})


async def test_more_than_a_queue_holds_is_not_poured_over_the_reader(log):
    board = log.gateway()
    log.tell(0, 0)
    [(_, at, _)] = await begin(board, None, "all")
    for number in range(LIMIT):
        log.tell(0, number)
    assert names(await begin(board, at, "all")) == ["job"] * LIMIT
    log.tell(1, LIMIT)
    gap, snapshot = await begin(board, at, "all")
    assert (gap[2], snapshot[0]) == ({"reason": "too far back"}, "snapshot")


async def test_a_channel_without_jobs_can_be_resumed_too(log):
    board = log.gateway()
    log.tell(0, 1, project_id="q")
    [(_, at, _)] = await begin(board, None, "project.p")
    log.tell(1, 2, project_id="p")
    assert names(await begin(board, at, "project.p")) == ["job"]


async def test_a_partition_that_is_new_is_told_as_a_whole(log):
    board = log.gateway()
    log.tell(0, 1)
    [(_, at, _)] = await begin(board, None, "all")
    place = log.tell(2, 2)
    assert told(await begin(board, at, "all")) == [(place, 0)]


async def test_forgetting_is_told_as_gone(log, file_id):
    board = log.gateway()
    log.tell(0, 1, project_id="p")
    for channel in (f"file.{file_id(1)}", "project.p", "all"):
        [(_, at, _)] = await begin(board, None, channel)
        log.tell(0, 1, forget=True)
        [(event, gone_at, data)] = await begin(board, at, channel)
        assert (event, data) == ("gone", {"file_id": file_id(1)})
        assert await begin(log.gateway(), gone_at, channel) == []
        log.tell(0, 1, project_id="p")


async def test_a_tombstone_whose_document_was_compacted_away_may_have_been_anybodys(log):
    board = log.gateway()
    log.tell(0, 1, project_id="p")
    log.tell(1, 2, project_id="p")
    [(_, at, _)] = await begin(board, None, "project.p")
    log.tell(0, 1, forget=True)
    assert names(await begin(log.gateway(), at, "project.p")) == ["gone"]
    log.compact(len(log.records))
    restarted = log.gateway()
    assert names(await begin(restarted, at, "project.p")) == ["gap", "snapshot"]
    [(_, at, _)] = await begin(restarted, None, "project.p")
    assert await begin(restarted, at, "project.p") == []


async def test_a_tombstone_of_a_job_that_was_not_held_anyway_is_nobodys_loss(job, now):
    log = Log(job, now, finished_for_seconds=60)
    log.tell(0, 1, outcome="completed", finished_at=now - timedelta(seconds=60))
    log.tell(1, 2)
    [(_, at, _)] = await begin(log.gateway(), None, "all")
    log.tell(0, 1, forget=True)
    assert await begin(log.gateway(), at, "all") == []


async def test_before_what_kafka_surely_still_has_there_is_a_gap_except_for_a_file_that_is_held(log, file_id):
    board = log.gateway()
    log.tell(0, 1, project_id="p")
    ids = {channel: (await begin(board, None, channel))[0][1] for channel in (f"file.{file_id(1)}", "project.p")}
    log.tell(0, 1, project_id="p", progress=50)
    log.tell(0, 2)
    later = log.gateway(lost={0: 2})
    [gap, _] = await begin(later, ids["project.p"], "project.p")
    assert gap[2] == {"reason": "too far back"}
    assert told(await begin(later, ids[f"file.{file_id(1)}"], f"file.{file_id(1)}")) == [("0:1", 50)]
    assert names(await begin(log.gateway(lost={0: 1}), ids["project.p"], "project.p")) == ["job"]


async def test_evicted_jobs_come_from_kafka_in_their_order(job, now, file_id):
    log = Log(job, now, max_jobs=2)
    board = log.gateway()
    log.tell(0, 1, project_id="p")
    log.tell(1, 2, project_id="p")
    [(_, at, _)] = await begin(board, None, "project.p")
    log.tell(0, 1, project_id="p", progress=10)
    log.tell(0, 3, project_id="q")
    log.tell(0, 1, project_id="p", outcome="completed", progress=100)
    for number in (4, 5):
        log.tell(1, number, project_id="q")
    log.tell(0, 5, project_id="p", progress=5)
    for each in (board, log.gateway()):
        assert told(await begin(each, at, "project.p")) == [("0:3", 100), ("0:4", 5)]
    assert log.reads == 2


async def test_an_evicted_file_comes_from_kafka_alone(job, now, file_id):
    log = Log(job, now, max_jobs=1)
    board = log.gateway()
    log.tell(0, 1)
    [(_, at, _)] = await begin(board, None, f"file.{file_id(1)}")
    log.tell(0, 1, outcome="failed")
    log.tell(0, 2)
    [(event, place, data)] = await begin(board, at, f"file.{file_id(1)}")
    assert (event, place.partition(".")[0], data["outcome"]) == ("job", "0:1", "failed")
    assert await begin(board, place, f"file.{file_id(1)}") == []


async def test_what_is_evicted_while_kafka_is_read_is_read_too(job, now):
    log = Log(job, now, max_jobs=1)
    board = log.gateway()
    log.tell(0, 1, project_id="p")
    [(_, at, _)] = await begin(board, None, "project.p")
    log.tell(0, 2, project_id="p")
    log.tell(0, 9)

    def more():
        log.during_reads = lambda: None
        log.tell(0, 3, project_id="p", progress=3)
        log.tell(0, 1, project_id="p", progress=1)
        log.tell(0, 4)

    log.during_reads = more
    assert told(await begin(board, at, "project.p")) == [("0:1", 0), ("0:3", 3), ("0:4", 1)]
    assert log.reads == 2


async def test_a_job_that_went_elsewhere_is_not_told_of_by_what_it_was(job, now):
    log = Log(job, now, max_jobs=1)
    board = log.gateway()
    log.tell(0, 1, project_id="p")
    [(_, at, _)] = await begin(board, None, "project.p")
    log.tell(0, 1, project_id="p", progress=1)
    log.tell(0, 1, project_id="q", generation="g2")
    log.tell(0, 2)
    assert await begin(board, at, "project.p") == []


async def test_where_kafka_cannot_be_read_within_the_bounds_there_is_a_gap(job, now):
    log = Log(job, now, max_jobs=1)
    board = log.gateway()
    log.tell(0, 1)
    [(_, at, _)] = await begin(board, None, "all")
    for number in range(LIMIT + 1):
        log.tell(0, number)
    assert names(await begin(board, at, "all")) == ["gap", "snapshot"]
    never = asyncio.Event()

    async def read(ranges, gathered):
        await never.wait()

    log.read = read
    assert names(await begin(board, at, "all")) == ["gap", "snapshot"]


async def test_who_waits_for_what_was_missed_is_told_when_all_is_read_anew(job, now):
    log = Log(job, now, resume_seconds=30)
    ahead, behind = log.gateway(), log.gateway()
    log.tell(0, 1, to=[ahead])
    [(_, at, _)] = await begin(ahead, None, "all")
    with behind.joined(("all",)) as reader:
        coming = asyncio.create_task(behind.since(reader, at))
        await asyncio.sleep(0)
        behind.begin_anew()
        await asyncio.wait_for(coming, 10)
        assert reader.ended == "reading anew"


offsets = st.lists(st.integers(0, 2**47), max_size=64)


@given(offsets)
def test_a_position_can_be_packed_and_unpacked(offsets):
    packed = pack(offsets)
    assert len(packed) <= MAX_CHARS
    assert unpack(packed) == offsets


@given(st.one_of(st.text(max_size=50), st.from_regex(r"[A-Za-z0-9_-]{0,60}", fullmatch=True)))
@example("A" * 5000)
@example("__8AAAAAAAAA")
def test_what_was_not_packed_is_unpacked_to_nothing_or_to_offsets(text):
    found = unpack(text)
    assert found is None or all(0 <= each < 2**49 for each in found)


@pytest.mark.parametrize(("partitions", "chars"), [(8, 35), (32, 103), (64, 194)])
def test_an_id_grows_with_the_partitions(partitions, chars):
    """Ten million records in each, give or take a hundred thousand."""
    assert len(pack([10_000_000 + (each * 7919) % 100_000 for each in range(partitions)])) <= chars


async def test_with_too_many_partitions_a_file_is_resumed_and_the_rest_begins_anew(log, file_id):
    board = log.gateway()
    log.tell(1023, 1)
    board.passed({each: each * 10**9 for each in range(1024)})
    [(_, at, _)] = await begin(board, None, "all")
    assert len(at) < 50
    assert names(await begin(board, at, "all")) == ["gap", "snapshot"]
    [(_, at, _)] = await begin(board, None, f"file.{file_id(1)}")
    assert await begin(board, at, f"file.{file_id(1)}") == []


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
async def test_no_id_at_all_is_worse_than_a_gap(data, job, now, file_id):
    """Real ids with characters changed, cut, doubled; and texts of their kind."""
    log = Log(job, now, resume_seconds=0.001)
    board = log.gateway()
    log.tell(0, 1)
    log.tell(1, 2)
    channel = data.draw(st.sampled_from(("all", f"file.{file_id(1)}")))
    [(_, at, _)] = await begin(board, None, channel)
    cut = data.draw(st.integers(0, len(at)))
    like = st.text("0123456789:.-_AZaz", max_size=30)
    last_event_id = data.draw(
        st.one_of(
            like,
            st.text(max_size=20),
            like.map(lambda some: at[:cut] + some + data.draw(st.sampled_from(("", at[cut:])))),
        )
    )
    assert names(await begin(board, last_event_id, channel)) in ([], ["job"], ["job", "job"], ["gap", "snapshot"])


class Reader:
    """A topic, two gateways that can restart, and a client that keeps what it was told and its last event id."""

    def __init__(self, channel, job, file_id, now):
        self.channel = f"file.{file_id(1)}" if channel == "file" else channel
        self.log = Log(job, now, queue_changes=3, max_jobs=3)
        self.at = 0
        self.boards = [self.log.gateway(), self.log.gateway()]
        self.known, self.last_id, self.staying = {}, None, None

    async def come(self):
        if self.staying is None:
            board = self.boards[self.at]
            self.staying = board.joined((self.channel,))
            self.subscriber = self.staying.__enter__()
            since = None if self.last_id is None else await board.since(self.subscriber, self.last_id)
            self.hear(board.beginning(self.subscriber, since))

    def leave(self):
        if self.staying is not None:
            self.staying.__exit__(None, None, None)
            self.staying = None

    def restart(self):
        self.leave()
        self.log.load(self.boards[self.at])

    def elsewhere(self):
        self.leave()
        self.at = 1 - self.at

    def write(self, number, *, forget):
        version = len(self.log.records) + 1
        self.log.tell(number % 2, number, forget=forget, version=version, project_id="p" if number < 4 else "q")
        if self.staying is not None:
            ids = self.boards[self.at].event_ids((self.channel,))
            self.hear([frames.job(each, ids.of(each)) for each in self.subscriber.take()])

    def hear(self, told):
        for event, at, data in map(parse, told):
            self.last_id = at or self.last_id
            if event == "snapshot":
                self.known = {each["file_id"]: each["version"] for each in data["jobs"]}
            elif event == "gone":
                self.known.pop(data["file_id"], None)
            elif event == "job":
                assert data["version"] > self.known.get(data["file_id"], 0), "told twice, or out of order"
                self.known[data["file_id"]] = data["version"]

    def lacks(self):
        """Jobs that the gateway would show and the reader does not know like that."""
        found = self.boards[self.at].view.find((self.channel,), 100).jobs
        truth = {each.file_id: orjson.loads(each.body)["version"] for each in found}
        return {file: version for file, version in truth.items() if self.known.get(file) != version}

    def knows_too_much(self):
        """Jobs that have changed, or were forgotten, since what the reader knows of them."""
        last = {key.decode(): value and orjson.loads(value)["version"] for _, _, key, value in self.log.records}
        return {file for file, version in self.known.items() if last[file] not in (None, version)}


NUMBERS = st.integers(1, 5)
STEPS = st.one_of(
    st.tuples(st.sampled_from(("change", "change", "forget")), NUMBERS),
    st.sampled_from(("leave", "come", "restart", "elsewhere")),
)


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEPS, max_size=60), channel=st.sampled_from(("all", "project.p", "file")))
async def test_a_reader_that_comes_and_goes_ends_up_with_the_truth_and_hears_nothing_twice(
    steps, channel, job, file_id, now
):
    reader = Reader(channel, job, file_id, now)
    for step in steps:
        match step:
            case "leave":
                reader.leave()
            case "come":
                await reader.come()
            case "restart":
                reader.restart()
            case "elsewhere":
                reader.elsewhere()
            case what, number:
                reader.write(number, forget=what == "forget")
        if reader.staying is not None:
            assert not reader.lacks()
            assert not reader.knows_too_much()
    await reader.come()
    assert not reader.lacks()
    assert not reader.knows_too_much()
