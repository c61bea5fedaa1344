"""Patterns of a token: what they fit, and that none of them takes long."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.gateway.grants import Grants, parse_grants

SIMPLE = r"[A-Za-z0-9\-._~%]+"


def allows(pattern, channel):
    return parse_grants({"read": [pattern]}).allows("read", channel)


@pytest.mark.parametrize(
    ("pattern", "channel"),
    [
        ("*", "all"),
        ("*", "project.a\nb"),
        ("project.p1", "project.p1"),
        ("project.{id}", "project.p-1_~%."),
        ("project.{+id}", "project.a/b\nc"),
        ("{kind}.{+id}", "user.a b"),
        ("project.{id}-end", "project.a-end-end"),
        ("{x}", "all"),
    ],
)
def test_a_pattern_fits_what_it_stands_for(pattern, channel):
    assert allows(pattern, channel)


@pytest.mark.parametrize(
    ("pattern", "channel"),
    [
        ("project.*", "project.p1"),
        ("**", "all"),
        ("project.p1", "project.p10"),
        ("project.{id}", "project."),
        ("project.{id}", "project.a/b"),
        ("project.{id}", "project.a\n"),
        ("project.{id}", "user.project.a"),
        ("project.{id}-end", "project.-end"),
        ("project.{*}", "project.a"),
        ("(a+)+$", "aaaa"),
    ],
)
def test_a_pattern_does_not_fit_what_it_only_resembles(pattern, channel):
    assert not allows(pattern, channel)


@given(
    st.lists(st.sampled_from(["a", "b", "/", "{x}", "{+x}"]), min_size=1, max_size=8).map("".join),
    st.text("ab/", max_size=12),
)
def test_patterns_are_templates_as_an_expression_would_read_them(pattern, channel):
    expression = re.escape(pattern).replace(r"\{x\}", SIMPLE).replace(r"\{\+x\}", ".+")
    grants = Grants({"read": (pattern,)})
    assert grants.allows("read", channel) == bool(re.fullmatch(expression, channel))


def test_no_token_can_hold_the_gateway_up_with_its_patterns():
    """As expressions these take minutes."""
    grants = parse_grants({"read": [f"{{a}}{{b}}{{c}}{{d}}!{number}" for number in range(200)]})
    assert not grants.allows("read", "project." + "x" * 300)
