"""What the upstream's answers become for those who asked the gateway."""

import pytest
from aiohttp import web
from unit.upstream.fake_upstream import TOKEN, FakeUpstream

from connectors.gateway.errors import Problem
from connectors.gateway.generate import Begun, GenerateBody, MayHaveBegun
from connectors.gateway.models import Param
from connectors.upstream.settings import ConnectorSettings
from rendercast.generating import UpstreamGenerator, generator
from rendercast.simulator.server import Simulator
from rendercast.simulator.settings import Faults, SimulatorSettings

FILE = "998d1234-5678-4abc-8def-0123456789ab"
OTHER = "11111111-2222-4333-8444-555555555555"
WANTED = GenerateBody(model="flux", prompt="a cat", params={"n": 1}, seed=7, request_id="r1", user_id="me")


@pytest.fixture
async def upstream():
    async with FakeUpstream() as found:
        yield found


def settings(upstream, **changes):
    return ConnectorSettings(**{"base_url": upstream.url, "token": TOKEN, **changes})


async def asked(upstream, wanted=WANTED, **changes):
    async with UpstreamGenerator(settings(upstream, **changes)) as found:
        return await found.generate("image", wanted)


async def refused(upstream, wanted=WANTED, **changes) -> Problem:
    with pytest.raises(Problem) as caught:
        await asked(upstream, wanted, **changes)
    assert TOKEN not in str(caught.value.response().body)
    return caught.value


async def test_every_file_of_the_answer_is_begun(upstream):
    upstream.generated = [{"id": FILE, "type": "image", "image_generation_id": "u1"}, {"id": OTHER}]
    assert await asked(upstream) == [
        Begun(file_id=FILE, kind="image", upstream_generation_id="u1"),
        Begun(file_id=OTHER, kind="image"),
    ]
    config = {"prompt": "a cat", "generation_config_name": "flux", "params": {"n": 1}, "seed": 7}
    assert upstream.posts == [("generate-image", {"config": config})]


@pytest.mark.parametrize(
    ("answer", "status", "field", "words"),
    [
        ({"detail": [{"loc": ["body", "config", "prompt"], "msg": "Too short"}]}, 422, "prompt", "Too short"),
        ({"detail": "no", "errors": [{"field": "config.params.size", "message": "huge"}]}, 422, "params.size", "huge"),
        ({"detail": "no", "errors": [{"field": "config.generation_config_name", "message": "?"}]}, 422, "model", "?"),
        ({"detail": [{"loc": ["body", "config", "n"], "msg": "Too many"}]}, 422, "params.n", "Too many"),
        ({"detail": "Invalid payload"}, 400, None, "Invalid payload"),
    ],
)
async def test_a_refusal_names_the_field_as_our_body_calls_it(upstream, answer, status, field, words):
    upstream.generated = web.json_response(answer, status=status)
    problem = await refused(upstream)
    assert (problem.status, isinstance(problem, MayHaveBegun)) == (422, False)
    assert [each["field"] for each in problem.errors] == ([field] if field else [])
    assert words in problem.detail


async def test_what_the_upstream_would_choke_on_never_leaves(upstream):
    sora = GenerateBody(model="azure-openai/sora", prompt="a cat", params={"aspect_ratio": "4:3"})
    problem = await refused(upstream, sora)
    assert (problem.status, problem.errors[0]["field"]) == (422, "params.aspect_ratio")
    assert upstream.posts == []


async def test_every_parameter_that_is_wrong_is_named_and_nothing_leaves(upstream):
    params = {"width": 0, "batch_size": 3, "duration": "5"}
    problem = await refused(upstream, WANTED.model_copy(update={"params": params}), max_batch=2)
    assert problem.status == 422
    assert [dict(each) for each in problem.errors] == [
        {"field": "params.width", "message": "should be a whole number of pixels from 1 to 16384"},
        {"field": "params.batch_size", "message": "should be a whole number from 1 to 2"},
    ]
    assert upstream.posts == []


@pytest.mark.parametrize("form", ["schema", "options"])
async def test_the_models_are_told_with_what_is_known_of_their_parameters(form):
    async with Simulator(SimulatorSettings(model_params=form)) as simulator:
        settings = ConnectorSettings(base_url=simulator.url, token="simulator-token")
        async with UpstreamGenerator(settings) as found:
            known = await found.models("video")
    assert known.are_all
    told = {each.name: each for each in known.models}
    assert told["comfyui/ltx"].params["duration"] == Param(types=["number"], minimum=1, maximum=10, default=5)
    assert told["azure-openai/sora"].params["aspect_ratio"].needed
    assert told["google-cloud/veo3"].sorts == ("image_to_video",)


async def test_rubbish_in_the_place_of_the_list_stops_no_generation():
    faults = Faults(wrong_models=1)
    async with Simulator(SimulatorSettings(faults=faults, model_params="schema")) as simulator:
        settings = ConnectorSettings(base_url=simulator.url, token="simulator-token")
        async with UpstreamGenerator(settings) as found:
            assert not (await found.models("image")).are_all
            wanted = GenerateBody(model="comfyui/flux", prompt="a cat", params={"batch_size": 2, "width": 10})
            assert len(await found.generate("image", wanted)) == 2


async def test_a_server_whose_token_is_refused_has_no_models_to_tell():
    async with Simulator(SimulatorSettings(token="another")) as simulator:
        found = UpstreamGenerator(ConnectorSettings(base_url=simulator.url, token=TOKEN))
        with pytest.raises(Problem) as caught:
            async with found:
                await found.models("image")
    assert caught.value.status == 502


@pytest.mark.parametrize(
    ("answer", "status", "after", "unsure"),
    [
        (web.json_response({"detail": "Integrity error, create"}, status=409), 503, "2", False),
        (web.Response(status=429, headers={"Retry-After": "7"}), 429, "7", False),
        (web.Response(status=503, headers={"Retry-After": "7"}), 503, "7", False),
        (web.Response(status=404), 502, None, False),
        (web.Response(status=500), 502, None, True),
        (web.Response(status=524), 504, None, True),
        (web.json_response([]), 502, None, True),
    ],
)
async def test_trouble_says_when_to_come_back_and_whether_something_may_have_begun(
    upstream, monkeypatch, answer, status, after, unsure
):
    monkeypatch.setattr("connectors.upstream.orders.TRIES", 1)
    upstream.generated = answer
    problem = await refused(upstream)
    assert (problem.status, (problem.headers or {}).get("Retry-After")) == (status, after)
    assert isinstance(problem, MayHaveBegun) is unsure


async def test_a_refused_token_is_not_the_callers(upstream):
    upstream.generated = web.Response(status=401)
    assert (await refused(upstream)).status == 502


async def test_a_host_that_cannot_be_reached_has_begun_nothing(upstream):
    problem = await refused(upstream, base_url="http://127.0.0.1:1")
    assert (problem.status, isinstance(problem, MayHaveBegun)) == (503, False)


def test_without_a_token_there_is_no_generator():
    assert generator(ConnectorSettings()) is None
    assert isinstance(generator(ConnectorSettings(token="t")), UpstreamGenerator)
