"""Event ids: what a reader gets that comes back with one."""

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.gateway import frames
from connectors.gateway.board import Board
from connectors.gateway.settings import GatewaySettings
from schemas.codec import encode


@pytest.fixture
def board(now):
    board = Board(GatewaySettings(recent_changes=10, queue_changes=5), lambda: now)
    board.has_loaded()
    return board


@pytest.fixture
def tell(board, job):
    """tell(partition, offset, number, **fields): one record."""

    def tell(partition, offset, number, **fields):
        record = job(number, **fields)
        board.read(partition, offset, record.file_id.encode(), encode(record))

    return tell


def begin(board, last_event_id, *channels):
    """The frames of a reader that joins, as (event, id, data)."""
    with board.joined(channels) as subscriber:
        return [parse(frame) for frame in board.beginning(subscriber, last_event_id)]


def parse(frame):
    fields = dict(line.split(": ", 1) for line in frame.decode().strip().split("\n"))
    return fields["event"], fields.get("id"), orjson.loads(fields["data"])


def names(frames):
    return [event for event, _, _ in frames]


def test_the_id_of_a_file_is_its_place_in_the_topic(board, tell, file_id):
    tell(3, 17, 1)
    [(event, at, data)] = begin(board, None, f"file.{file_id(1)}")
    assert (event, at) == ("snapshot", "3:17")
    assert [each["file_id"] for each in data["jobs"]] == [file_id(1)]


def test_a_reader_of_a_file_gets_exactly_what_it_missed(board, tell, file_id):
    for offset, (number, progress) in enumerate([(1, 0), (1, 10), (2, 5), (1, 20), (1, 30)]):
        tell(0, offset, number, progress=progress)
    frames = begin(board, "0:1", f"file.{file_id(1)}")
    assert [(event, at, data["progress"]) for event, at, data in frames] == [("job", "0:3", 20), ("job", "0:4", 30)]


def test_who_missed_nothing_gets_nothing_even_when_its_change_is_no_longer_among_the_recent(board, tell, file_id):
    tell(0, 0, 1)
    for offset in range(1, 20):
        tell(0, offset, 2, progress=offset)
    assert begin(board, "0:0", f"file.{file_id(1)}") == []


def test_the_place_survives_a_restart_of_the_gateway(board, tell, file_id):
    tell(0, 0, 1)
    tell(0, 1, 1, progress=10)
    board.begin_anew()
    board.has_loaded()
    tell(0, 0, 1)
    tell(0, 1, 1, progress=10)
    assert [at for _, at, _ in begin(board, "0:0", f"file.{file_id(1)}")] == ["0:1"]


@pytest.mark.parametrize(
    ("last_event_id", "reason"),
    [
        ("0:2", "unknown"),  # another file's
        ("1:0", "unknown"),  # another partition's
        ("0:99", "unknown"),  # not written yet, or of a topic that is no more
        ("0:1", "unknown"),  # compacted away: the reading began behind it
        ("999999999:999999999999999999", "unknown"),
        ("", "malformed"),
        ("0", "malformed"),
        ("0:-1", "malformed"),
        ("0:0:0", "malformed"),
        ("0:0@xyz", "malformed"),
        ("0:" + "9" * 400, "malformed"),
        ("\u0660:\u0661", "malformed"),
        ("0:0\n", "malformed"),
        ("a0000000-0000-4000-8000-000000000001", "malformed"),
    ],
)
def test_an_id_that_says_nothing_here_brings_a_gap_and_a_fresh_snapshot(board, tell, file_id, last_event_id, reason):
    tell(0, 2, 2)
    tell(0, 3, 1, progress=40)
    (gap, no_id, why), (snapshot, at, data) = begin(board, last_event_id, f"file.{file_id(1)}")
    assert (gap, no_id, why, snapshot, at) == ("gap", None, {"reason": reason}, "snapshot", "0:3")
    assert data["jobs"][0]["progress"] == 40


def test_an_unknown_file_has_an_empty_snapshot_whatever_the_id(board, file_id):
    for last_event_id, events in ((None, ["snapshot"]), ("0:5", ["gap", "snapshot"])):
        frames = begin(board, last_event_id, f"file.{file_id(9)}")
        assert names(frames) == events
        assert frames[-1][2] == {"channels": [f"file.{file_id(9)}"], "total": 0, "jobs": []}


def test_more_than_a_queue_holds_is_not_poured_over_the_reader(board, tell, file_id):
    for offset in range(7):
        tell(0, offset, 1, progress=offset)
    frames = begin(board, "0:0", f"file.{file_id(1)}")
    assert [frames[0][2]["reason"], *names(frames)] == ["too far back", "gap", "snapshot"]


