"""`/api/generate/…` where there is a chat database: one click is one generation, whichever gateways hear of it."""

import asyncio

import pytest
from unit.gateway.conftest import make_file_id
from unit.gateway.turns.site import BODY, ORDER, Between, away, order, post

from connectors.chats.settings import ChatsSettings
from connectors.gateway import generations, metrics, unsaved
from connectors.gateway.errors import Problem, bad_field
from connectors.gateway.generate import MayHaveBegun
from rendercast.conversing import turns as turns_of
from schemas.errors import RetryLater

WHOLE = {**ORDER, "project_id": "p", "user_id": "u", "chat": {"chat_id": "a tool"}, "deadline_seconds": 60}


async def test_a_click_at_two_gateways_at_once_and_after_a_restart_is_one_generation(site, stand):
    site.upstream.count = 2
    gateways = [stand, await site.gateway()]
    site.upstream.open.clear()
    running = [asyncio.create_task(order(each)) for each in gateways * 4]
    await stand.until(lambda: site.upstream.asked)
    site.upstream.open.set()
    answers = [*await asyncio.gather(*running), await order(await site.gateway())]
    assert {each.status_code for each in answers} == {202}
    assert len({each.text for each in answers}) == 1
    assert [each["file_id"] for each in answers[0].json()["files"]] == [make_file_id(1), make_file_id(2)]
    assert len(site.upstream.asked) == 1
    assert (site.rows("message"), site.rows("chat"), len(site.rows("turn"))) == ([], [], 1)


async def test_what_kafka_does_not_have_is_tracked_by_whichever_gateway_is_asked_next_and_as_it_would_have_been(site):
    first, second = await site.gateway(), await site.gateway()
    first.commands.trouble = RetryLater("Kafka did not take the command.", after=3)
    lost = await order(first, WHOLE)
    assert (lost.status_code, lost.headers["retry-after"]) == (503, "3")
    answer = await order(second, WHOLE)
    assert (answer.status_code, answer.json()["files"]) == (202, lost.json()["files"])
    first.commands.trouble = None
    assert (await order(first, WHOLE)).json() == answer.json()
    assert (len(site.upstream.asked), first.commands.sent) == (1, [])
    [track] = second.commands.sent
    assert track.model_dump(exclude_none=True, exclude={"issued_at"}) == {
        "type": "track", "file_id": make_file_id(1), "kind": "video", "request_id": lost.json()["request_id"],
        "project_id": "p", "user_id": "u", "chat": {"chat_id": "a tool"}, "prompt": "a cat", "deadline_seconds": 60,
    }  # fmt: skip


async def test_a_gateway_that_died_while_it_asked_leaves_an_order_that_is_unsure(site, stand, monkeypatch):
    monkeypatch.setattr(generations, "GRACE_SECONDS", 0)
    await site.die_asking(stand, order)
    for _ in range(2):
        answer = await order(await site.gateway(generate_wait_seconds=0.1))
        assert (answer.status_code, answer.json()["reason"]) == (502, "unsure")
    assert (len(site.upstream.asked), site.rows("turn")[0]["state"]) == (1, "unsure")


@pytest.mark.parametrize("trouble", [MayHaveBegun(504, "silent"), RuntimeError("a bug")])
async def test_where_nobody_knows_what_has_begun_no_gateway_asks_again(site, stand, trouble):
    site.upstream.trouble = trouble
    first = await order(stand)
    assert first.status_code >= 500
    for each in (stand, await site.gateway()):
        answer = await order(each)
        assert answer.json()["reason"] == "unsure"
        assert answer.text == first.text or not isinstance(trouble, MayHaveBegun)
    assert len(site.upstream.asked) == 1


async def test_a_refusal_is_told_to_who_waits_elsewhere_and_frees_the_key_everywhere(site, stand):
    other = await site.gateway()
    site.upstream.open.clear()
    site.upstream.trouble = Problem(429, "a pause", headers={"Retry-After": "7"})
    first = asyncio.create_task(order(stand))
    await stand.until(lambda: site.upstream.asked)
    before = metrics.GENERATE_JOINED._value.get()
    second = asyncio.create_task(order(other))
    await stand.until(lambda: metrics.GENERATE_JOINED._value.get() == before + 1)
    site.upstream.open.set()
    answers = await asyncio.gather(first, second)
    assert {(each.status_code, each.headers["retry-after"]) for each in answers} == {(429, "7")}
    site.upstream.trouble = None
    assert (await order(other, {**ORDER, "seed": 1})).status_code == 202
    assert len(site.upstream.asked) == 2


