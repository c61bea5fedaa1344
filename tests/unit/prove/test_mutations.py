"""The table of guards is true to the code: what is switched off stands there, and who has to notice exists."""

import ast
from collections import Counter
from pathlib import Path

import pytest
from prove.mutations import MUTATIONS

PROJECT = Path(__file__).parents[3]
RULES, POINTS = range(1, 13), range(1, 10)


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda each: each.name)
def test_a_guards_text_stands_once_in_its_file_and_what_replaces_it_is_python(mutation):
    text = (PROJECT / mutation.file).read_text()
    assert text.count(mutation.old) == 1
    assert mutation.old != mutation.new
    ast.parse(text.replace(mutation.old, mutation.new))


@pytest.mark.parametrize("test", sorted({test for each in MUTATIONS for test in each.tests}))
def test_a_test_that_is_named_exists(test):
    path, *inside = test.partition("[")[0].split("::")
    body = ast.parse((PROJECT / path).read_text()).body
    for name in inside:
        [found] = [each for each in body if getattr(each, "name", None) == name]
        body = found.body


def test_every_guard_has_a_name_of_its_own_one_sentence_and_a_test():
    assert [name for name, times in Counter(each.name for each in MUTATIONS).items() if times > 1] == []
    for each in MUTATIONS:
        assert each.tests
        assert each.guards.endswith(".")


def test_every_rule_and_every_numbered_point_has_a_guard():
    """Point 1 of "Exactly once" says what a batch is: its guards are those of the fetch."""
    points = {each.point for each in MUTATIONS}
    assert {f"rule {number}" for number in RULES} <= points
    assert {f"exactly once {number}" for number in POINTS} <= points
