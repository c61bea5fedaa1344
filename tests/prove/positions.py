"""Exactly once, 6: what has been applied is not applied again."""

from .mutation import Mutation, in_file, unit

TRANSPORT = "streams/exactly_once/transport.py"
LANES = "streams/exactly_once/lanes.py"
STEP = "streams/step.py"
ON_KAFKA = "tests/integration/streams/test_exactly_once.py"

POSITIONS = (
    Mutation(
        name="the offset to commit",
        point="exactly once 6",
        guards="The group's offset is behind the last batch that was acked, not before it.",
        file=TRANSPORT,
        old="return max(acked) + 1 if acked else None",
        new="return min(acked) if acked else None",
        tests=unit("test_transport", "test_the_offset_to_commit_is_behind_the_last_ack_and_is_told_once"),
    ),
    Mutation(
        name="a source topic made anew",
        point="exactly once 6",
        guards="Positions of a deleted topic do not hide the events of the new one in silence.",
        file=TRANSPORT,
        old="            if (committed[tp] or 0) > end[tp]:\n",
        new="            if False:\n",
        tests=unit("test_transport", "test_a_commit_behind_the_end_needs_an_operator"),
    ),
    Mutation(
        name="positions hide what was applied",
        point="exactly once 6",
        guards="What comes again, after a crash or because an operator has put the offsets back, is not applied again.",
        file=STEP,
        old="            if offset <= applied.get(source, -1):\n",
        new="            if False:\n",
        tests=unit(
            "test_step",
            "TestPositions::test_whatever_comes_again_is_a_replay_and_is_not_even_read",
            "TestForgetting::test_the_whole_story_of_a_forgotten_job_again_tells_nothing",
        ),
    ),
    Mutation(
        name="positions are of the same transaction",
        point="exactly once 6",
        guards="Nothing is committed without the positions that it stands for.",
        file=STEP,
        old="        if effects.out:\n",
        new="        if effects.documents:\n",
        tests=unit("test_step", "TestPositions::test_every_transaction_tells_the_last_offset_of_each_source"),
    ),
    Mutation(
        name="positions of steps that changed nothing",
        point="exactly once 6",
        guards="The next transaction tells how far everything has been applied, not only its own step.",
        file=STEP,
        old="for source, position in {**rows.positions, **effects.positions}.items()",
        new="for source, position in effects.positions.items()",
        tests=unit(
            "test_step",
            "TestPositions::test_every_transaction_tells_the_last_offset_of_each_source",
            "TestForgetting::test_a_finished_job_becomes_a_tombstone_in_effects_that_tell_the_positions_too",
        ),
    ),
    Mutation(
        name="documents know what they have applied",
        point="exactly once 6",
        guards="Should the positions be lost, what a document has applied is a replay all the same.",
        file=STEP,
        old="            if job is not None and offset <= job.applied.get(source, -1):\n",
        new="            if False:\n",
        tests=unit(
            "test_step",
            "TestPositions::test_should_they_be_lost_the_documents_know_what_they_have_applied",
            "test_within_one_step_the_second_of_two_equal_offsets_is_a_replay",
        ),
    ),
    Mutation(
        name="what was applied outlives a generation",
        point="exactly once 6",
        guards="A new generation does not forget what of its file was applied.",
        file=STEP,
        old="{**(job.applied if job is not None else {}), source: offset}",
        new="{source: offset}",
        tests=unit("test_step", "test_positions_are_kept_from_one_generation_to_the_next"),
    ),
    Mutation(
        name="positions are read at recovery",
        point="exactly once 6",
        guards="A new owner knows how far its predecessors were.",
        file=LANES,
        old="{source.decode(): Position.decode(value) for source, value in positions[number].items()},",
        new="",
        tests=unit("test_lanes", "test_rows_and_positions_are_those_of_the_two_topics"),
    ),
    Mutation(
        name="a source that ends where it was applied",
        point="exactly once 6",
        guards="A source topic that was made anew is not read as a replay of the old one.",
        file=LANES,
        old="made_anew = {tp for tp, position in applied.items() if position.offset >= places[tp].end}",
        new="made_anew = set[TP]()",
        tests=unit(
            "test_lanes",
            "TestSourcesMadeAnew::test_one_that_ends_at_or_below_what_was_applied_stops_the_process",
        ),
    ),
    Mutation(
        name="a source that has grown again",
        point="exactly once 6",
        guards="A source topic that was made anew and is longer than the old one is not read as a replay of it.",
        file=LANES,
        old="            if found != applied[tp].timestamp:\n",
        new="            if False:\n",
        tests=unit(
            "test_lanes",
            "TestSourcesMadeAnew::test_without_a_commit_the_record_that_was_applied_last_has_to_be_there",
        ),
    ),
    Mutation(
        name="positions, on Kafka",
        point="exactly once 6",
        guards="Group offsets that are put back to the beginning announce nothing again.",
        file=STEP,
        old="            if offset <= applied.get(source, -1):\n"
        "                effects.replays += 1\n"
        "                continue\n"
        "            last[source] = record\n"
        "            try:\n"
        "                key, event = _read(record, decode)\n"
        "            except RejectRecord as error:\n"
        "                self._bury(effects, record, error)\n"
        "                continue\n"
        "            job = jobs[key] if key in jobs else rows.job(key)\n"
        "            if job is not None and offset <= job.applied.get(source, -1):\n",
        new="            last[source] = record\n"
        "            try:\n"
        "                key, event = _read(record, decode)\n"
        "            except RejectRecord as error:\n"
        "                self._bury(effects, record, error)\n"
        "                continue\n"
        "            job = jobs[key] if key in jobs else rows.job(key)\n"
        "            if False:\n",
        tests=in_file(ON_KAFKA, "test_group_offsets_put_back_to_the_beginning_announce_nothing_again"),
    ),
)
