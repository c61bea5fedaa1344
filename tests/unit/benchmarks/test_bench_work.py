"""The benchmarks' work is what README.md says it is: the same for the same seed, and half of it changes nothing."""

from collections import Counter

import pytest
from benchmarks import work

from schemas.codec import decode_command, decode_observation
from streams.machine import advance


@pytest.fixture(scope="module")
def some():
    return work.make(60, seed=7)


def test_a_seed_makes_the_same_records():
    assert work.make(5, seed=3) == work.make(5, seed=3)
    assert work.make(5, seed=3) != work.make(5, seed=4)


def test_each_job_has_one_track_and_twenty_observations_on_one_partition(some):
    assert Counter(each.key for each in some.observations) == dict.fromkeys((each.key for each in some.tracks), 20)
    assert len({(each.key, each.partition) for each in (*some.tracks, *some.observations)}) == some.jobs
    assert {each.partition for each in some.tracks} == {0, 1, 2, 3}


def test_observations_are_of_about_300_bytes(some):
    assert 270 <= some.mean_bytes <= 330


def test_about_half_of_the_observations_change_a_job_and_each_job_ends_where_it_is_marked(some):
    jobs = {each.key: advance(None, decode_command(each.value)).job for each in some.tracks}
    changes = 0
    for each in some.observations:
        after, _, verdict = advance(jobs[each.key], decode_observation(each.value))
        assert each.ends == (verdict == "ended")
        changes += after is not jobs[each.key]
        jobs[each.key] = after
    assert 0.4 <= changes / len(some.observations) <= 0.6
    assert all(job.outcome for job in jobs.values())


def test_no_more_jobs_than_asked_for_are_observed_at_once():
    left, most, live = Counter(), 0, set()
    for each in work.make(40, seed=7, at_once=5).observations:
        left[each.key] += 1
        live.add(each.key)
        most = max(most, len(live))
        if left[each.key] == work.OBSERVATIONS_PER_JOB:
            live.remove(each.key)
    assert most == 5
