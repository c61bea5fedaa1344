"""Exactly once, 4 and 5: one transaction for all of a step, under an id that nobody else has."""

from .mutation import Mutation, in_file, unit

LANES = "streams/exactly_once/lanes.py"
HELD = "streams/exactly_once/held.py"
STEP = "streams/step.py"

TRANSACTIONS = (
    Mutation(
        name="one transaction for all of it",
        point="exactly once 4",
        guards="A step's documents and outputs are committed together.",
        file=HELD,
        old="        for topic, batch in open_batches.items():\n",
        new="        for topic, batch in open_batches.items():\n"
        "            await producer.commit_transaction()\n"
        "            await producer.begin_transaction()\n",
        tests=unit("test_held", "test_a_step_is_one_transaction_that_commits_when_everything_has_been_delivered"),
    ),
    Mutation(
        name="everything is delivered before the commit",
        point="exactly once 4",
        guards="A record that the broker has refused is not missing from a committed step.",
        file=HELD,
        old="        await asyncio.gather(*sent)\n        await producer.commit_transaction()\n",
        new="        await producer.commit_transaction()\n"
        "        await asyncio.gather(*sent, return_exceptions=True)\n",
        tests=unit(
            "test_held",
            "test_a_step_is_one_transaction_that_commits_when_everything_has_been_delivered",
            "test_what_is_not_delivered_is_not_committed",
        ),
    ),
    Mutation(
        name="dead letters are of the same transaction",
        point="exactly once 4",
        guards="A bad record is told of with its step, and the partition goes on.",
        file=STEP,
        old="                self._bury(effects, record, error)\n                continue\n",
        new="                raise error\n",
        tests=unit("test_step", "test_poison_becomes_a_dead_letter_and_the_step_goes_on"),
    ),
    Mutation(
        name="a key that is not the value's",
        point="exactly once 4",
        guards="What is written under another file's key changes no document.",
        file=STEP,
        old="    if record.key != key:\n",
        new="    if False:\n",
        tests=unit("test_step", "test_poison_becomes_a_dead_letter_and_the_step_goes_on"),
    ),
    Mutation(
        name="one transactional id per partition",
        point="exactly once 5",
        guards="An owner that was frozen fails at its next write, because the next one took the partition's id.",
        file=HELD,
        old='            transactional_id=f"{app_id}-{number}",',
        new='            transactional_id=f"{app_id}-{number}-{id(engine)}-{time.time_ns()}",',
        tests=unit("test_held", "test_each_partition_has_a_transactional_id_of_its_own_and_every_owner_the_same"),
    ),
    Mutation(
        name="one transactional id per partition, on Kafka",
        point="exactly once 5",
        guards="A frozen owner that wakes is fenced: what it had in hand is not announced a second time.",
        file=HELD,
        old='            transactional_id=f"{app_id}-{number}",',
        new='            transactional_id=f"{app_id}-{number}-{id(engine)}-{time.time_ns()}",',
        tests=in_file(
            "tests/integration/prove/test_fencing_on_kafka.py",
            "test_an_owner_that_wakes_after_another_has_taken_its_partition_commits_nothing_more",
        ),
    ),
    Mutation(
        name="fencing comes before loading",
        point="exactly once 5",
        guards="A row that the old owner commits late is not missing from ours.",
        file=LANES,
        old="                await asyncio.gather(*[self._fence(number, fenced) for number in new])\n"
        "                async with asyncio.timeout(self.settings.load_timeout):\n"
        "                    rows = await self._load(new)\n",
        new="                async with asyncio.timeout(self.settings.load_timeout):\n"
        "                    rows = await self._load(new)\n"
        "                await asyncio.gather(*[self._fence(number, fenced) for number in new])\n",
        tests=unit("test_lanes", "test_every_old_owner_is_fenced_before_the_first_row_is_read"),
    ),
    Mutation(
        name="nothing is left behind by a failed load",
        point="exactly once 5",
        guards="A producer of a partition that is not ours does not live on.",
        file=LANES,
        old="                await asyncio.gather(*[held.release() for held in fenced.values()])\n",
        new="",
        tests=unit("test_lanes", "test_a_load_that_fails_leaves_no_producer_behind"),
    ),
    Mutation(
        name="what is not wanted is let go",
        point="exactly once 5",
        guards="A partition of somebody else is not held.",
        file=LANES,
        old="            await self.release(set(self.held) - kept)\n",
        new="",
        tests=unit("test_lanes", "test_what_is_not_wanted_any_more_is_released_before_anything_is_taken"),
    ),
    Mutation(
        name="one assignment at a time",
        point="exactly once 5",
        guards="An assignment that is cut short has let go before the next one takes.",
        file=LANES,
        old="        async with self._assigning:\n",
        new="        if True:\n",
        tests=unit("test_lanes", "test_a_second_assignment_waits_until_the_first_has_ended"),
    ),
)
