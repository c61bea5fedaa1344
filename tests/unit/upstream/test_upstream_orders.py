"""Generate calls with the list of models before them, and with what is repeated."""

import asyncio

import orjson
import pytest

from connectors.upstream import catalog
from connectors.upstream import orders as room
from connectors.upstream.catalog import AGAIN_SECONDS, LIST_SECONDS, SORTS
from connectors.upstream.errors import Refused, TooMany, Trouble, Unauthorized
from connectors.upstream.generation import GenerateRequest, WrongParams
from connectors.upstream.orders import Orders
from connectors.upstream.parameters import Wrong

CONFLICT = Refused("", "Integrity error, create", status=409)
UNREACHABLE = Trouble("unreachable", "no")


class Client:
    """`lists` by sort; each generate call gets the next of `answers`, and the last one ever after."""

    def __init__(self, *answers) -> None:
        self.answers = list(answers or [()])
        self.lists = {sort: [{"name": sort}] for kind in SORTS.values() for sort in kind}
        self.calls = self.listed = 0
        self.open = asyncio.Event()
        self.open.set()

    async def generate(self, kind, request):
        self.calls += 1
        found = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(found, Exception):
            raise found
        return found

    async def generation_configs(self, sort):
        self.listed += 1
        await self.open.wait()
        found = self.lists[sort]
        if isinstance(found, Exception):
            raise found
        return found if isinstance(found, bytes) else orjson.dumps(found)


@pytest.fixture(autouse=True)
def no_pause(monkeypatch):
    monkeypatch.setattr(room, "PAUSE_SECONDS", 0)


def wanted(model="text_to_video", **params):
    return GenerateRequest(model=model, prompt="a cat", params=params)


@pytest.mark.parametrize("trouble", [CONFLICT, UNREACHABLE])
async def test_what_has_begun_nothing_is_tried_three_times(trouble):
    client = Client(trouble, trouble, ("begun",))
    assert await Orders(client).generate("video", wanted()) == ("begun",)
    client = Client(trouble)
    with pytest.raises(type(trouble)):
        await Orders(client).generate("video", wanted())
    assert client.calls == 3


@pytest.mark.parametrize(
    "trouble",
    [
        Trouble("reset", ""), Trouble("silent", ""), Trouble("status_500", "", status=500), Trouble("no_file_id", ""),
        Trouble("no_turn", ""), TooMany("status_429", "", status=429), Refused("prompt", "no", status=422),
        Refused("", "no", status=400),
    ],
)  # fmt: skip
async def test_anything_else_is_not_repeated(trouble):
    client = Client(trouble)
    with pytest.raises(type(trouble)):
        await Orders(client).generate("video", wanted())
    assert client.calls == 1


async def test_a_model_that_is_not_on_the_list_is_refused_with_those_that_are():
    client = Client()
    with pytest.raises(Refused) as caught:
        await Orders(client).generate("video", wanted("text_to_image"))
    assert caught.value.field == "model"
    assert "image_to_video, text_to_video" in str(caught.value)
    assert client.calls == 0


async def test_the_list_is_asked_for_now_and_then_and_for_a_model_that_may_be_new():
    now = 0.0
    client = Client()
    orders = Orders(client, lambda: now)
    for _ in range(3):
        await orders.generate("video", wanted())
    assert client.listed == 2
    now = AGAIN_SECONDS - 1
    client.lists["text_to_video"] = [{"name": "text_to_video"}, {"name": "new"}]
    with pytest.raises(Refused):
        await orders.generate("video", wanted("new"))
    now = AGAIN_SECONDS
    await orders.generate("video", wanted("new"))
    assert client.listed == 4
    now += LIST_SECONDS
    await orders.generate("video", wanted())
    assert client.listed == 6


@pytest.mark.parametrize(
    "found",
    [Trouble("silent", ""), TooMany("status_429", "", status=429), [], {"models": []}, b"<html>", [3, {"name": 4}]],
)
async def test_without_a_whole_list_the_upstream_decides(found):
    client = Client()
    client.lists["image_to_video"] = found
    orders = Orders(client, lambda: 0.0)
    for _ in range(2):
        await orders.generate("video", wanted("anything"))
    assert (client.calls, client.listed) == (2, 2)


async def test_a_list_that_is_refused_with_the_token_ends_the_order():
    client = Client()
    client.lists["text_to_video"] = Unauthorized("status_401", "no", status=401)
    with pytest.raises(Unauthorized):
        await Orders(client).generate("video", wanted())
    assert client.calls == 0


async def test_what_can_be_refused_without_the_upstream_asks_it_nothing():
    client = Client()
    with pytest.raises(Refused):
        await Orders(client).generate("video", wanted(aspecRatio="16:9"))
    assert (client.calls, client.listed) == (0, 0)


async def test_all_parameters_that_are_wrong_are_refused_at_once_and_nothing_is_begun():
    client = Client()
    client.lists["text_to_video"] = [{"name": "m", "params": {"duration": {"enum": [5, 10]}}}]
    with pytest.raises(WrongParams) as caught:
        await Orders(client, max_batch=2).generate("video", wanted("m", duration=7, batch_size=3, width=512))
    assert caught.value.wrong == (
        Wrong("params.duration", "should be one of 5, 10"),
        Wrong("params.batch_size", "should be a whole number from 1 to 2"),
    )
    assert client.calls == 0


@pytest.mark.parametrize("trouble", [Trouble("silent", ""), b"<html>", []])
async def test_while_the_list_cannot_be_had_the_one_that_is_known_serves_and_a_new_model_is_let_through(trouble):
    now = 0.0
    client = Client()
    client.lists["text_to_video"] = [{"name": "m", "params": {"duration": {"maximum": 10}}}]
    orders = Orders(client, lambda: now)
    await orders.generate("video", wanted("m"))
    whole, client.lists["text_to_video"], now = client.lists["text_to_video"], trouble, LIST_SECONDS
    with pytest.raises(WrongParams):
        await orders.generate("video", wanted("m", duration=11))
    await orders.generate("video", wanted("new"))
    listed = client.listed
    now += AGAIN_SECONDS - 1
    await orders.generate("video", wanted("m"))
    assert client.listed == listed
    client.lists["text_to_video"], now = whole, now + 1
    with pytest.raises(Refused, match="the upstream has no video model"):
        await orders.generate("video", wanted("new"))


async def test_nobody_waits_for_the_list_while_somebody_asks_for_it_and_one_is_known():
    now = 0.0
    client = Client()
    orders = Orders(client, lambda: now)
    client.open.clear()
    first = [asyncio.create_task(orders.models("video")) for _ in range(3)]
    await asyncio.sleep(0)
    client.open.set()
    await asyncio.gather(*first)
    assert client.listed == 2
    now = LIST_SECONDS
    client.open.clear()
    asking = asyncio.create_task(orders.models("video"))
    async with asyncio.timeout(20):
        while client.listed < 3:  # noqa: ASYNC110 - what is waited for has no event of its own
            await asyncio.sleep(0)
        await orders.generate("video", wanted())
    assert (client.calls, asking.done()) == (1, False)
    client.open.set()
    assert (await asking).are_all
    assert client.listed == 4


async def test_a_list_that_does_not_come_is_not_waited_for_long(monkeypatch):
    monkeypatch.setattr(catalog, "PATIENCE_SECONDS", 0.01)
    client = Client()
    client.open.clear()
    await Orders(client).generate("video", wanted("anything"))
    assert client.calls == 1
