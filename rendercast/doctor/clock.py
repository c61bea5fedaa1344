"""How far another machine's clock is from ours."""

from datetime import datetime, timedelta

from rendercast.doctor.finding import Finding, doubtful, good
from schemas import utcnow

TOLERATED = timedelta(seconds=5)
"""Tokens are checked with a leeway of 10 s, and deadlines are told in seconds."""


def compare(whose: str, theirs: datetime, asked_at: datetime) -> Finding:
    """`asked_at` was our time when the question left."""
    skew = theirs - (asked_at + (utcnow() - asked_at) / 2)
    words = f"{abs(skew.total_seconds()):.1f} s {'ahead of' if skew > timedelta() else 'behind'} ours"
    if abs(skew) <= TOLERATED:
        return good(f"clock of {whose}", words)
    return doubtful(f"clock of {whose}", words, "Let both machines keep their time by NTP.")
