"""The bucket and the breaker, by a clock of the test's own."""

from math import inf

from connectors.bucket import Bucket
from connectors.upstream.limits import Breaker


def take(bucket: Bucket, start: float, count: int) -> list[float]:
    """When `count` who come at `start` get their tokens."""
    found, now = [], start
    for _ in range(count):
        now = max(now, bucket.opens_at())
        bucket.take(now)
        found.append(round(now, 6))
    return found


def test_a_full_bucket_gives_its_burst_at_once_and_then_keeps_its_rate():
    assert take(Bucket(10, 3), 100, 6) == [100, 100, 100, 100.1, 100.2, 100.3]


def test_a_pause_fills_it_up_to_the_burst_and_no_further():
    bucket = Bucket(10, 3)
    take(bucket, 100, 10)
    assert take(bucket, 500, 4) == [500, 500, 500, 500.1]
    assert take(bucket, 500.25, 3) == [500.25, 500.3, 500.4]


def test_a_burst_of_one_is_a_pace():
    assert take(Bucket(10, 1), 100, 3) == [100, 100.1, 100.2]


def breaker() -> Breaker:
    return Breaker(failures=3, seconds=5, cap_seconds=30)


def test_it_opens_after_so_many_failures_in_a_row():
    found = breaker()
    for _ in range(2):
        found.failed(100, probe=False)
    assert found.opens_at() == -inf
    found.worked()
    for _ in range(3):
        found.failed(100, probe=False)
    assert (found.state, found.opens_at()) == ("open", 105)


def test_those_who_left_before_it_opened_do_not_keep_it_open_longer():
    found = breaker()
    for now in (100, 100, 100, 101, 104):
        found.failed(now, probe=False)
    assert found.opens_at() == 105


def test_the_time_between_probes_doubles_up_to_the_cap_and_begins_anew_after_an_answer():
    found = breaker()
    for _ in range(3):
        found.failed(0, probe=False)
    waits = [found.opens_at()]
    for _ in range(4):
        now = found.opens_at()
        assert found.passed()
        assert found.opens_at() == inf, "one probe at a time"
        found.failed(now, probe=True)
        waits.append(found.opens_at() - now)
    assert waits == [5, 10, 20, 30, 30]
    found.passed()
    found.worked()
    assert not found.passed()
    for _ in range(3):
        found.failed(0, probe=False)
    assert found.opens_at() == 5


def test_a_probe_that_is_called_off_makes_room_for_another():
    found = breaker()
    found.trip(0, 60)
    assert found.opens_at() == 60
    assert found.passed()
    found.called_off()
    assert found.opens_at() == 60
    assert found.passed()
