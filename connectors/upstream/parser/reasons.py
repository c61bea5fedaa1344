"""Why something told us nothing: the closed list of words that metrics, logs and dead letters count it under."""

from typing import Literal

IgnoredReason = Literal[
    # whose it is
    "names_no_file", "another_file", "bad_file_id",
    # what it is
    "empty", "unknown_type", "not_ours", "not_an_object", "no_object",
    # what it lacks, or has and cannot be used
    "no_progress", "progress_not_a_number", "progress_out_of_range", "no_status", "unknown_status", "no_url", "bad_url",
    "no_file_url", "no_file", "no_file_id",
]  # fmt: skip
"""Of what is well-formed and says nothing we use."""

BrokenReason = Literal["not_json", "not_an_object", "not_a_file", "not_a_project", "bad_file_id"]
"""Of what cannot be read at all."""

ReaderReason = Literal["cut", "too_long", "not_watched"]
"""Not the parser's: said by who reads a stream, of a frame's bytes (`frames.Frame`) or of a file nobody watches."""

Reason = Literal[IgnoredReason, BrokenReason, ReaderReason]
"""All of them: the values of the label `reason`."""
