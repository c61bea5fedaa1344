"""Watches of one project on one stream: when they move there, that nothing is missed, and when they go back."""

import asyncio
import uuid

import pytest
from unit.upstream.fake_upstream import until

from schemas import Failure, Gap, Progress, Result, Snapshot

URL = "https://media.example/a.mp4"


class Project:
    """A few watches of one project, and what the upstream sees of them."""

    def __init__(self, upstream, letters, make_watch) -> None:
        self.id = str(uuid.uuid4())
        self.channel = f"project.{self.id}"
        self.files = [str(uuid.uuid4()) for _ in range(3)]
        self.upstream, self.letters = upstream, letters
        self.make = lambda number, **more: make_watch(self.files[number], project_id=self.id, **more)

    def open_channels(self) -> list[str]:
        """What somebody listens to at the server, most of all: `project`, or a file's number."""
        names = {self.channel: "project"} | {f"file.{each}": str(number) for number, each in enumerate(self.files)}
        lines = self.upstream.lines
        return sorted(names[each] for each in lines if any(not line.hung_up.is_set() for line in lines[each]))

    async def progress(self, number: int, percent: float, channel: str | None = None) -> None:
        """Said on the project's stream (or another), and heard."""
        told = len(self.letters.of(Progress))
        line = await self.upstream.line(channel or self.channel, len(self.upstream.lines[channel or self.channel]) or 1)
        await line.say("render_progress", {"progress": percent, "file_id": self.files[number]})
        await until(lambda: len(self.letters.of(Progress)) > told)

    def looks(self) -> list[int]:
        return [self.upstream.looks(each) for each in self.files]


@pytest.fixture
def project(upstream, letters, make_watch) -> Project:
    return Project(upstream, letters, make_watch)


async def share(fleet, project, count: int = 2) -> None:
    """So many watches, each on the project's stream, which has carried it."""
    for number in range(count):
        fleet.put(project.make(number))
        await until(lambda number=number: project.upstream.looks(project.files[number]) == 1)
    for number in range(count):
        await project.progress(number, 1)
    await until(lambda: project.open_channels() == ["project"])


async def test_one_watch_of_a_project_listens_to_its_file_alone(start, project):
    async with start() as fleet:
        fleet.put(project.make(0))
        await until(lambda: project.looks()[0] == 1)
        assert project.open_channels() == ["0"]


async def test_a_watch_moves_once_the_shared_stream_has_carried_its_file_and_not_before(start, project):
    async with start() as fleet:
        for number in range(2):
            fleet.put(project.make(number))
        await until(lambda: project.open_channels() == ["0", "1", "project"])
        await project.progress(0, 10)
        await until(lambda: project.open_channels() == ["1", "project"])
        await project.progress(1, 10, f"file.{project.files[1]}")
        await project.progress(0, 20)
        assert project.open_channels() == ["1", "project"], "the second was never carried"
        assert [each.progress for each in project.letters.of(Progress)] == [10, 10, 20]


async def test_moving_between_two_live_streams_is_no_gap_and_needs_no_look(start, project):
    async with start() as fleet:
        await share(fleet, project)
        assert project.looks() == [1, 1, 0]
        assert project.letters.of(Gap) == []


async def test_while_it_moves_a_watch_hears_both_streams(start, project):
    async with start(overlap_seconds=50) as fleet:
        for number in range(2):
            fleet.put(project.make(number))
        await until(lambda: project.open_channels() == ["0", "1", "project"])
        await project.progress(0, 10)
        await project.progress(0, 20, f"file.{project.files[0]}")
        await project.progress(0, 30)
        assert [each.progress for each in project.letters.of(Progress)] == [10, 20, 30]
        fleet.drop(project.files[0])
        await until(lambda: project.open_channels() == ["1", "project"])


async def test_by_setting_watches_move_as_soon_as_the_shared_stream_is_live(start, project):
    async with start(project_streams="always") as fleet:
        for number in range(2):
            fleet.put(project.make(number))
        await until(lambda: project.open_channels() == ["project"])
        fleet.put(project.make(2))
        await until(lambda: project.looks()[2] == 1)
        assert project.open_channels() == ["project"]
        assert len(project.upstream.lines[f"file.{project.files[2]}"]) == 0


