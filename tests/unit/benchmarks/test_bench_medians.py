"""Rounds run in turn; a measurement that failed stays to be seen and proves nothing."""

import math

import pytest
from benchmarks.medians import Failed, at_least, at_most, each, interleave, medians, percentile


def test_every_name_has_its_turn_in_each_round():
    turns = []
    interleave(["a", "b"], 2, turns.append)
    assert turns == ["a", "b", "a", "b"]


def test_a_failure_is_kept_in_words_and_the_others_go_on():
    def measure(name):
        if name == "broken":
            raise Failed("no such engine")
        return 1.0

    assert interleave(["broken", "sound"], 1, measure) == [{"broken": "error: no such engine", "sound": 1.0}]


def test_an_error_of_our_own_is_not_taken_for_a_measurement():
    def measure(_):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        interleave(["a"], 1, measure)


def test_the_median_is_of_the_rounds_that_gave_a_number():
    rounds = [{"a": 1.0, "b": "error: x"}, {"a": 9.0, "b": "error: y"}, {"a": 2.0, "b": "error: z"}, {"a": "error: w"}]
    assert medians(rounds) == {"a": 2.0, "b": "error: z"}


def test_one_number_is_taken_of_each_measurement():
    assert each([{"a": (1, 2), "b": "error: x"}], lambda one: one[1]) == [{"a": 2, "b": "error: x"}]


@pytest.mark.parametrize(
    ("value", "other", "met"),
    [
        (15.0, 10.0, True),
        (14.9, 10.0, False),
        (15.0, "error: x", False),
        ("error: x", 10.0, False),
        (15.0, None, False),
    ],
)
def test_a_goal_against_what_was_not_measured_is_not_met(value, other, met):
    assert at_least(value, 1.5, other) is met


@pytest.mark.parametrize(("value", "met"), [(12.0, True), (12.1, False), ("error: x", False), (math.nan, False)])
def test_a_bound_is_kept_by_a_number_only(value, met):
    assert at_most(value, 12) is met


def test_percentiles():
    values = [float(number) for number in range(100, 0, -1)]
    assert percentile(values, 0.5) == 51
    assert percentile(values, 0.99) == 100
    with pytest.raises(Failed):
        percentile([], 0.5)
