"""Breaking and healing while it runs: what each call does over real sockets, for whom, and for how long."""

import time
from email.utils import parsedate_to_datetime
from uuid import uuid4

import httpx
import pytest

BROKEN = (httpx.ReadError, httpx.RemoteProtocolError)


async def test_end_streams_ends_all_of_them_cleanly_and_later_ones_live(upstream):
    async with upstream.listen(f"file.{uuid4()}") as one, upstream.listen(f"project.{uuid4()}") as two:
        assert await upstream.break_("end_streams") == {"ended": 2}
        assert [await one.end(), await two.end()] == [b"", b""]
    file_id = str(uuid4())
    async with upstream.listen(f"file.{file_id}") as stream:
        await upstream.script(file_id=file_id)
        await stream.until(b'"in_progress"')


async def test_end_streams_ends_the_silent_ones_too(start):
    upstream = await start(faults={"stream_silent": 1})
    async with upstream.listen(f"file.{uuid4()}") as stream:
        assert await upstream.break_("end_streams") == {"ended": 1}
        assert await stream.end() == b""


@pytest.mark.parametrize("scope", ["channel", "file_id"])
async def test_reset_streams_resets_those_of_one_channel(upstream, scope):
    file_id, other = str(uuid4()), str(uuid4())
    named = {"channel": f"file.{file_id}"} if scope == "channel" else {"file_id": file_id}
    async with upstream.listen(f"file.{file_id}") as stream, upstream.listen(f"file.{other}") as spared:
        assert await upstream.break_("reset_streams", **named) == {"ended": 1}
        with pytest.raises(BROKEN):
            await stream.end()
        await upstream.script(file_id=other)
        await spared.until(b'"in_progress"')


async def test_hang_up_resets_every_connection_but_the_one_that_asks(upstream):
    async with upstream.listen(f"file.{uuid4()}") as one, upstream.listen(f"file.{uuid4()}") as two:
        assert (await upstream.break_("hang_up"))["ended"] >= 2
        for stream in (one, two):
            with pytest.raises(BROKEN):
                await stream.end()


async def test_refuse_answers_with_a_status_until_it_is_healed(upstream):
    created = await upstream.script()
    broken = await upstream.break_("refuse", status=502)
    assert (await upstream.get(created["id"])).status_code == 502
    assert (await upstream.http.get(f"/api/v1/events/file.{created['id']}")).status_code == 502
    assert await upstream.heal(id=broken["id"]) == 1
    assert (await upstream.get(created["id"])).status_code == 200


async def test_refuse_can_be_for_streams_or_calls_alone(upstream):
    created = await upstream.script()
    path = f"/api/v1/events/file.{created['id']}"
    await upstream.break_("refuse", of="streams")
    assert (await upstream.get(created["id"])).status_code == 200
    assert (await upstream.http.get(path)).status_code == 503
    await upstream.heal()
    await upstream.break_("refuse", of="calls")
    assert (await upstream.get(created["id"])).status_code == 503
    async with upstream.listen(f"file.{created['id']}") as stream:
        assert stream.response.status_code == 200


async def test_a_break_heals_by_itself_after_its_simulated_seconds(start):
    upstream = await start(speed=10)
    created = await upstream.script(seconds=3600)
    begun = time.monotonic()
    await upstream.break_("refuse", seconds=5)

    async def healed():
        return (await upstream.get(created["id"])).status_code == 200

    await upstream.eventually(healed)
    assert time.monotonic() - begun >= 0.5
    assert (await upstream.http.get("/__break")).json() == []


async def test_a_break_of_one_file_leaves_the_others(upstream):
    broken, spared = await upstream.script(), await upstream.script()
    await upstream.break_("refuse", file_id=broken["id"])
    assert (await upstream.get(broken["id"])).status_code == 503
    assert (await upstream.get(spared["id"])).status_code == 200
    assert (await upstream.http.get(f"/api/v1/events/file.{broken['id']}")).status_code == 503


