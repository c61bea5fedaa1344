"""Faults of requests, answers and connections that broken proxies bring, each over real sockets."""

import gzip
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from uuid import uuid4

import httpx
import pytest

from rendercast.simulator.models import RUBBISH
from rendercast.simulator.settings import Faults

VIDEO, IMAGE = "/api/v1/file/generate-video", "/api/v1/file/generate-image"
ONE_IMAGE = {"config": {"prompt": "x", "generation_config_name": "comfyui/flux", "params": {}}}
BROKEN = (httpx.ReadError, httpx.RemoteProtocolError)


@pytest.fixture
def with_fault(start):
    async def begin(settings=None, **rates):
        upstream = await start(**(settings or {}))
        upstream.created = await upstream.script(seconds=0)
        await upstream.file(upstream.created["id"], lambda file: file["url"])
        await upstream.rates(**rates)
        return upstream

    return begin


async def test_retry_after_skew_is_a_date_by_a_clock_that_is_off_and_so_is_date(with_fault):
    upstream = await with_fault({"skew_seconds": 86_400, "retry_after_seconds": 7}, retry_after_skew=1)
    now, skews = datetime.now(UTC), set()
    for _ in range(20):
        answer = await upstream.get(upstream.created["id"])
        there, then = (parsedate_to_datetime(answer.headers[name]) for name in ("Date", "Retry-After"))
        assert answer.status_code == 429
        assert then - there == timedelta(seconds=7)
        skews.add(round((there - now) / timedelta(days=1)))
    assert skews == {-1, 1}


async def test_token_refused_is_401_or_403_with_the_right_token(with_fault):
    upstream = await with_fault(token_refused=1)
    assert {(await upstream.get(upstream.created["id"])).status_code for _ in range(20)} == {401, 403}
    assert (await upstream.http.get(f"/api/v1/events/file.{uuid4()}")).status_code in {401, 403}


async def test_redirect_leads_to_the_answer(with_fault):
    upstream = await with_fault(redirect=1)
    there = await upstream.get(upstream.created["id"])
    assert there.status_code in {302, 307, 308}
    answer = await upstream.http.get(f"/api/v1/file/{upstream.created['id']}", follow_redirects=True)
    assert answer.json()["id"] == upstream.created["id"]
    created = await upstream.http.post(IMAGE, json=ONE_IMAGE, follow_redirects=True)
    assert created.json()[0]["type"] == "image"


async def test_redirect_leads_streams_too(with_fault):
    upstream = await with_fault(redirect=1)
    file_id = str(uuid4())
    upstream.http.follow_redirects = True
    async with upstream.listen(f"file.{file_id}") as stream:
        await upstream.script(file_id=file_id)
        await stream.until(b'"in_progress"')


async def test_redirect_loop_has_no_end(with_fault):
    upstream = await with_fault(redirect_loop=1)
    with pytest.raises(httpx.TooManyRedirects):
        await upstream.http.get(f"/api/v1/file/{upstream.created['id']}", follow_redirects=True)
    first = await upstream.get(upstream.created["id"])
    await upstream.rates(redirect_loop=0)
    assert (await upstream.http.get(first.headers["Location"])).is_redirect


async def test_no_answer_comes_until_the_client_leaves_or_the_simulator_stops(with_fault):
    upstream = await with_fault(no_answer=1)
    async with upstream.raw(f"/api/v1/file/{upstream.created['id']}") as request:
        await upstream.eventually(lambda: drawn(upstream, "no_answer"))
        assert request.raw == b""
        await upstream.simulator.stop()
        assert b"200 OK" not in await request.end()


async def drawn(upstream, fault):
    return (await upstream.record())["faults"][fault]


async def test_request_reset_comes_before_any_byte(with_fault):
    upstream = await with_fault(request_reset=1)
    for _ in range(3):
        with pytest.raises(BROKEN):
            await upstream.get(upstream.created["id"])
    async with upstream.raw(f"/api/v1/file/{upstream.created['id']}") as request:
        with pytest.raises(ConnectionResetError):
            await request.end()
    assert request.raw == b""


