"""The readers of the gateway's benchmarks see what comes, what comes twice, and what does not come."""

import asyncio
import time

import orjson
import pytest
from benchmarks import gateway_jobs
from benchmarks.gateway_jobs import Files, job
from benchmarks.peers.gateway_readers import Crew, Plan

from schemas.codec import decode_job

FILES = Files(4, alone=2, together=2)
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n"


class Wire(asyncio.Transport):
    """What a reader writes to."""

    def __init__(self) -> None:
        super().__init__()
        self.sent = b""
        self.is_aborted = False

    def write(self, data: bytes) -> None:
        self.sent += data

    def abort(self) -> None:
        self.is_aborted = True


class Read:
    """A reader of both files of a project, connected to nobody."""

    def __init__(self, final: int = 3) -> None:
        self.crew = Crew(Plan(1, "s" * 32, list(FILES.readers())[2:], final))
        self.crew.start = lambda _: None
        self.reader = self.crew._readers[0]
        self.connect()

    def connect(self) -> None:
        self.wire = Wire()
        self.reader.connection_made(self.wire)

    def hear(self, *frames: bytes) -> None:
        for each in frames:
            self.reader.data_received(b"%x\r\n%b\r\n" % (len(each), each))

    @property
    def counts(self):
        return self.crew.counts


@pytest.fixture
def read():
    found = Read()
    found.reader.data_received(HEAD)
    return found


def told(number: int, version: int, message: str = "") -> bytes:
    return b"id: 0:%d.mark\nevent: job\ndata: %b\n\n" % (version, job(FILES, number, version, 3, message).value)


def test_documents_are_the_contracts_and_the_final_one_is_done():
    first, last = (decode_job(job(FILES, 3, version, 3, "at=1").value) for version in (1, 3))
    assert (first.status, last.status, last.outcome, last.version) == ("processing", "completed", "completed", 3)
    assert first.project_id == last.project_id == "project-0"
    assert decode_job(job(FILES, 0, 1, 3, "").value).project_id is None
    assert [each.key.decode() for each in gateway_jobs.begun(FILES)] == [FILES.file_id(each) for each in range(4)]


def test_each_file_has_a_reader_and_those_of_a_project_hear_all_of_its_files():
    channels = list(FILES.readers())
    assert [channel.split(".")[0] for channel, _ in channels] == ["file", "file", "project", "project"]
    assert channels[2] == channels[3] == ("project.project-0", [FILES.file_id(2), FILES.file_id(3)])


def test_a_reader_is_whole_when_it_has_the_last_state_of_each_of_its_files(read):
    read.hear(told(2, 1), told(2, 3), told(3, 1), told(3, 2))
    assert (read.counts.told, read.counts.skipped, read.counts.whole) == (4, 1, 0)
    read.hear(told(3, 3))
    assert read.counts.whole == 1
    assert 0 < read.counts.whole_at <= time.monotonic()
    assert read.counts.twice == 0


def test_what_a_reader_has_already_is_twice_in_an_event_and_in_a_snapshot(read):
    read.hear(told(2, 2), told(2, 2), told(2, 1))
    assert read.counts.twice == 2
    jobs = [orjson.loads(job(FILES, number, 2, 3, "").value) for number in (2, 3)]
    read.hear(b'event: gap\ndata: {}\n\nevent: snapshot\ndata: {"jobs":%b}\n\n' % orjson.dumps(jobs))
    assert (read.counts.twice, read.counts.gaps, read.counts.snapshots) == (3, 1, 1)


def test_frames_are_read_whole_however_they_are_cut(read):
    frame = told(2, 1)
    wire = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (frame[:70], frame[70:]))
    for at in range(0, len(wire), 7):
        read.reader.data_received(wire[at : at + 7])
    assert read.counts.told == 1


def test_the_delay_is_from_the_time_that_the_change_carries(read):
    read.hear(told(2, 1, f"at={time.time_ns() - 5_000_000}"))
    assert read.crew.delays[0] >= 5


async def test_a_reader_comes_back_with_the_last_id_it_was_given(read):
    assert b"Last-Event-ID" not in read.wire.sent
    read.hear(b"retry: 20\n\n", told(2, 1), b": ping\nid: 0:9.mark\n\n")
    read.reader.connection_lost(None)
    assert (read.counts.lost, read.counts.streams) == (1, 0)
    read.connect()
    assert b"Last-Event-ID: 0:9.mark\r\n" in read.wire.sent


def test_an_answer_that_is_no_stream_is_given_up(read):
    read.connect()
    read.reader.data_received(b"HTTP/1.1 503 Service Unavailable\r\n\r\n")
    assert read.wire.is_aborted