async def test_by_setting_nothing_is_shared(start, project):
    async with start(project_streams="never") as fleet:
        for number in range(2):
            fleet.put(project.make(number))
        await until(lambda: project.looks() == [1, 1, 0])
        assert project.open_channels() == ["0", "1"]


async def test_a_project_id_that_is_no_uuid_is_no_channel(start, upstream, make_watch):
    async with start(project_streams="always") as fleet:
        files = [str(uuid.uuid4()) for _ in range(2)]
        for each in files:
            fleet.put(make_watch(each, project_id="../file/x"))
        await until(lambda: all(upstream.looks(each) == 1 for each in files))
        assert set(upstream.lines) == {f"file.{each}" for each in files}


async def test_the_shared_stream_goes_on_for_the_last_and_ends_with_it(start, project):
    async with start() as fleet:
        await share(fleet, project)
        fleet.drop(project.files[0])
        await project.progress(1, 50)
        assert project.open_channels() == ["project"]
        fleet.drop(project.files[1])
        await until(lambda: project.open_channels() == [])


async def test_a_shared_stream_that_is_lost_and_comes_back_is_a_gap_and_a_look_for_each(start, project):
    async with start() as fleet:
        await share(fleet, project)
        project.upstream.lines[project.channel][0].end()
        await until(lambda: project.looks() == [2, 2, 0])
        gaps = await until(lambda: len(project.letters.of(Gap)) == 2 and project.letters.of(Gap))
        assert {each.file_id for each in gaps} == set(project.files[:2])
        assert project.open_channels() == ["project"]


async def test_a_shared_stream_that_is_lost_while_a_watch_moves_there_leaves_it_on_its_own(start, project):
    async with start(overlap_seconds=0.5) as fleet:
        for number in range(2):
            fleet.put(project.make(number))
        await until(lambda: project.open_channels() == ["0", "1", "project"])
        await project.progress(0, 10)
        project.upstream.refuse_channels.add(project.channel)
        project.upstream.lines[project.channel][0].end()
        await until(lambda: not fleet._channels._overlaps)
        await project.progress(0, 20, f"file.{project.files[0]}")
        assert project.open_channels() == ["0", "1"]
        assert len(project.upstream.lines[f"file.{project.files[0]}"]) == 1


async def test_a_shared_stream_that_only_hopefuls_are_left_on_is_closed(start, project):
    async with start(trial_seconds=0.3) as fleet:
        await share(fleet, project)
        fleet.put(project.make(2))
        await until(lambda: project.open_channels() == ["2", "project"])
        for number in range(2):
            fleet.drop(project.files[number])
        await until(lambda: project.open_channels() == ["2"])


async def test_a_shared_stream_that_is_not_soon_back_gives_its_watches_to_their_own(start, project):
    async with start(poll_after_seconds=0.1, poll_steps_seconds=(50,)) as fleet:
        await share(fleet, project)
        refused = project.upstream.refuse_channels
        refused.add(project.channel)
        project.upstream.lines[project.channel][0].end()
        await until(lambda: project.open_channels() == ["0", "1"])
        await until(lambda: {each.file_id for each in project.letters.of(Gap)} == set(project.files[:2]))
        await project.progress(0, 70, f"file.{project.files[0]}")
        refused.clear()
        await until(lambda: "project" in project.open_channels())
        await project.progress(0, 80)
        await until(lambda: project.open_channels() == ["1", "project"])


async def test_a_shared_stream_that_carries_nothing_of_ours_is_closed_until_there_is_one_watch_more(start, project):
    async with start(trial_seconds=0.1) as fleet:
        for number in range(2):
            fleet.put(project.make(number))
        await project.upstream.line(project.channel)
        await until(lambda: project.open_channels() == ["0", "1"])
        fleet.drop(project.files[1])
        fleet.put(project.make(1))
        await until(lambda: project.looks()[1] == 2)
        assert len(project.upstream.lines[project.channel]) == 1
        fleet.put(project.make(2))
        await project.upstream.line(project.channel, 2)