async def test_wrong_models_is_no_list_of_models_and_befalls_nothing_else(with_fault):
    upstream = await with_fault(wrong_models=1)
    answers = [await upstream.http.get("/api/v1/generation-config") for _ in range(40)]
    assert {each.status_code for each in answers} == {200}
    found = [each.json() for each in answers]
    assert all(each in found for each in RUBBISH)
    assert all(each in RUBBISH for each in found)
    assert (await upstream.get(upstream.created["id"])).json()["id"] == upstream.created["id"]


async def test_wrong_file_is_another_one_and_done(with_fault):
    upstream = await with_fault(wrong_file=1)
    before = (await upstream.record())["files"][upstream.created["id"]]["done_by_poll"]
    found = (await upstream.get(upstream.created["id"])).json()
    assert found["id"] != upstream.created["id"]
    assert (await upstream.http.get(found["url"])).status_code == 200
    assert (await upstream.record())["files"][upstream.created["id"]]["done_by_poll"] == before
    assert (await upstream.get(str(uuid4()))).status_code == 404


async def test_answer_reset_breaks_in_the_middle_of_the_body(with_fault):
    upstream = await with_fault(answer_reset=1)
    async with upstream.raw(f"/api/v1/file/{upstream.created['id']}") as request:
        with pytest.raises((ConnectionResetError, AssertionError)):
            await request.until(b"never said")
    with pytest.raises(BROKEN):
        await upstream.get(upstream.created["id"])
    statuses = (await upstream.record())["files"][upstream.created["id"]]["statuses"]
    assert set(statuses) == {"200"}


async def test_answer_slow_comes_byte_by_byte_and_whole(with_fault):
    upstream = await with_fault({"slow_byte_seconds": 0.0001}, answer_slow=1)
    assert (await upstream.get(upstream.created["id"])).json()["id"] == upstream.created["id"]
    await upstream.http.aclose()


async def test_answer_slow_rests_after_each_byte(with_fault):
    upstream = await with_fault({"slow_byte_seconds": 3600}, answer_slow=1)
    async with upstream.raw(f"/api/v1/file/{upstream.created['id']}") as request:
        assert (await request.until(b"\r\n\r\n{")).endswith(b"\r\n\r\n{")
        assert not request.raw.endswith(b"}")


async def test_answer_gzip_is_gzip_though_nobody_asked(with_fault):
    upstream = await with_fault(answer_gzip=1)
    path = f"/api/v1/file/{upstream.created['id']}"
    async with upstream.http.stream("GET", path, headers={"Accept-Encoding": "identity"}) as answer:
        raw = b"".join([piece async for piece in answer.aiter_raw()])
    assert answer.headers["Content-Encoding"] == "gzip"
    assert upstream.created["id"].encode() in gzip.decompress(raw)
    assert (await upstream.http.get(path)).json()["id"] == upstream.created["id"]


async def test_answer_wrong_type_is_json_called_html(with_fault):
    upstream = await with_fault(answer_wrong_type=1)
    answer = await upstream.get(upstream.created["id"])
    assert answer.headers["Content-Type"].startswith("text/html")
    assert answer.json()["id"] == upstream.created["id"]


async def test_answer_page_is_200_and_html(with_fault):
    upstream = await with_fault(answer_page=1)
    answer = await upstream.get(upstream.created["id"])
    assert (answer.status_code, answer.text[:6]) == (200, "<html>")


async def test_connect_reset_takes_no_request_and_spares_the_admin_port(start):
    upstream = await start(admin_port=0, faults=Faults(connect_reset=1))
    with pytest.raises((*BROKEN, httpx.ConnectError)):
        await upstream.get(str(uuid4()))
    async with httpx.AsyncClient(base_url=upstream.simulator.admin_url, trust_env=False) as admin:
        assert (await admin.post("/__faults", json={"connect_reset": 0})).status_code == 200
    assert (await upstream.get(str(uuid4()))).status_code == 404


async def test_a_file_with_rates_of_its_own_has_its_answers_alone_disturbed(start):
    upstream = await start()
    troubled, spared = await upstream.script(faults={"answer_page": 1}), await upstream.script()
    assert (await upstream.get(troubled["id"])).text.startswith("<html>")
    assert (await upstream.get(spared["id"])).json()["id"] == spared["id"]
    files = (await upstream.record())["files"]
    assert (files[troubled["id"]]["faults"], files[spared["id"]]["faults"]) == ({"answer_page": 1}, {})
