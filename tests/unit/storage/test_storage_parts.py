"""Windows, magic bytes, verdicts on answers, digests, downloads: without Kafka and without a store."""

import hashlib
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from aiohttp import InvalidURL
from hypothesis import given
from hypothesis import strategies as st

from connectors.storage.download import Digest, download
from connectors.storage.fetch import StartOver, UrlExpired, require_success, seconds_of, translated
from connectors.storage.sniff import require_media
from connectors.storage.window import Window
from schemas import StorageRequest
from schemas.errors import RejectRecord, RetryLater

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
MP4 = b"\x00\x00\x00\x20ftypisom\x00\x00\x02\x00isomiso2avc1mp41"
PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR"
MP3 = b"ID3\x04\x00\x00\x00\x00\x00\x00"
REQUEST = StorageRequest(
    file_id="0b8fdd2c-68a8-4d43-8c4a-6f4c5a1e2b3d", generation="g1", url="https://e.com/a.mp4", kind="video"
)


@given(st.permutations(range(12)), st.integers(1, 12))
def test_a_window_commits_past_no_record_that_is_open(order, size):
    window, settled = Window(size), set()
    waiting = list(range(12))
    open_ = []
    for offset in order:
        while waiting and window.room:
            window.take(waiting[0])
            open_.append(waiting.pop(0))
        ready = offset if offset in open_ else open_[0]
        window.settle(ready)
        open_.remove(ready)
        settled.add(ready)
        assert all(each in settled for each in range(window.settled))
        assert window.next - window.settled <= size
    while waiting and window.room:
        window.take(waiting[0])
        window.settle(waiting.pop(0))
    assert (window.settled, window.next) == (12, 12)


def test_a_window_counts_offsets_that_hold_no_record():
    window = Window(5)
    window.take(10)
    window.take(100)
    assert (window.room, window.settled) == (0, 10)
    window.settle(10)
    assert (window.room, window.settled) == (4, 100)


@pytest.mark.parametrize(
    ("head", "kind", "role", "found"),
    [
        (MP4, "video", "media", "video/mp4"),
        (PNG, "image", "media", "image/png"),
        (MP3, "audio", "media", "audio/mpeg"),
        (MP4, "audio", "media", "video/mp4"),
        (PNG, "video", "thumbnail", "image/png"),
        (MP4, "other", "media", "video/mp4"),
        (b"\x00\x01\x02", "other", "media", "application/octet-stream"),
    ],
)
def test_bytes_that_fit_the_kind_are_taken_under_their_own_type(head, kind, role, found):
    assert require_media(head, kind, role) == found


@pytest.mark.parametrize(
    ("head", "kind", "role"),
    [
        (b"<!doctype html><html>", "video", "media"),
        (b"\n  <html>", "other", "media"),
        (b'{"detail": "Not Found"}', "other", "media"),
        (PNG, "video", "media"),
        (MP4, "image", "media"),
        (MP4, "video", "thumbnail"),
        (b"\x00\x01\x02", "video", "media"),
        (b"PK\x03\x04" + b"\0" * 60, "other", "media"),
    ],
)
def test_bytes_that_do_not_fit_are_refused(head, kind, role):
    with pytest.raises(RejectRecord) as refused:
        require_media(head, kind, role)
    assert refused.value.reason == "not_media"


@pytest.mark.parametrize(
    ("status", "meant", "reason"),
    [
        (404, RetryLater, "not_found"), (408, RetryLater, "host_error"), (425, RetryLater, "host_error"),
        (429, RetryLater, "too_many_requests"), (500, RetryLater, "host_error"), (524, RetryLater, "host_error"),
        (416, StartOver, "host_error"), (401, UrlExpired, "expired_url"), (403, UrlExpired, "expired_url"),
        (410, UrlExpired, "expired_url"),
    ],
)  # fmt: skip
def test_an_answer_that_time_may_change_is_a_reason_to_retry(status, meant, reason):
    with pytest.raises(meant) as raised:
        require_success(status, "7", NOW)
    assert raised.value.facts["reason"] == reason


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (400, "refused_by_host"),
        (304, "refused_by_host"),
    ],
)
def test_an_answer_that_time_does_not_change_is_final(status, reason):
    with pytest.raises(RejectRecord) as raised:
        require_success(status, None, NOW)
    assert raised.value.reason == reason


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None), ("3", 3.0), (" 3 ", 3.0), ("Fri, 02 Jan 2026 03:04:15 GMT", 10.0), ("soon", None), ("-1", None),
        ("Fri, 02 Jan 2026 03:00:00 GMT", 0.0), ("", None),
    ],
)  # fmt: skip
def test_retry_after_is_seconds_or_a_date(header, seconds):
    assert seconds_of(header, NOW) == seconds