def test_a_project_is_followed_over_partitions_in_the_order_it_was_read(board, tell):
    tell(0, 0, 1, project_id="p")
    [(_, at, _)] = begin(board, None, "project.p")
    tell(1, 0, 2, project_id="p")
    tell(0, 1, 3, project_id="q")
    tell(0, 2, 1, project_id="p", progress=5)
    frames = begin(board, at, "project.p")
    assert [(event, place.partition("@")[0]) for event, place, _ in frames] == [("job", "1:0"), ("job", "0:2")]


def test_a_project_without_jobs_can_be_resumed_too(board, tell):
    tell(0, 0, 1, project_id="q")
    [(_, at, _)] = begin(board, None, "project.p")
    tell(0, 1, 2, project_id="p")
    assert names(begin(board, at, "project.p")) == ["job"]


def test_an_id_of_a_project_counts_in_its_own_process_and_on_its_own_channel_only(board, tell, file_id):
    tell(0, 0, 1, project_id="p")
    [(_, at, _)] = begin(board, None, "project.p")
    assert begin(board, at, "project.p") == []
    assert names(begin(board, at, "project.q")) == ["gap", "snapshot"]
    assert names(begin(board, at, "project.p", "user.u")) == ["gap", "snapshot"]
    assert names(begin(board, "0:0", "project.p")) == ["gap", "snapshot"]
    board.begin_anew()
    board.has_loaded()
    tell(0, 0, 1, project_id="p")
    assert names(begin(board, at, "project.p")) == ["gap", "snapshot"]


def test_forgetting_is_told_as_gone(board, tell, file_id):
    tell(0, 0, 1)
    board.read(0, 1, file_id(1).encode(), None)
    assert begin(board, "0:0", f"file.{file_id(1)}") == [("gone", "0:1", {"file_id": file_id(1)})]


class Reader:
    """A topic, a gateway that can restart, and a client that keeps what it was told and its last event id."""

    def __init__(self, channel, job, file_id, clock):
        self.channel = f"file.{file_id(1)}" if channel == "file" else channel
        self.job, self.file_id = job, file_id
        self.topic = []
        self.board = Board(GatewaySettings(recent_changes=6, queue_changes=3), clock)
        self.board.has_loaded()
        self.known, self.last_id, self.staying = {}, None, None
        self.come()

    def come(self):
        if self.staying is None:
            self.staying = self.board.joined((self.channel,))
            self.subscriber = self.staying.__enter__()
            self.hear(self.board.beginning(self.subscriber, self.last_id))

    def leave(self):
        if self.staying is not None:
            self.staying.__exit__(None, None, None)
            self.staying = None

    def restart(self):
        self.leave()
        self.board.begin_anew()
        for record in self.topic:
            self.board.read(*record)
        self.board.has_loaded()

    def write(self, number, *, forget):
        partition = number % 2
        offset = sum(record[0] == partition for record in self.topic)
        record = self.job(number, version=len(self.topic) + 1, project_id="p" if number < 4 else "q")
        self.topic.append((partition, offset, record.file_id.encode(), None if forget else encode(record)))
        self.board.read(*self.topic[-1])
        if self.staying is not None:
            ending = self.board.ending((self.channel,))
            self.hear([frames.job(each, ending) for each in self.subscriber.take()])

    def hear(self, told):
        for event, at, data in map(parse, told):
            self.last_id = at or self.last_id
            if event == "snapshot":
                self.known = {each["file_id"]: each["version"] for each in data["jobs"]}
            elif event == "gone":
                del self.known[data["file_id"]]
            elif event == "job":
                assert data["version"] > self.known.get(data["file_id"], 0), "told twice, or out of order"
                self.known[data["file_id"]] = data["version"]

    def truth(self):
        found = self.board.view.find((self.channel,), 100).jobs
        return {each.file_id: orjson.loads(each.body)["version"] for each in found}


NUMBERS = st.integers(1, 4)
STEPS = st.one_of(
    st.tuples(st.sampled_from(("change", "forget")), NUMBERS), st.sampled_from(("leave", "come", "restart"))
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=st.lists(STEPS, max_size=60), channel=st.sampled_from(("all", "project.p", "file")))
def test_a_reader_that_comes_and_goes_ends_up_with_the_truth_and_hears_nothing_twice(steps, channel, job, file_id, now):
    reader = Reader(channel, job, file_id, lambda: now)
    for step in steps:
        match step:
            case "leave":
                reader.leave()
            case "come":
                reader.come()
            case "restart":
                reader.restart()
            case what, number:
                reader.write(number, forget=what == "forget")
        if reader.staying is not None:
            assert reader.known == reader.truth()
    reader.come()
    assert reader.known == reader.truth()
