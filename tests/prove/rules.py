"""The rules of the state machine, each switched off."""

from .mutation import Mutation, unit

MACHINE = "streams/machine.py"
OUTPUTS = "streams/outputs.py"


def by_example(*names: str) -> tuple[str, ...]:
    return unit("test_rules", *names)


RULES = (
    Mutation(
        name="the same generation again",
        point="rule 1",
        guards="A Track that is repeated changes nothing.",
        file=MACHINE,
        old="    if job.generation in (generation, track.upstream_generation_id):\n        return True\n",
        new="",
        tests=by_example("TestGeneration::test_the_same_track_again_changes_nothing"),
    ),
    Mutation(
        name="ended generations are remembered",
        point="rule 1",
        guards="A Track of an earlier generation does not begin it again.",
        file=MACHINE,
        old="    if any(each.generation == generation for each in job.earlier):\n",
        new="    if False:\n",
        tests=by_example("TestGeneration::test_a_track_of_an_earlier_generation_changes_nothing"),
    ),
    Mutation(
        name="an unfinished generation is superseded",
        point="rule 1",
        guards="No generation ends in silence when the next one begins.",
        file=MACHINE,
        old="_remember(ended), (completion(ended), *artifacts(ended)))",
        new="_remember(ended), ())",
        tests=by_example(
            "TestGeneration::test_a_new_generation_starts_afresh_and_ends_an_unfinished_one_as_superseded"
        ),
    ),
    Mutation(
        name="an overtaken Track",
        point="rule 1",
        guards="A Track that was issued long before the current one does not replace it.",
        file=MACHINE,
        old="    if track.issued_at < job.tracked_at - OVERTAKEN:\n",
        new="    if False:\n",
        tests=by_example("TestGeneration::test_a_track_that_was_overtaken_ends_as_superseded_and_leaves_the_job_alone"),
    ),
    Mutation(
        name="a Track without ids joins",
        point="rule 1",
        guards="Two callers that name no generation do not supersede each other.",
        file=MACHINE,
        old='    return job.outcome in (None, "completed")  # it names',
        new="    return False  # it names",
        tests=by_example(
            "TestGeneration::test_a_track_without_ids_joins_what_is_there_but_not_what_ended_without_a_url"
        ),
    ),
    Mutation(
        name="what was seen under an earlier watch",
        point="rule 2",
        guards="An observation of an earlier generation's watch changes nothing.",
        file=MACHINE,
        old="    if event.generation is not None and event.generation != job.generation:\n        return True\n",
        new="",
        tests=by_example("TestStaleEvidence::test_what_was_seen_under_the_earlier_watch_changes_nothing"),
    ),
    Mutation(
        name="an earlier generation's URL",
        point="rule 2",
        guards="The URL that is still served for a while does not complete the regenerated file.",
        file=MACHINE,
        old="        (url is not None and url == each.url)\n        or (",
        new="        (",
        tests=by_example("TestStaleEvidence::test_the_earlier_url_changes_nothing"),
    ),
    Mutation(
        name="an earlier upstream generation",
        point="rule 2",
        guards="What the upstream says of an earlier generation changes nothing.",
        file=MACHINE,
        old="or (upstream_generation_id is not None and upstream_generation_id == each.upstream_generation_id)",
        new="",
        tests=by_example("TestStaleEvidence::test_the_earlier_upstream_generation_changes_nothing"),
    ),
    Mutation(
        name="an earlier task",
        point="rule 2",
        guards="The error of an earlier generation's task does not fail the new one.",
        file=MACHINE,
        old='''    """Rules 4 and 5: the newest task in error is the end; all tasks completed is not."""
    if event.task_id is not None and any(event.task_id == each.task_id for each in job.earlier):
        return _same(job, "stale")
    if status == "error":
        return _fail(job, event)
''',
        new="""    if status == "error":
        return _told(_end(job, event.observed_at, "failed", "upstream"))
""",
        tests=by_example("TestStaleEvidence::test_the_error_of_an_earlier_task_changes_nothing"),
    ),
    Mutation(
        name="a URL of the job's kind",
        point="rule 3",
        guards="A reference image does not complete a video.",
        file=MACHINE,
        old="event.url is not None and is_right_kind(job.kind, event.url, event.content_type, event.kind)",
        new="event.url is not None",
        tests=by_example("TestCompleted::test_only_a_url_of_the_jobs_kind_counts"),
    ),
    Mutation(
        name="the first URL wins",
        point="rule 3",
        guards="Later evidence of a completed job announces nothing.",
        file=MACHINE,
        old='    if job.outcome is not None:\n        return _after_the_end(job, cast("Observation", event))\n',
        new="",
        tests=by_example(
            "TestCompleted::test_a_url_of_the_right_kind_completes_once", "TestFailed::test_nothing_changes_a_failure"
        ),
    ),
    Mutation(
        name="an outcome's id is derived",
        point="rule 3",
        guards="Whoever reads an outcome twice can tell.",
        file=OUTPUTS,
        old="        id=outcome_id(job.file_id, job.generation, job.outcome),",
        new="        id=outcome_id(job.file_id, str(job.version), job.outcome),",
        tests=by_example("TestCompleted::test_a_url_of_the_right_kind_completes_once"),
    ),
    Mutation(
        name="an error that names no file",
        point="rule 4",
        guards="Somebody else's error does not fail the job.",
        file=MACHINE,
        old='    return _fail(job, event) if event.named else _same(job, "not_named")',
        new="    return _fail(job, event)",
        tests=by_example("TestFailed::test_an_error_that_names_no_file_is_no_verdict"),
    ),
    Mutation(
        name="all tasks completed",
        point="rule 5",
        guards="A flow without a URL yet is no end.",
        file=MACHINE,
        old='    if status == "error":\n',
        new='    if status in ("error", "completed"):\n',
        tests=by_example("TestTaskEndedWithoutUrl::test_it_is_not_an_end"),
    ),
    Mutation(
        name="progress only grows",
        point="rule 6",
        guards="A late or repeated report does not put the bar back.",
        file=MACHINE,
        old='    if event.progress <= job.progress and job.status == "processing":\n',
        new="    if False:\n",
        tests=by_example("TestProgress::test_it_only_grows_and_never_completes"),
    ),
    Mutation(
        name="the deadline ends the job",
        point="rule 7",
        guards="A job that nobody answers for ends.",
        file=MACHINE,
        old='    return _told(_end(job, event.observed_at, "timed_out", "timed_out"))',
        new='    return _same(job, "nothing_new")',
        tests=by_example("TestDeadline::test_expiry_ends_the_job_as_timed_out"),
    ),
    Mutation(
        name="a late URL is marked",
        point="rule 7",
        guards="Readers can tell a completion after a time-out.",
        file=MACHINE,
        old='        late=job.outcome == "timed_out",',
        new="        late=False,",
        tests=by_example("TestDeadline::test_a_url_still_wins_once_and_is_marked_late"),
    ),
    Mutation(
        name="a late URL wins",
        point="rule 7",
        guards="A result that comes after the deadline is not lost.",
        file=MACHINE,
        old='            return _complete(job, event) or _same(job, "after_end")',
        new='            return _same(job, "after_end")',
        tests=by_example("TestDeadline::test_a_url_still_wins_once_and_is_marked_late"),
    ),
    Mutation(
        name="checks of one second are one",
        point="rule 8",
        guards="Impatient callers do not multiply the upstream's load.",
        file=MACHINE,
        old="    if job.checked_at is not None and abs(check.issued_at - job.checked_at) < CHECK_INTERVAL:\n"
        '        return _same(job, "repeated")\n',
        new="",
        tests=by_example("TestCheck::test_ten_in_a_second_are_one"),
    ),
    Mutation(
        name="a check on a timed-out job",
        point="rule 8",
        guards="A time-out can be looked at again.",
        file=MACHINE,
        old='    elif job.outcome not in (None, "timed_out"):',
        new="    elif job.outcome is not None:",
        tests=by_example("TestCheck::test_on_a_timed_out_job_it_looks_once_more_and_a_late_url_wins"),
    ),
    Mutation(
        name="a check of a URL that is the job's",
        point="rule 8",
        guards="Of many checks for one expired URL the first fresh one is enough.",
        file=MACHINE,
        old='if job.outcome != "completed" or check.expired_url not in (job.url, job.thumbnail_url):',
        new='if job.outcome != "completed":',
        tests=by_example("TestFreshUrl::test_a_url_that_is_not_the_jobs_any_more_is_not_asked_about"),
    ),
    Mutation(
        name="a fresh URL only where asked for",
        point="rule 11",
        guards="A completed job keeps its URL, whatever is seen of its file.",
        file=MACHINE,
        old="    if job.watching and event.url != job.url and _is_media(job, event):",
        new="    if event.url != job.url and _is_media(job, event):",
        tests=by_example("TestFreshUrl::test_nobody_asked_so_another_url_changes_nothing"),
    ),
    Mutation(
        name="the old URL stays known",
        point="rule 2",
        guards="A URL that was replaced by a fresh one is stale for the next generation, too.",
        file=MACHINE,
        old="        fields.update(url=event.url, earlier=(*job.earlier, old)[-MAX_EARLIER:])",
        new="        fields.update(url=event.url)",
        tests=by_example("TestFreshUrl::test_the_old_url_is_stale_for_a_later_generation"),
    ),
    Mutation(
        name="cancel ends the watch",
        point="rule 9",
        guards="What was cancelled is not watched any more.",
        file=MACHINE,
        old="(completion(ended), EndWatch(ended.file_id), *artifacts(ended), *more)",
        new="(completion(ended), *artifacts(ended), *more)",
        tests=by_example("TestCancel::test_it_ends_job_and_watch"),
    ),
    Mutation(
        name="cancel of another generation",
        point="rule 9",
        guards="A Cancel that comes late does not end the next generation.",
        file=MACHINE,
        old='    if cancel.generation not in (None, job.generation):\n        return _same(job, "stale")\n',
        new="",
        tests=by_example("TestCancel::test_of_another_generation_it_does_nothing"),
    ),
    Mutation(
        name="an unknown file",
        point="rule 10",
        guards="An observation of a file that nobody tracks raises nothing.",
        file=MACHINE,
        old='    if job is None:\n        return Advance(None, (), "unknown")\n',
        new="",
        tests=by_example("TestUnknownFile::test_nothing_is_told_of_a_file_nobody_tracks"),
    ),
    Mutation(
        name="a thumbnail is no second completion",
        point="rule 11",
        guards="A thumbnail that comes later is shown and announces nothing.",
        file=MACHINE,
        old='return Advance(shown, (*end, *artifacts(shown), *media, *thumbnail), "advanced")',
        new='return Advance(shown, (completion(shown), *end, *artifacts(shown), *media, *thumbnail), "advanced")',
        tests=by_example("TestAfterTheEnd::test_a_thumbnail_is_added_once_and_makes_no_second_completion"),
    ),
    Mutation(
        name="only what has finished long ago",
        point="rule 12",
        guards="An unfinished job, or a fresh one, is not forgotten.",
        file=MACHINE,
        old="    if job.finished_at is None or job.finished_at >= event.finished_before:\n"
        '        return _same(job, "nothing_new")\n',
        new="",
        tests=(
            *by_example("TestForgetting::test_only_a_job_that_finished_before_is_forgotten"),
            *unit(
                "test_step",
                "TestForgetting::test_any_other_job_is_left_as_it_is_and_nothing_is_told",
            ),
        ),
    ),
    Mutation(
        name="a watch ends with its job",
        point="rule 12",
        guards="Nothing is watched of a file that was forgotten.",
        file=MACHINE,
        old='(EndWatch(job.file_id),) if job.watching else (), "forgotten"',
        new='(), "forgotten"',
        tests=unit(
            "test_step",
            "TestForgetting::test_a_watch_that_was_still_asked_for_ends_with_it",
        ),
    ),
    Mutation(
        name="a forged time in a text",
        point="rule 12",
        guards="What a prompt says is not when a job finished.",
        file="streams/forgetting.py",
        old='            document = documents.get(key, b"")\n',
        new='            document = documents.get(key, b"").replace(b"\\\\", b"")\n',
        tests=unit("test_forgetting", "test_a_text_that_looks_like_a_time_fools_nobody[prompt]"),
    ),
    Mutation(
        name="slices of one pass",
        point="rule 12",
        guards="Forgetting takes a bounded time between two steps.",
        file="streams/forgetting.py",
        old="                if len(due) == FORGET:\n                    break\n",
        new="",
        tests=unit("test_forgetting", "test_a_slice_looks_at_so_many_and_forgets_so_many"),
    ),
)
