"""Event ids: what a reader gets that comes back with one."""

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("change"), st.integers(1, 4)),
        st.tuples(st.just("forget"), st.integers(1, 4)),
        st.tuples(st.sampled_from(("leave", "return", "restart")), st.just(0)),
    ),
    max_size=60,
)


@settings(max_examples=300, deadline=None)
@given(steps=STEPS, channel=st.sampled_from(("all", "project.p", "file.1")))
def test_a_reader_that_comes_and_goes_knows_in_the_end_what_one_that_stayed_knows(steps, channel):
    from tests_gateway_model import Model

    Model(channel).run(steps)