async def test_an_end_that_names_no_file_is_one_look_for_each_watch_of_the_shared_stream(start, project):
    async with start(unnamed_gap_seconds=0) as fleet:
        await share(fleet, project)
        line = project.upstream.lines[project.channel][0]
        await line.say("task_status", {"status": "COMPLETED"})
        await until(lambda: project.looks() == [2, 2, 0])
        await line.say("error", "something")
        await until(lambda: project.looks() == [3, 3, 0])
        assert project.letters.of(Failure) == []


async def test_an_end_that_is_told_with_its_file_and_again_without_is_one_look_of_that_file(start, project):
    async with start(unnamed_gap_seconds=0, look_gap_seconds=5) as fleet:
        await share(fleet, project)
        line = project.upstream.lines[project.channel][0]
        task = {"id": str(uuid.uuid4()), "status": "completed", "file_id": project.files[0]}
        await line.say("task", task)
        await line.say("task_status", {"status": "COMPLETED"})
        await until(lambda: project.looks()[0] == 2)
        await project.progress(1, 50)
        await asyncio.sleep(0.1)
        assert project.looks() == [2, 1, 0]
        await line.say("task_status", {"status": "COMPLETED"})  # of whom, nobody has said
        await until(lambda: project.looks()[1] == 2)


async def test_progress_that_names_no_file_asks_for_looks_at_a_pace_and_not_of_what_has_its_url(start, project):
    async with start(unnamed_gap_seconds=50) as fleet:
        await share(fleet, project)
        line = project.upstream.lines[project.channel][0]
        await line.say("render_result", {"file_id": project.files[1], "url": URL})
        await until(lambda: project.letters.of(Result))
        for percent in range(20):
            await line.say("render_progress", {"progress": percent})
        await project.progress(0, 90)
        await until(lambda: project.looks()[0] == 2)
        await project.progress(0, 91)
        assert project.looks() == [2, 1, 0]


async def test_progress_that_names_no_file_asks_no_more_often_than_silence_does_and_an_end_at_once(start, project):
    async with start(unnamed_gap_seconds=0, events_seconds=50) as fleet:
        await share(fleet, project)
        line = project.upstream.lines[project.channel][0]
        await line.say("render_progress", {"progress": 20})
        await until(lambda: project.looks() == [2, 2, 0])
        for percent in range(30, 40):
            await line.say("render_progress", {"progress": percent})
        await project.progress(0, 90)
        await asyncio.sleep(0.1)
        assert project.looks() == [2, 2, 0]
        await line.say("task_status", {"status": "COMPLETED"})
        await until(lambda: project.looks() == [3, 3, 0])


async def test_a_new_generation_of_a_shared_file_is_heard_from_its_first_word(start, project):
    async with start() as fleet:
        await share(fleet, project)
        fleet.put(project.make(0, generation="two"))
        await until(lambda: project.looks() == [2, 1, 0])
        await project.progress(0, 5)
        assert project.letters.of(Progress)[-1].generation == "two"
        assert {each.generation for each in project.letters.of(Snapshot)[-1:]} == {"two"}
        await until(lambda: project.open_channels() == ["project"])


async def test_what_comes_of_files_that_nobody_watches_is_told_to_nobody(start, project):
    async with start() as fleet:
        await share(fleet, project)
        told = len(project.letters.observations)
        line = project.upstream.lines[project.channel][0]
        await line.say("render_result", {"file_id": str(uuid.uuid4()), "url": URL})
        await project.progress(0, 90)
        assert len(project.letters.observations) == told + 1


async def test_watches_that_come_and_go_leave_nothing_behind(start, project):
    async with start() as fleet:
        for _ in range(5):
            await share(fleet, project)
            for each in project.files[:2]:
                fleet.drop(each)
            await until(lambda: project.open_channels() == [])
            project.upstream.lines.clear()
            project.upstream.gets.clear()
        assert len(fleet._channels) == 0
        assert not fleet._channels._projects
        await asyncio.sleep(0.06)
        assert not fleet._channels._overlaps
