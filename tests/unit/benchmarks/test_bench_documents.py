"""Figures that need no broker: rule and codec alone, and the documents that recovery reads."""

from itertools import islice

from benchmarks import recovery, rule, work

from schemas.codec import decode_job, encode


def test_every_stage_of_an_event_is_measured():
    found = rule.measure(work.make(8), repeats=2)
    assert set(found) == {rule.WHOLE, rule.COLD, *rule.STAGES}
    assert all(len(values) == 2 and min(values) > 0 for values in found.values())
    assert set(rule.shares(found)) == {*rule.STAGES, "the rest of a step", rule.COLD}


def test_recovery_reads_documents_of_ended_jobs_each_of_a_file_of_its_own():
    like = recovery.ended_document()
    found = list(islice(recovery.documents(like, 1_000), 20))
    jobs = [decode_job(each.value) for each in found]
    assert len({job.file_id for job in jobs}) == 20
    assert all(job.outcome and job.file_id.encode() == each.key for job, each in zip(jobs, found, strict=True))
    assert all(like.key not in each.value for each in found)
    assert [encode(job) for job in jobs] == [each.value for each in found]
    assert {each.partition for each in found} == set(range(recovery.PARTITIONS))