async def passed(digest, *chunks):
    async def source():
        for chunk in chunks:
            yield chunk

    return [chunk async for chunk in digest.read(source())]


async def test_a_digest_passes_nothing_on_before_the_bytes_are_known_to_be_media():
    seen = []

    async def source():
        for chunk in (b"<ht", b"ml>" + b" " * 9_000, b"more"):
            seen.append(chunk)
            yield chunk

    digest = Digest(REQUEST, 10**6)
    with pytest.raises(RejectRecord):
        assert [chunk async for chunk in digest.read(source())] == []
    assert len(seen) == 2


@given(st.lists(st.binary(max_size=5_000), max_size=6))
async def test_a_digest_changes_no_byte_and_counts_and_hashes_all(tail):
    digest = Digest(REQUEST, 10**6)
    whole = MP4 + b"".join(tail)
    assert b"".join(await passed(digest, MP4, *tail)) == whole
    assert (digest.bytes, digest.sha256) == (len(whole), hashlib.sha256(whole).hexdigest())


async def test_a_digest_refuses_what_grows_too_large_and_what_is_empty():
    with pytest.raises(RejectRecord, match="allowed"):
        await passed(Digest(REQUEST, 50), MP4, b"x" * 20)
    with pytest.raises(RetryLater, match="empty"):
        await passed(Digest(REQUEST, 50))


class Host:
    """Answers each request with the next of `answers`: (status, headers, chunks, and an error at the end)."""

    def __init__(self, *answers):
        self.answers = list(answers)
        self.asked = []

    @asynccontextmanager
    async def get(self, _, headers):
        self.asked.append(headers)
        status, told, chunks, error = self.answers.pop(0)

        async def body():
            for chunk in chunks:
                yield chunk
            if error is not None:
                raise error

        yield SimpleNamespace(
            status=status, headers=told, content_length=told.get("Content-Length"),
            content=SimpleNamespace(iter_chunked=lambda _: body()),
        )  # fmt: skip


CUT = RetryLater("cut", reason="unreachable")
TAG = {"ETag": '"v1"', "Content-Length": 10}


async def downloaded(host):
    digest = Digest(REQUEST, 10**6)
    return b"".join([chunk async for chunk in download(host, "https://e.com/a", digest)])


async def test_a_cut_download_asks_for_the_rest_of_the_same_version():
    host = Host(
        (200, TAG, [b"0123"], CUT),
        (206, {"Content-Range": "bytes 4-9/10"}, [b"45"], CUT),
        (206, {"Content-Range": "bytes 6-9/10"}, [b"6789"], None),
    )
    assert await downloaded(host) == b"0123456789"
    assert host.asked == [
        {},
        {"Range": "bytes=4-", "If-Range": '"v1"'},
        {"Range": "bytes=6-", "If-Range": '"v1"'},
    ]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (TAG, (200, TAG, [b"other"], None)),
        (TAG, (206, {"Content-Range": "bytes 3-9/10"}, [b"x"], None)),
        (TAG, (206, {"Content-Range": "bytes 4-9/11"}, [b"x"], None)),
        (TAG, (206, {}, [b"x"], None)),
        (TAG, (206, {"Content-Range": "bytes 4-9/10", "ETag": '"v2"'}, [b"x"], None)),
        (TAG, (206, {"Content-Range": "bytes 4-9/10", "Content-Encoding": "gzip"}, [b"456789"], None)),
        (TAG, (206, {"Content-Range": "bytes 4-9/*"}, [b"x"], None)),
        (TAG, (206, {"Content-Range": f"bytes {'4' * 5_000}-9/10"}, [b"x"], None)),
        (TAG, (206, {"Content-Range": "bytes 4-9/10"}, [b"4567890123"], None)),
        ({"ETag": 'W/"weak"', "Content-Length": 10}, None),
        ({"Content-Length": 10}, None),
        ({"ETag": '"a\x01b"', "Content-Length": 10}, None),
    ],
    ids=[
        "ranges ignored", "another start", "another size", "no range told", "another version", "encoded",
        "no size told", "a number without end", "too much", "weak version", "no version",
        "a version that no header takes",
    ],
)  # fmt: skip
async def test_what_cannot_be_known_to_be_the_same_object_is_begun_anew(first, second):
    host = Host((200, first, [b"0123"], CUT), *([second] if second else []))
    with pytest.raises(StartOver):
        await downloaded(host)


