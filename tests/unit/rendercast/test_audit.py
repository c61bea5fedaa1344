"""The demo's audit finds what is wrong: a check that cannot fail checks nothing."""

import hashlib
from collections import Counter

import pytest

from rendercast.demo.audit import Expected, audit
from schemas import Completion, Stored, utcnow
from schemas.ids import outcome_id

FILE, URL, CHAT = "998d1234-5678-4abc-8def-0123456789ab", "https://x.example/a.mp4", "chat"


@pytest.fixture
def world(tmp_path):
    """Everything as it should be, as the arguments of `audit`."""
    path = tmp_path / "a.mp4"
    path.write_bytes(b"bytes")
    sha256, now = hashlib.sha256(b"bytes").hexdigest(), utcnow()
    completion = Completion(
        id=outcome_id(FILE, "r1", "completed"), outcome="completed", file_id=FILE, generation="r1", kind="video",
        url=URL, tracked_at=now, finished_at=now,
    )  # fmt: skip
    stored = Stored(
        file_id=FILE, generation="r1", url=URL, kind="video", location=f"file://{path}", bytes=5, sha256=sha256,
        content_type="video/mp4", stored_at=now,
    )  # fmt: skip
    expected = Expected(FILE, "r1", "completed", URL, sha256, CHAT)
    return {
        "expected": [expected], "completions": [completion], "artifacts": Counter({(CHAT, FILE, "r1"): 1}),
        "stored": [stored],
    }  # fmt: skip


def test_all_is_well(world):
    summary = audit(**world)
    assert summary.problems == []
    assert (summary.jobs, summary.completed, summary.announced, summary.artifacts, summary.stored) == (1, 1, 1, 1, 1)


def test_an_outcome_that_is_missing_is_lost(world):
    summary = audit(**{**world, "completions": []})
    assert summary.lost == 1
    assert "nothing was announced" in summary.problems[0]


def test_an_outcome_told_twice_is_found(world):
    summary = audit(**{**world, "completions": world["completions"] * 2})
    assert summary.announced_twice == 1
    assert "announced 2 times" in summary.problems[0]


@pytest.mark.parametrize(
    ("part", "value", "word"),
    [
        ("artifacts", Counter(), "0 artifacts"),
        ("artifacts", Counter({(CHAT, FILE, "r1"): 2}), "2 artifacts"),
        ("stored", [], "not in the object store"),
    ],
)
def test_what_did_not_arrive_is_found(world, part, value, word):
    assert word in audit(**{**world, part: value}).problems[0]


def test_wrong_bytes_and_a_wrong_outcome_are_found(world, tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"other")
    assert "has not the bytes" in audit(**world).problems[0]
    wrong = world["completions"][0].model_copy(update={"outcome": "failed"})
    assert "announced was failed" in audit(**{**world, "completions": [wrong]}).problems[0]


def test_an_outcome_of_a_generation_nobody_tracked_is_found(world):
    other = world["completions"][0].model_copy(update={"generation": "r0", "id": "x"})
    assert "never tracked" in audit(**{**world, "completions": [*world["completions"], other]}).problems[0]
