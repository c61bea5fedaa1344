"""When to look, by a clock of the test's own: it begins at 0."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from connectors.upstream.policy import StreamClock, WatchClock, backoff, next_look, retry_after
from connectors.upstream.settings import ConnectorSettings

SETTINGS = ConnectorSettings(poll_jitter=0)
DEADLINE = 900


def middle() -> float:
    return 0.5


class Clocks:
    """One watch and its stream; every look is answered at once."""

    def __init__(self) -> None:
        self.stream = StreamClock(down_since=0)
        self.watch = WatchClock(tracked_at=0, deadline_at=DEADLINE, news_at=0)

    def looks(self, start: float, end: float) -> list[tuple[float, str]]:
        """All looks from `start` until `end`."""
        found = []
        now = start
        while (look := next_look(SETTINGS, self.stream, self.watch, now)).at <= end and look.why != "deadline":
            now = max(now, look.at)
            found.append((round(now, 3), look.why))
            self.watch.sent(now)
            self.watch.answered(look.why, now, SETTINGS, middle)
        return found

    def live(self, now: float) -> None:
        self.stream.opened(now, SETTINGS)
        self.stream.heard(now)


@pytest.fixture
def clocks() -> Clocks:
    return Clocks()


def test_without_a_stream_polling_begins_after_10_s_with_1_2_5_and_then_10_s_between(clocks):
    assert clocks.looks(0, 40) == [(10, "poll"), (11, "poll"), (13, "poll"), (18, "poll"), (28, "poll"), (38, "poll")]


def test_a_stream_that_opens_is_looked_at_once_and_ends_the_polling(clocks):
    assert clocks.looks(0, 11) == [(10, "poll"), (11, "poll")]
    clocks.live(12)
    assert clocks.looks(12, 71) == [(12, "connected")]


def test_the_look_after_connecting_waits_a_little_for_the_subscription_unless_bytes_come(clocks):
    clocks.stream.opened(5, SETTINGS)
    assert clocks.looks(5, 6) == [(5.3, "connected")]


def test_a_poll_that_left_before_the_stream_was_live_does_not_close_the_gap(clocks):
    clocks.watch.sent(4.9)
    clocks.live(5)
    clocks.watch.answered("poll", 4.9, SETTINGS, middle)
    assert clocks.looks(5, 6) == [(5, "connected")]


def test_events_clock_a_live_stream_without_events_is_asked_beside_after_60_s_and_then_each_minute(clocks):
    clocks.live(0)
    clocks.watch.news_at = 1000  # the job's clock is not what is tested
    assert clocks.looks(0, 200) == [(0, "connected"), (60, "events"), (120, "events"), (180, "events")]


def test_bytes_do_not_move_the_events_clock_and_events_do(clocks):
    clocks.live(0)
    clocks.looks(0, 1)
    clocks.stream.heard(50)
    assert next_look(SETTINGS, clocks.stream, clocks.watch, 50).at == 60
    clocks.stream.event_at = 50
    assert (look := next_look(SETTINGS, clocks.stream, clocks.watch, 50)).why == "job"
    assert look.at == 90


def test_job_clock_events_without_news_of_the_job_for_90_s_are_a_reason_to_look(clocks):
    clocks.live(0)
    clocks.looks(0, 1)
    clocks.watch.news_at = 20
    for now in range(20, 110, 10):
        clocks.stream.event_at = now
        assert clocks.looks(now, now) == []
    assert clocks.looks(110, 110) == [(110, "job")]


def test_a_stream_that_lived_and_ended_leaves_10_s_to_come_back_before_polling(clocks):
    clocks.live(0)
    clocks.looks(0, 1)
    clocks.stream.lost(50, SETTINGS, silent=False)
    assert clocks.looks(50, 61) == [(60, "poll"), (61, "poll")]


def test_a_stream_that_died_of_silence_is_polled_beside_at_once(clocks):
    clocks.live(0)
    clocks.stream.heard(15)
    clocks.looks(0, 1)
    clocks.stream.lost(50, SETTINGS, silent=True)
    assert clocks.looks(50, 50.5) == [(50, "poll")]


def test_streams_that_live_shortly_do_not_keep_polling_away(clocks):
    for start in range(0, 40, 4):
        clocks.live(start)
        clocks.stream.lost(start + 1, SETTINGS, silent=False)
    assert clocks.looks(40, 40.5) == [(40, "poll")]


def test_an_open_stream_that_never_says_a_byte_is_polled_beside_after_20_s(clocks):
    clocks.stream.opened(0, SETTINGS)
    assert clocks.looks(0, 22) == [(0.3, "connected"), (20, "poll"), (21, "poll")]


def test_after_a_stream_that_never_said_a_byte_being_open_is_not_enough(clocks):
    clocks.stream.opened(0, SETTINGS)
    clocks.stream.lost(35, SETTINGS, silent=True)
    clocks.stream.opened(36, SETTINGS)
    assert clocks.stream.live_at is None
    assert [why for _, why in clocks.looks(36, 37)] == ["poll", "poll"]
    clocks.stream.heard(40)
    assert clocks.looks(40, 60) == [(40, "connected")]


def test_the_backoff_begins_anew_only_after_a_stream_has_stayed_live(clocks):
    clocks.stream.attempts = 5
    clocks.live(0)
    assert not clocks.stream.lost(29, SETTINGS, silent=False)
    assert clocks.stream.attempts == 5
    clocks.live(40)
    assert clocks.stream.lost(71, SETTINGS, silent=False)
    assert clocks.stream.attempts == 0


def test_ten_checks_while_one_is_pending_are_one_look_at_once(clocks):
    clocks.live(0)
    clocks.looks(0, 1)
    for _ in range(10):
        clocks.watch.ask()
    assert clocks.looks(5, 20) == [(5, "check")]


def test_a_check_that_comes_while_a_look_is_under_way_is_a_look_of_its_own(clocks):
    clocks.live(0)
    clocks.looks(0, 1)
    clocks.watch.ask()
    assert clocks.watch.sent(5)
    clocks.watch.ask()
    clocks.watch.answered("check", 5, SETTINGS, middle)
    assert clocks.looks(5, 20) == [(6, "check")]


def test_a_check_does_not_wait_for_a_backoff_and_is_kept_when_it_fails(clocks):
    clocks.watch.failed(0, 50, SETTINGS, middle)
    clocks.watch.ask()
    assert next_look(SETTINGS, clocks.stream, clocks.watch, 1).at <= 1
    clocks.watch.sent(1)
    clocks.watch.failed(1, 3, SETTINGS, middle)
    assert clocks.looks(1, 5) == [(4, "check")]


def test_a_look_that_fails_before_it_leaves_asks_for_nothing_anew(clocks):
    clocks.watch.ask()
    clocks.looks(0, 1)
    clocks.watch.failed(2, None, SETTINGS, middle)
    assert not clocks.watch.asked


@pytest.mark.parametrize(("is_end", "looks"), [(True, [20, 30, 40]), (False, [20, 80])])
def test_what_a_shared_stream_says_of_no_file_is_answered_at_a_pace_and_not_forgotten(clocks, is_end, looks):
    clocks.live(0)
    clocks.looks(0, 1)
    clocks.watch.news_at = 1000
    found = []
    for now in range(20, 90):
        clocks.stream.event_at = now
        if now < 40:
            clocks.watch.unnamed(now, SETTINGS, is_end=is_end)
        found += clocks.looks(now, now)
    assert found == [(at, "signal") for at in looks]


def test_an_end_that_names_no_file_does_not_wait_for_the_pace_of_progress(clocks):
    clocks.live(0)
    clocks.looks(0, 1)
    clocks.watch.news_at = clocks.stream.event_at = 1000
    for is_end in (False, True, False):
        clocks.watch.unnamed(20, SETTINGS, is_end=is_end)
    assert clocks.looks(20, 20) == [(20, "signal")]
    for is_end in (False, True, False):
        clocks.watch.unnamed(21, SETTINGS, is_end=is_end)
    assert clocks.looks(21, 90) == [(30, "signal")]


def test_a_look_that_an_event_asked_for_is_kept_when_it_fails(clocks):
    clocks.live(0)
    clocks.looks(0, 1)
    clocks.watch.signalled = True
    clocks.watch.sent(10)
    clocks.watch.failed(10, 2, SETTINGS, middle)
    assert clocks.looks(10, 20) == [(12, "signal")]


def test_a_look_that_was_asked_for_without_a_name_is_kept_when_it_fails(clocks):
    clocks.live(0)
    clocks.looks(0, 1)
    clocks.watch.unnamed(10, SETTINGS, is_end=True)
    clocks.watch.sent(10)
    clocks.watch.failed(10, 2, SETTINGS, middle)
    assert clocks.looks(10, 20) == [(12, "signal")]


def test_events_that_ask_again_and_again_are_answered_once_a_second(clocks):
    clocks.live(0)
    clocks.looks(0, 1)
    found = []
    for tenth in range(100, 130):
        clocks.watch.signalled = True
        found += clocks.looks(tenth / 10, tenth / 10)
    assert [at for at, _ in found] == [10, 11, 12]


def test_a_task_that_ended_without_url_is_polled_even_beside_a_live_stream(clocks):
    clocks.live(0)
    clocks.looks(0, 1)
    clocks.watch.awaits(1, SETTINGS)
    clocks.watch.news_at = clocks.stream.event_at = 1000  # the other clocks are not what is tested
    assert [at for at, _ in clocks.looks(1, 140)] == [10, 70, 130]


@pytest.mark.parametrize(("age", "gap"), [(50, 10), (300, 30), (600, 60), (800, 60)])
def test_beside_a_live_stream_a_url_is_waited_for_a_tenth_of_the_jobs_age_within_10_and_60_s(clocks, age, gap):
    clocks.live(0)
    clocks.watch.sent(age)
    clocks.watch.answered("signal", age, SETTINGS, middle)
    clocks.watch.awaits(age, SETTINGS)
    clocks.watch.news_at = clocks.stream.event_at = 2000  # the other clocks are not what is tested
    assert [at for at, _ in clocks.looks(age, age + gap + 59)] == [age + gap]


def test_a_poll_that_finds_the_work_done_is_not_the_first_that_waits_for_the_url(clocks):
    clocks.watch.sent(100)
    clocks.watch.awaits(100.2, SETTINGS)
    clocks.watch.answered("poll", 100, SETTINGS, middle)
    clocks.live(101)
    clocks.watch.news_at = clocks.stream.event_at = 2000  # the other clocks are not what is tested
    assert [round(at) for at, _ in clocks.looks(101, 150)] == [101, 111]


def test_a_task_that_ended_without_url_and_without_a_stream_is_polled_at_once_and_often(clocks):
    clocks.watch.awaits(1, SETTINGS)
    assert [at for at, _ in clocks.looks(1, 15)] == [1, 2, 4, 9]


def test_failures_back_off_and_an_answer_ends_that(clocks):
    for failure, bound in enumerate([1, 2, 4, 8, 16, 30, 30]):
        clocks.watch.failed(0, None, SETTINGS, lambda: 1.0)
        assert clocks.watch.not_before == bound, failure
    clocks.watch.answered("poll", 0, SETTINGS, middle)
    assert backoff(SETTINGS, clocks.watch.failures, lambda: 1.0) == 1


def test_the_upstreams_own_time_is_obeyed(clocks):
    clocks.watch.failed(100, 44, SETTINGS, middle)
    assert clocks.looks(100, 145) == [(144, "poll"), (145, "poll")]


@pytest.mark.parametrize("meanwhile", ["answered", "failed"])
def test_a_404_is_told_once_and_only_after_30_s_of_nothing_else(clocks, meanwhile):
    watch = clocks.watch
    assert not watch.missed(10, SETTINGS, middle)
    assert not watch.missed(39, SETTINGS, middle)
    if meanwhile == "answered":
        watch.answered("poll", 40, SETTINGS, middle)
    else:
        watch.failed(40, None, SETTINGS, middle)
    assert not watch.missed(41, SETTINGS, middle)
    assert not watch.missed(70, SETTINGS, middle)
    assert watch.missed(71, SETTINGS, middle)
    assert not watch.missed(72, SETTINGS, middle)
    assert next_look(SETTINGS, clocks.stream, watch, 500).why == "deadline"


def test_the_deadline_comes_before_everything_else(clocks):
    clocks.watch.ask()
    assert next_look(SETTINGS, clocks.stream, clocks.watch, DEADLINE).why == "deadline"


NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None), ("7", 7), ("0.5", 0.5), ("-3", 0), ("99999", 600), ("soon", None), ("nan", None), ("inf", None),
        (format_datetime(NOW + timedelta(seconds=9), usegmt=True), 9), ("Fri, 02 Jan 2026 03:04:15 -0000", 10),
        (format_datetime(NOW - timedelta(days=1), usegmt=True), 0), ("", None),
    ],
)  # fmt: skip
def test_retry_after_is_read_in_seconds_and_as_a_date(header, seconds):
    assert retry_after(header, None, NOW, SETTINGS) == seconds


@pytest.mark.parametrize("skew", [timedelta(hours=-3), timedelta(days=400)])
def test_retry_after_as_a_date_counts_from_the_upstreams_own_clock(skew):
    date, until = (format_datetime(NOW + skew + timedelta(seconds=each), usegmt=True) for each in (0, 9))
    assert retry_after(until, date, NOW, SETTINGS) == 9
    assert retry_after(until, "yesterday", NOW, SETTINGS) == retry_after(until, None, NOW, SETTINGS)


def test_poll_distances_vary_by_the_jitter():
    jittery = ConnectorSettings(poll_jitter=0.2)
    watch = Clocks().watch
    watch.answered("poll", 0, jittery, lambda: 0.0)
    assert watch.poll_gap == pytest.approx(0.8)
    watch.answered("poll", 0, jittery, lambda: 1.0)
    assert watch.poll_gap == pytest.approx(2.4)