@pytest.mark.parametrize(("body", "kind"), [({**ORDER, "seed": 1}, "video"), (ORDER, "image")])
async def test_a_key_that_came_with_another_request_is_refused_everywhere(site, stand, body, kind):
    await order(stand)
    for each in (stand, await site.gateway()):
        answer = await order(each, body, kind)
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "Idempotency-Key")
        assert (await post(each, BODY)).status_code == 422
    assert len(site.upstream.asked) == 1


async def test_without_the_database_a_click_is_refused_before_anybody_is_asked(tmp_path, site):
    stand = await site.gateway(turns=turns_of(ChatsSettings(url=f"sqlite:///{tmp_path}/none/chats.db")))
    for body, headers in [(ORDER, {}), ({**ORDER, "request_id": "r"}, {"Idempotency-Key": ""})]:
        answer = await order(stand, body, **headers)
        assert (answer.status_code, "retry-after" in answer.headers) == (503, True)
    assert site.upstream.asked == []


async def test_what_has_no_key_needs_no_database(tmp_path, site):
    stand = await site.gateway(turns=turns_of(ChatsSettings(url=f"sqlite:///{tmp_path}/none/chats.db")))
    answers = [await order(stand, **{"Idempotency-Key": ""}) for _ in range(2)]
    assert [each.status_code for each in answers] == [202, 202]
    assert (len(site.upstream.asked), len(stand.commands.sent)) == (2, 2)


async def test_a_database_that_fails_while_the_answer_is_noted_costs_neither_the_click_nor_its_repeats(
    site, monkeypatch
):
    monkeypatch.setattr(unsaved, "SAVE_AGAIN_SECONDS", 0.05)
    stand, other = [await site.gateway(turns=Between(site), generate_wait_seconds=600) for _ in range(2)]
    stand.turns.save = away
    first, again = await order(stand), await order(stand)
    assert site.rows("turn")[0]["state"] == "asked"
    waiting = asyncio.create_task(order(other))
    del stand.turns.save
    assert {each.text for each in (first, again, await waiting)} == {first.text}
    assert (first.status_code, len(site.upstream.asked), other.commands.sent) == (202, 1, [])


async def test_a_database_that_takes_nothing_for_a_while_is_told_again(site, monkeypatch):
    """A right or a password that is missing is not of the order."""
    monkeypatch.setattr(unsaved, "SAVE_AGAIN_SECONDS", 0.01)
    stand = await site.gateway(turns=Between(site), generate_wait_seconds=600)
    tries = []

    async def closed(*_, **__):
        tries.append(1)
        raise Problem(503, "The chat database cannot be used as it is.")

    stand.turns.save = closed
    assert (await order(stand)).status_code == 202
    await stand.until(lambda: len(tries) > 5)
    del stand.turns.save
    await stand.until(lambda: site.rows("turn")[0]["state"] == "followed")


async def test_the_gateway_that_asks_knows_better_than_one_that_calls_it_unsure(site, stand):
    """Their clocks may differ."""
    site.upstream.open.clear()
    first = asyncio.create_task(order(stand))
    await stand.until(lambda: site.upstream.asked)
    site.change(state="unsure")
    before = metrics.GENERATE_JOINED._value.get()
    again = asyncio.create_task(order(stand))
    await stand.until(lambda: metrics.GENERATE_JOINED._value.get() > before)
    site.upstream.open.set()
    assert {each.status_code for each in await asyncio.gather(first, again)} == {202}
    assert len(site.upstream.asked) == 1


async def test_after_a_refusal_that_was_not_noted_the_same_gateway_begins_anew(site):
    stand = await site.gateway(turns=Between(site), generate_wait_seconds=600)
    stand.turns.save = away
    site.upstream.trouble = bad_field("model", "unknown")
    assert (await order(stand)).status_code == 422
    site.upstream.trouble = None
    del stand.turns.save
    assert (await order(stand)).status_code == 202
    assert len(site.upstream.asked) == 2