async def test_connections_that_bring_nothing_end_the_download(monkeypatch):
    async def no_wait(_):
        pass

    monkeypatch.setattr("connectors.storage.download.asyncio.sleep", no_wait)
    nothing = (206, {"Content-Range": "bytes 4-9/10"}, [], CUT)
    host = Host((200, TAG, [b"0123"], CUT), *[nothing] * 20)
    with pytest.raises(RetryLater, match="cut"):
        await downloaded(host)
    assert len(host.asked) < 10


async def test_a_first_connection_that_fails_is_left_to_the_attempts_of_the_request():
    host = Host((200, TAG, [], CUT))
    with pytest.raises(RetryLater, match="cut"):
        await downloaded(host)
    assert len(host.asked) == 1


async def test_a_host_that_sends_the_rest_in_parts_is_asked_until_all_of_it_is_there():
    host = Host(
        (200, TAG, [b"0123"], CUT),
        (206, {"Content-Range": "bytes 4-6/10"}, [b"456"], None),
        (206, {"Content-Range": "bytes 7-9/10"}, [b"789"], None),
    )
    assert await downloaded(host) == b"0123456789"


async def test_the_end_of_a_chunked_object_that_was_cut_is_known_from_the_answer_that_goes_on():
    chunked = {"ETag": '"v1"', "Transfer-Encoding": "chunked"}
    host = Host(
        (200, chunked, [b"0123"], CUT),
        (206, {"Content-Range": "bytes 4-6/10"}, [b"456"], None),
        (206, {"Content-Range": "bytes 7-9/10"}, [b"789"], None),
    )
    assert await downloaded(host) == b"0123456789"
    assert await downloaded(Host((200, chunked, [b"0123"], None))) == b"0123"


@pytest.mark.parametrize(
    ("status", "headers", "raised"),
    [
        (206, {"Content-Range": "bytes 5-9/10", "Content-Length": 5}, RetryLater),
        (200, {"Content-Encoding": "gzip", "Content-Length": 5}, RetryLater),
        (200, {}, RejectRecord),
    ],
    ids=["a part that nobody asked for", "encoded, unasked", "an end that a cut looks like"],
)
async def test_what_may_not_be_the_whole_object_is_not_taken_for_it(status, headers, raised):
    with pytest.raises(raised):
        await downloaded(Host((status, headers, [b"01234"], None)))


async def test_a_host_that_hardly_sends_anything_is_too_slow(monkeypatch):
    monkeypatch.setattr("connectors.storage.download.PACE_SECONDS", 0)
    host = Host((200, TAG, [b"0123", b"456789"], None))
    with pytest.raises(RetryLater, match="too slowly") as slow:
        async for _ in download(host, "https://e.com/a", Digest(REQUEST, 10**6), least=1e12):
            pass
    assert slow.value.facts["reason"] == "too_slow"
    assert len(host.asked) == 1  # such a host is not asked for the rest


@pytest.mark.parametrize(
    "head", [b"404 page not found\n", b"\xef\xbb\xbf<!doctype html>", "Übel".encode(), ("é" * 9_000).encode()[:8_191]]
)
def test_a_text_is_no_object_of_any_kind(head):
    with pytest.raises(RejectRecord):
        require_media(head, "other", "media")


@pytest.mark.parametrize("kind", ["1 Jan 99999999999 00:00:00", "0" * 5_000, "Fri, 99 Foo 2026", "\u0661"])
def test_a_date_that_only_looks_like_one_says_nothing_and_ends_nothing(kind):
    assert seconds_of(kind, NOW) in (None, 0.0)


async def test_what_goes_wrong_behind_the_last_byte_does_not_matter():
    assert await downloaded(Host((200, TAG, [b"0123456789"], CUT))) == b"0123456789"


def test_a_signed_url_stays_out_of_the_words_of_an_error():
    with pytest.raises(RetryLater) as raised, translated():
        raise InvalidURL("https://e.com/a.mp4?X-Amz-Signature=secret")
    assert "secret" not in str(raised.value)
