"""An upstream that lies changes no job: what the parser makes of it, and what the state machine makes of that."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import pytest

from connectors.upstream.frames import MAX_FRAME_BYTES, FrameDecoder
from connectors.upstream.parser import Channel, Parsed, Sight, parse_answer, parse_frame
from connectors.upstream.parser.reasons import Reason
from schemas import Job, Result, Track
from streams.machine import advance

FILE = "998d5ae4-0000-4000-8000-000000000001"
OTHER = "998d5ae4-0000-4000-8000-000000000002"
PROJECT = "50e5f1c2-0000-4000-8000-000000000003"
URL = "https://media.example/2025/6/3/clip.mp4"
PICTURE = "https://media.example/2025/6/3/reference.png"
NOW = datetime(2026, 1, 2, tzinfo=UTC)
SIGHT = Sight("sse", NOW + timedelta(seconds=5), {FILE: "one"})
ON_FILE, ON_PROJECT = Channel("file", FILE), Channel("project", PROJECT)
NO_IDS: list[Any] = [
    "video-generator-tool", "../../etc/passwd", "998d0000-0000", f"{FILE}/../{OTHER}", f"{FILE}\n", f"{FILE}0",
    f"project.{FILE}", f"file.file.{FILE}", "{" + FILE + "}", FILE.replace("-", ""), "\ud800", 42, 10**400, -0.5, True,
    [FILE], {"id": FILE}, "x" * 100_000,
]  # fmt: skip
EMPTY: list[Any] = [None, ""]
NO_PROGRESS: list[Any] = [
    1e9, -1e9, -1, 100.000001, -0.000001, float("nan"), float("inf"), float("-inf"), 10**400, True, False, None, "",
    "soon", "NaN", "1e400", "-5%", "101%", [75], {"percent": 75}, "١٢",
]  # fmt: skip
NO_URLS: list[Any] = [
    "ftp://m.example/a.mp4", "javascript:alert(1)", "data:video/mp4;base64,AAAA", "//m.example/a.mp4", "a.mp4",
    "http://", "https:///a.mp4", "https:// m.example/a.mp4", " https://m.example/a.mp4", "https://m.example/\ud800.mp4",
    "https://m.example/" + "a" * 4_000, 7, True, [URL], {"url": URL},
]  # fmt: skip


def job(**changes: Any) -> Job:
    """A job of a video, in progress, with the highest progress there is: whatever is news changes it."""
    found = advance(None, Track(file_id=FILE, kind="video", request_id="one", issued_at=NOW)).job
    assert found is not None
    return found.changed({"status": "processing", "progress": 0.0, **changes})


def changes_nothing(found: Parsed) -> None:
    before = job()
    for each in found.observations:
        if each.file_id == FILE:
            assert advance(before, each).job is before
        else:
            assert advance(None, each).job is None
    assert {each.reason for each in (*found.ignored, *found.broken)} <= set(get_args(Reason))


def on(channel: Channel, kind: str, body: object, **beside: Any) -> Parsed:
    return parse_frame(json.dumps({"type": kind, "object": body, **beside}), channel, SIGHT)


# another file's


FOREIGN: list[tuple[str, Any]] = [
    ("render_result", {"file_id": OTHER, "url": URL}),
    ("render_result", {"id": OTHER, "url": URL}),
    ("file", {"id": OTHER, "url": URL, "tasks": []}),
    ("task", {"id": OTHER, "status": "completed", "file_id": OTHER, "result_url": URL}),
    ("task", {"status": "error", "file_id": OTHER}),
    ("data", {"type": "video", "value": {"file_id": OTHER, "url": URL}}),
    ("render_progress", {"progress": 99, "file_id": OTHER}),
    ("error", {"message": "no", "file_id": OTHER}),
]


@pytest.mark.parametrize("channel", [ON_FILE, ON_PROJECT])
@pytest.mark.parametrize(("kind", "body"), FOREIGN)
def test_what_is_another_files_changes_no_job_of_this_one(channel, kind, body):
    found = on(channel, kind, body)
    assert FILE not in {each.file_id for each in found.observations}
    changes_nothing(found)
    if channel is ON_FILE:
        assert [each.reason for each in found.ignored] == ["another_file"]


def test_a_file_answer_about_another_file_changes_no_job():
    found = parse_answer(json.dumps({"id": OTHER, "url": URL}), "file", SIGHT, file_id=FILE)
    assert [each.reason for each in found.ignored] == ["another_file"]
    changes_nothing(found)


def test_another_files_task_in_this_ones_list_fails_nobody():
    changes_nothing(on(ON_FILE, "file", {"id": FILE, "tasks": [{"status": "error", "file_id": OTHER}]}))


# ids


@pytest.mark.parametrize("named", NO_IDS)
@pytest.mark.parametrize("channel", [ON_FILE, ON_PROJECT])
def test_a_result_under_an_id_that_is_no_uuid_changes_no_job(channel, named):
    for kind, body in (
        ("render_result", {"file_id": named, "url": URL}),
        ("file", {"id": named, "url": URL}),
        ("data", {"value": {"file_id": named, "url": URL}}),
        ("task", {"status": "error", "file_id": named}),
        ("error", {"message": "no", "file_id": named}),
    ):
        found = on(channel, kind, body)
        assert ([each.reason for each in found.ignored], found.observations) == (["bad_file_id"], ())


@pytest.mark.parametrize("named", EMPTY)
@pytest.mark.parametrize("channel", [ON_FILE, ON_PROJECT])
def test_a_url_beside_an_empty_id_is_nobodys_and_changes_no_job(channel, named):
    for kind, body in (
        ("render_result", {"file_id": named, "url": URL}),
        ("render_result", {"file_id": named, "id": "r-1", "url": URL}),
        ("file", {"id": named, "url": URL}),
        ("data", {"value": {"file_id": named, "url": URL}}),
        ("task", {"status": "in_progress", "file_id": named, "result_url": URL}),
    ):
        found = on(channel, kind, body)
        assert "names_no_file" in {each.reason for each in found.ignored}
        changes_nothing(found)


def test_a_file_named_twice_is_the_last_one_as_every_json_reader_has_it():
    text = f'{{"type": "render_result", "object": {{"file_id": "{FILE}", "file_id": "{OTHER}", "url": "{URL}"}}}}'
    changes_nothing(parse_frame(text, ON_FILE, SIGHT))
    text = f'{{"type": "render_result", "type": "scene", "object": {{"file_id": "{FILE}", "url": "{URL}"}}}}'
    changes_nothing(parse_frame(text, ON_FILE, SIGHT))


# numbers


@pytest.mark.parametrize("written", NO_PROGRESS)
def test_progress_that_can_be_none_changes_no_job(written):
    for body in ({"progress": written, "file_id": FILE}, written):
        found = on(ON_FILE, "render_progress", body)
        assert found.observations == ()
        assert [each.reason for each in found.ignored] in (
            ["progress_out_of_range"], ["progress_not_a_number"], ["no_progress"]
        )  # fmt: skip


def test_a_number_no_reader_takes_is_broken_and_changes_no_job():
    text = '{"type": "render_progress", "object": {"progress": ' + "1" * 5_000 + "}}"
    changes_nothing(parse_frame(text, ON_FILE, SIGHT))


# URLs


@pytest.mark.parametrize("written", NO_URLS)
def test_a_url_that_is_no_web_address_changes_no_job(written):
    for kind, body in (
        ("render_result", {"file_id": FILE, "url": written}),
        ("file", {"id": FILE, "url": written}),
        ("task", {"status": "in_progress", "file_id": FILE, "result_url": written}),
        ("data", {"value": {"file_id": FILE, "url": written}}),
    ):
        found = on(ON_FILE, kind, body)
        assert "bad_url" in {each.reason for each in found.ignored}
        changes_nothing(found)


@pytest.mark.parametrize(
    "body",
    [
        {"url": PICTURE},
        {"url": PICTURE + "?name=clip.mp4"},
        {"url": PICTURE, "type": "video"},
        {"url": "https://media.example/clip", "content_type": "image/png"},
        {"url": "https://media.example/clip", "type": "image"},
        {"url": "https://media.example/clip.mp3"},
    ],
)
def test_a_url_of_the_wrong_kind_changes_no_job(body):
    for found in (
        on(ON_FILE, "render_result", {"file_id": FILE, **body}),
        on(ON_FILE, "file", {"id": FILE, **body}),
        parse_answer(json.dumps({"id": FILE, **body}), "file", SIGHT, file_id=FILE),
    ):
        assert [each.file_id for each in found.observations] == [FILE]
        assert [advance(job(), each).verdict for each in found.observations] == ["wrong_kind"]
        changes_nothing(found)


@pytest.mark.parametrize(
    "url",
    [
        "https://m.example/2025/6/3/a\\b/clip.mp4", "HTTP://M.example/clip.mp4", "https://m.example/a b/clip.mp4",
        "https://m.example/caf\N{LATIN SMALL LETTER E WITH ACUTE}/\N{CINEMA}.mp4", "https://m.example/a%2Fb%5c.mp4?sig=a+b&x=#y",
        "https://m.example/a/../b//c.mp4", "https://user:pw@m.example:8443/clip.mp4", "https://m.example/clip.mp4 ",
        "https://[::1]/clip.mp4", "https://m.example/%zz\t\x00.mp4",
    ],
)  # fmt: skip
def test_a_url_that_is_true_is_kept_byte_for_byte(url):
    for found in (
        on(ON_FILE, "render_result", {"file_id": FILE, "url": url}),
        on(ON_FILE, "file", {"id": FILE, "url": url, "thumbnail_url": url}),
        on(ON_FILE, "task", {"status": "completed", "result_url": url}),
        parse_answer({"id": FILE, "url": url}, "file", SIGHT),
        parse_answer({"id": PROJECT, "data": [{"value": {"file_id": FILE, "url": url}}]}, "project", SIGHT),
    ):
        assert getattr(found.observations[0], "url", None) == url


# shapes


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000, '{"object":' * 100_000, '{"type":"file","object":' + "[" * 1_020 + "]" * 1_020 + "}",
        '{"type":"file","object":' + '{"id":' * 900 + "1" + "}" * 901,
        json.dumps({"type": "file", "object": "{" * 100_000}),
        json.dumps({"type": "file", "object": json.dumps(json.dumps({"id": FILE, "url": URL}))}),
        '{"type":"render_result","object":{"file_id":"' + FILE + '","url":"https://\\ud83d"}}',
        '{"type":"render_result","object":"' + URL + '"}', '{"type":"file","object":[{"url":"' + URL + '"}]}',
        '{"type":"\\ud800"}', '"' + URL + '"', "null", "\x00", "NaN", "\ufeff",
    ],
    ids=lambda text: text[:40].encode("unicode_escape").decode(),
)  # fmt: skip
def test_json_that_goes_deep_or_nowhere_changes_no_job(text):
    for channel in (ON_FILE, ON_PROJECT):
        changes_nothing(parse_frame(text, channel, SIGHT))
    for endpoint in ("file", "project", "generate-video", "generate-image"):
        changes_nothing(parse_answer(text, endpoint, SIGHT, file_id=FILE))


def test_a_frame_of_ten_mebibytes_is_told_as_too_long_and_what_is_left_of_it_changes_no_job():
    decoder = FrameDecoder()
    body = {"file_id": FILE, "message": "x" * 10 * MAX_FRAME_BYTES, "url": URL, "progress": 99}
    stream = b"data: " + json.dumps({"type": "render_result", "object": body}).encode() + b"\n\n"
    found = [frame for at in range(0, len(stream), 65_536) for frame in decoder.feed(stream[at : at + 65_536])]
    assert [each.too_long for each in found] == [True]
    changes_nothing(parse_frame(found[0].data, ON_FILE, SIGHT))


@pytest.mark.parametrize("shape", ["{}x", "5{}x", "{}.{}x", "{}e{}x", "-{}%x"])
@pytest.mark.parametrize("filler", ["1", " ", "5 "])
def test_a_number_as_long_as_a_frame_is_refused_at_one_reading(shape, filler):
    """A pattern that tried every way to divide it would take hours."""
    written = shape.format(filler * 300_000, filler * 300_000)
    assert on(ON_FILE, "render_progress", {"progress": written}).observations == ()


def test_the_truth_does_change_the_job():
    (found,) = on(ON_FILE, "render_result", {"file_id": FILE, "url": URL}).observations
    assert isinstance(found, Result)
    after = advance(job(), found).job
    assert after is not None
    assert after.url == URL
