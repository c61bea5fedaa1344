"""The menu of faults: what goes wrong, how often it does, and for what it is drawn."""

from collections.abc import Iterator
from typing import Annotated, Any, NamedTuple

from pydantic import Field

from schemas.settings import Section

Rate = Annotated[float, Field(ge=0, le=1)]


def _per(drawn: str, what: str) -> Any:
    return Field(default=0, description=what, json_schema_extra={"drawn": drawn})


class Faults(Section):
    """How often each fault happens, 0 to 1. A stream suffers at most one of the `stream_…` faults."""

    stream_524: Rate = _per("stream", "no answer for a while, then status 524, as the proxy does")
    stream_silent: Rate = _per("stream", "status 200, then not a byte, not even a ping")
    stream_reset: Rate = _per("stream", "the connection is reset in mid-job")
    stream_drop: Rate = _per("stream", "the stream ends cleanly in mid-job")
    stream_test: Rate = _per("stream", "the server's test mode: a `test` frame, then the end")
    stream_slow: Rate = _per("stream", "slow loris: the stream comes byte by byte, with a pause after each")
    stream_bytes: Rate = _per("stream", "each byte is a TCP write of its own, without pauses")
    stream_gzip: Rate = _per("stream", "the stream is gzip-encoded, asked for or not")
    stream_wrong_type: Rate = _per("stream", "the frames come under another content type")
    stream_page: Rate = _per("stream", "status 200 and an HTML page instead of a stream")
    stream_html: Rate = _per("stream", "an HTML error page begins in mid-frame, then the stream ends")
    stream_broken_chunk: Rate = _per("stream", "the chunked encoding breaks in mid-job")
    late_subscription: Rate = _per("stream", "the stream is open, its subscription is not live yet")

    duplicate_frames: Rate = _per("frame", "a frame is sent twice")
    frame_cut: Rate = _per("frame", "a frame is cut in two by a pause")
    frame_every_cut: Rate = _per("frame", "a frame is sent once for each of its offsets, cut in two there")
    junk: Rate = _per("frame", "noise before a frame, or the frame in an unusual spelling")
    prefixed_ids: Rate = _per("frame", "ids come with a prefix: `file.<uuid>`, `project.<uuid>`")
    nameless_frames: Rate = _per("frame", "on a shared channel a frame lacks its file id")

    result_lost: Rate = _per("generation", "no frame with the URL is ever sent")
    late_result: Rate = _per("generation", "the stream is some seconds behind GET")
    late_poll: Rate = _per("generation", "GET is some seconds behind the stream")
    not_found_at_first: Rate = _per("generation", "404 for a freshly created file")
    never_ends: Rate = _per("generation", "it stays in progress for ever")
    foreign_file: Rate = _per("generation", "frames about another file, done, on the same channel")
    foreign_result: Rate = _per("generation", "results of another file, by its own id, on the same channel")
    wrong_kind: Rate = _per("generation", "a result with a URL of the other media kind")
    bad_ids: Rate = _per("generation", "frames whose ids are not UUIDs")
    wild_progress: Rate = _per("generation", "progress of 1e9, below zero, as a text, or nothing")
    url_expires: Rate = _per("generation", "403 for the media URL as it was told; a GET after that tells a fresh one")
    huge_frame: Rate = _per("generation", "a frame with a message of `huge_bytes` bytes")

    rate_limit: Rate = _per("request", "429 with Retry-After, in seconds or as a date")
    retry_after_skew: Rate = _per("request", "429 with Retry-After as a date, and Date, by a clock that is wrong")
    server_error: Rate = _per("request", "500, 502 or 503")
    token_refused: Rate = _per("request", "401 or 403, though the token is right")
    redirect: Rate = _per("request", "a redirect to where the answer is")
    redirect_loop: Rate = _per("request", "redirects without an end")
    no_answer: Rate = _per("request", "the request is taken and never answered")
    request_reset: Rate = _per("request", "the connection is reset before the answer")
    conflict: Rate = _per("request", "409 on generate-image")
    wrong_file: Rate = _per("request", "GET answers with another file")
    wrong_models: Rate = _per("request", "generation-config answers with something that is no list of models")
    answer_reset: Rate = _per("request", "the connection is reset in the middle of the body")
    answer_slow: Rate = _per("request", "slow loris: the body comes byte by byte, with a pause after each")
    answer_gzip: Rate = _per("request", "the body is gzip-encoded, asked for or not")
    answer_wrong_type: Rate = _per("request", "the JSON comes under another content type")
    answer_page: Rate = _per("request", "status 200 and an HTML page instead of JSON")

    connect_reset: Rate = _per("connection", "the connection is reset as soon as it is accepted")
    tls_reset: Rate = _per("connection", "with TLS: the connection is reset within the handshake")


class Fault(NamedTuple):
    """A line of the menu."""

    name: str
    drawn: str
    what: str


def menu() -> Iterator[Fault]:
    """Every fault, what it is drawn for, and what it does."""
    for name, field in Faults.model_fields.items():
        extra = field.json_schema_extra
        assert isinstance(extra, dict)
        yield Fault(name, str(extra["drawn"]), field.description or "")


ALL_FAULTS = Faults(
    stream_524=0.05, stream_silent=0.06, stream_reset=0.1, stream_drop=0.15, stream_test=0.03, late_subscription=0.1,
    duplicate_frames=0.2, frame_cut=0.1, junk=0.2, result_lost=0.2, late_poll=0.2, not_found_at_first=0.2,
    foreign_file=0.2, rate_limit=0.05, server_error=0.05, conflict=0.05,
)  # fmt: skip
"""All that goes wrong there day by day, at rates a client should live with."""

HOSTILE_FAULTS = Faults.model_validate(
    ALL_FAULTS.model_dump()
    | {
        name: 0.03 if fault.drawn in {"stream", "request", "connection"} else 0.1
        for name, fault in ((each.name, each) for each in menu())
        if getattr(ALL_FAULTS, name) == 0
    }
    | {"never_ends": 0.02, "frame_every_cut": 0.01, "huge_frame": 0.02, "token_refused": 0.01}
)
"""The whole menu: also what broken proxies and an upstream that lies may send."""

PRESETS = {"none": Faults(), "daily": ALL_FAULTS, "hostile": HOSTILE_FAULTS}
