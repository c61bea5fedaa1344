"""Of what the chat sink writes, ends and copies are told; progress is not."""

from types import SimpleNamespace

from connectors.chats.rows import Entry
from connectors.chats.spans import tell_written
from schemas import Artifact, ChatRef, Stored, utcnow
from schemas.headers import traced
from schemas.trace import root_span
from tracing.spans import Tracing

FILE = "998d1234-5678-4abc-8def-0123456789ab"
NOW = utcnow()


def artifact(**more):
    return Artifact(
        file_id=FILE, generation="g", version=1, kind="video", deadline_at=NOW, tracked_at=NOW, updated_at=NOW,
        chat=ChatRef(chat_id="c"), **more,
    )  # fmt: skip


def test_an_end_and_a_copy_are_spans_and_progress_and_what_was_refused_are_none():
    told = []
    copy = Stored(
        file_id=FILE, generation="g", url="https://x.example/a.mp4", kind="video", location="file:///a", bytes=1,
        sha256="0" * 64, content_type="video/mp4", stored_at=NOW,
    )  # fmt: skip
    records = [artifact(status="processing"), artifact(status="completed", outcome="completed"), copy, None]
    source = SimpleNamespace(topic="artifacts", partition=1, offset=2)
    tracing = Tracing(traced(1), 1, told.append)
    tell_written(tracing, "the chat database", [Entry(source, each) for each in records], NOW)
    assert [each.name for each in told] == ["write artifact", "write copy"]
    assert {each.parent for each in told} == {root_span(FILE, "g")}
    assert {each.attributes["rendercast.store"] for each in told} == {"the chat database"}
