"""Exactly once, 2, 3, 6 and 7 in a lane: its chain, the order of its topics, its steps and its end."""

from .mutation import Mutation, unit

LANE = "streams/exactly_once/lane.py"
QUEUE = "streams/exactly_once/source_queue.py"

LANES = (
    Mutation(
        name="the lane checks the chain again",
        point="exactly once 2",
        guards="A batch that Faust lost between consumer and lane ends the process.",
        file=LANE,
        old="        if batch.start != queue.position:\n",
        new="        if False:\n",
        tests=unit("test_lane", "test_a_batch_that_does_not_follow_ends_the_process"),
    ),
    Mutation(
        name="the lane checks the rebalance again",
        point="exactly once 2",
        guards="A batch that waited in Faust's queues over a rebalance is dropped.",
        file=LANE,
        old="        if batch.epoch != self._epoch:\n",
        new="        if False:\n",
        tests=unit("test_lane", "test_a_batch_of_another_rebalance_is_dropped"),
    ),
    Mutation(
        name="the order of two topics",
        point="exactly once 3",
        guards="Of two topics the older record comes first.",
        file=QUEUE,
        old="        while stop < last and records[stop].timestamp <= until:\n",
        new="        while stop < last:\n",
        tests=unit(
            "test_source_queue",
            "test_records_come_in_the_order_of_their_timestamps_and_commands_first_among_equals",
        ),
    ),
    Mutation(
        name="commands first among equals",
        point="exactly once 3",
        guards="A Track and an observation of the same millisecond: the Track comes first.",
        file=QUEUE,
        old="ready[1][0] - (ready[1][1] < first) if",
        new="ready[1][0] if",
        tests=unit(
            "test_source_queue",
            "test_records_come_in_the_order_of_their_timestamps_and_commands_first_among_equals",
        ),
    ),
    Mutation(
        name="one topic waits for the other",
        point="exactly once 3",
        guards="A worker that finds a backlog does not read observations before their Track.",
        file=QUEUE,
        old="    while len(records) < most and not any(queue.is_behind for queue in queues):",
        new="    while len(records) < most:",
        tests=(
            *unit(
                "test_source_queue",
                "test_nothing_is_taken_while_another_topic_is_known_to_have_more",
            ),
            *unit("test_lane", "test_one_topic_waits_for_another_that_is_known_to_have_more"),
        ),
    ),
    Mutation(
        name="it learns of more before the end",
        point="exactly once 3",
        guards="The wait knows what has come to the other topic since the lane began.",
        file=LANE,
        old="            self._queues[each].end = max(self._queues[each].end, end)\n",
        new="            pass\n",
        tests=unit("test_lane", "test_it_learns_from_every_batch_how_far_the_other_topic_reaches"),
    ),
    Mutation(
        name="no wait is for ever",
        point="exactly once 3",
        guards="A topic whose rest never comes does not stop the other.",
        file=LANE,
        old="                self._give_up()\n",
        new="                pass\n",
        tests=unit("test_lane", "test_it_gives_up_waiting_though_the_others_keep_coming"),
    ),
    Mutation(
        name="a lane's bound",
        point="exactly once 3",
        guards="A partition that is slower than its topic does not fill the memory.",
        file=LANE,
        old="            self._flow.on_buffer_full(tp)\n",
        new="            pass\n",
        tests=unit("test_lane", "test_a_full_lane_closes_its_tap_and_opens_it_when_there_is_room"),
    ),
    Mutation(
        name="no batch is forgotten beside the chore",
        point="exactly once 3",
        guards="What comes while a chore works is not left until the next batch.",
        file=LANE,
        old="                if not records and not finished:\n                    await self._wait()\n",
        new="                if not records and not finished:\n                    self._more.clear()\n"
        "                    await self._wait()\n",
        tests=unit("test_lane", "TestChore::test_a_batch_that_comes_while_it_works_is_not_forgotten"),
    ),
    Mutation(
        name="acks follow the step",
        point="exactly once 6",
        guards="An offset is committed only after what it stands for has been.",
        file=LANE,
        old="                records, finished = merge(tuple(self._queues.values()), self._settings.step_records)\n",
        new="                records, finished = merge(tuple(self._queues.values()), self._settings.step_records)\n"
        "                [event.ack() for event in finished]\n",
        tests=unit(
            "test_lane",
            "test_what_waits_is_one_step_and_is_acked_after_it",
            "test_a_step_that_fails_or_hangs_ends_the_process",
        ),
    ),
    Mutation(
        name="a step has a deadline",
        point="exactly once 7",
        guards="A step that hangs ends the process, and somebody else goes on.",
        file=LANE,
        old="                    async with asyncio.timeout(self._settings.step_timeout):\n"
        "                        await self._step(self._held, records)\n",
        new="                    await self._step(self._held, records)\n",
        tests=unit("test_lane", "test_a_step_that_fails_or_hangs_ends_the_process"),
    ),
    Mutation(
        name="a step that fails ends the process",
        point="exactly once 7",
        guards="A lane does not die while its process lives on.",
        file=LANE,
        old='            end_process_after(error, "a step failed", partition=self._held.number)',
        new="            del error",
        tests=unit(
            "test_lane",
            "test_a_step_that_fails_or_hangs_ends_the_process",
            "TestChore::test_one_that_fails_or_hangs_ends_the_process[fails]",
        ),
    ),
    Mutation(
        name="the step in hand ends first",
        point="exactly once 7",
        guards="A partition goes when its step has ended and is acked, not in the middle of it.",
        file=LANE,
        old="        _, unfinished = await asyncio.wait({self._task}, timeout=self._settings.step_timeout)",
        new="        unfinished = self._task.cancel() and not self._task",
        tests=unit("test_lane", "test_closing_ends_the_step_in_hand_and_drops_what_waits"),
    ),
    Mutation(
        name="what waits is dropped at closing",
        point="exactly once 7",
        guards="A partition that is taken away is not worked on any more.",
        file=LANE,
        old="        self._closing = True\n",
        new="        self._closing = not any(queue.waiting for queue in self._queues.values())\n",
        tests=unit("test_lane", "test_closing_ends_the_step_in_hand_and_drops_what_waits"),
    ),
)