async def test_rate_limit_names_its_delay_in_seconds_or_as_a_date(upstream):
    created = await upstream.script()
    await upstream.break_("rate_limit", retry_after=17)
    answer = await upstream.get(created["id"])
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "17")
    await upstream.heal(what="rate_limit")
    await upstream.break_("rate_limit", retry_after=17, as_date=True, skew_seconds=-3600)
    answer = await upstream.get(created["id"])
    there, then = (parsedate_to_datetime(answer.headers[name]) for name in ("Date", "Retry-After"))
    assert (then - there).total_seconds() == 17
    assert there.timestamp() < time.time() - 1800


async def test_slow_answers_late(upstream):
    created = await upstream.script()
    begun = time.monotonic()
    await upstream.break_("slow", delay=0.2)
    assert (await upstream.get(created["id"])).status_code == 200
    assert time.monotonic() - begun >= 0.2


async def test_stall_is_silent_and_what_was_said_meanwhile_is_gone(start):
    upstream = await start(ping_seconds=0.02)
    file_id = str(uuid4())
    async with upstream.listen(f"file.{file_id}") as stream:
        await stream.until(b": ping")
        await upstream.break_("stall", channel=f"file.{file_id}")
        await upstream.script(file_id=file_id, seconds=0, behaviour="fails")
        await upstream.file(file_id, lambda file: file["tasks"][0]["status"] == "error")

        async def is_stalled():
            return (await upstream.record())["total"]["breaks"].get("stall", 0) >= 12  # the frames and a ping

        await upstream.eventually(is_stalled)
        await upstream.heal()
        before = len(stream.raw)
        await upstream.http.post(f"/__regenerate/{file_id}", json={"seconds": 3600})
        await stream.until(b'"in_progress"')
    assert b"ERROR" not in stream.raw
    assert stream.raw[before:].count(b"data:") <= 3


async def test_heal_picks_by_what_it_names(upstream):
    file_id = str(uuid4())
    await upstream.break_("refuse", file_id=file_id)
    await upstream.break_("stall")
    await upstream.break_("slow", delay=0, channel="project.x")
    present = (await upstream.http.get("/__break")).json()
    assert [each["what"] for each in present] == ["refuse", "stall", "slow"]
    assert await upstream.heal(what="rate_limit") == 0
    assert await upstream.heal(file_id=file_id) == 1
    assert await upstream.heal(what="stall") == 1
    assert await upstream.heal() == 1


@pytest.mark.parametrize(
    "body",
    [
        {}, {"what": "nothing"}, {"what": "hang_up", "file_id": str(uuid4())}, {"what": "refuse", "status": 200},
        {"what": "end_streams", "seconds": 3}, {"what": "slow", "delay": -1},
        {"what": "stall", "channel": "file.x", "file_id": str(uuid4())},
    ],
)  # fmt: skip
async def test_a_wrong_break_is_422_and_breaks_nothing(upstream, body):
    assert (await upstream.http.post("/__break", json=body)).status_code == 422
    assert (await upstream.http.get("/__break")).json() == []


async def test_a_wrong_heal_is_422(upstream):
    assert (await upstream.http.post("/__heal", json={"who": 1})).status_code == 422


async def test_the_rates_can_be_read(upstream):
    await upstream.rates(junk=0.5)
    assert (await upstream.http.get("/__faults")).json()["junk"] == 0.5


async def test_the_record_says_what_is_broken_and_what_was_done(upstream):
    await upstream.break_("refuse", status=500)
    await upstream.get(str(uuid4()))
    record = await upstream.record()
    assert [(each["what"], each["status"], each["left"]) for each in record["broken_now"]] == [("refuse", 500, None)]
    assert [each["break"] for each in record["levers"]] == [{"what": "refuse", "status": 500}]
    assert record["total"]["breaks"] == {"refuse": 1}
