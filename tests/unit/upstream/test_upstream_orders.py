"""Generate calls with the list of models before them, and with what is repeated."""

import orjson
import pytest

from connectors.upstream import orders as room
from connectors.upstream.errors import Refused, TooMany, Trouble, Unauthorized
from connectors.upstream.generation import GenerateRequest
from connectors.upstream.orders import AGAIN_SECONDS, LIST_SECONDS, Orders

CONFLICT = Refused("", "Integrity error, create", status=409)
UNREACHABLE = Trouble("unreachable", "no")


class Client:
    """`lists` by sort; each generate call gets the next of `answers`, and the last one ever after."""

    def __init__(self, *answers) -> None:
        self.answers = list(answers or [()])
        self.lists = {sort: [{"name": sort}] for kind in room._SORTS.values() for sort in kind}
        self.calls = self.listed = 0

    async def generate(self, kind, request):
        self.calls += 1
        found = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(found, Exception):
            raise found
        return found

    async def generation_configs(self, sort):
        self.listed += 1
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
