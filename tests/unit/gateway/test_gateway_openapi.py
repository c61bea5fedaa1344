"""The OpenAPI document, and the application held to it."""

import asyncio

import httpx
import jsonschema_rs
import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode, openapi
from schemathesis import checks as known
from unit.gateway.conftest import Stand, make_file_id, make_job

from connectors.gateway.generate import Begun
from connectors.gateway.models import Model, Models, Param
from connectors.gateway.routes import Routes
from connectors.gateway.server import HttpServer
from connectors.gateway.turns import Turn

CHECKS = [
    known.not_a_server_error, known.status_code_conformance, known.content_type_conformance,
    known.response_headers_conformance, known.response_schema_conformance,
]  # fmt: skip
EXAMPLES = 25
FIXED = settings(
    max_examples=EXAMPLES, derandomize=True, database=None, deadline=None, phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
ENDLESS = {"/api/events", "/api/events/{channel}"}
STREAMS = {"/api/generate-stream"}
"""Their schema is that of the whole text; schemathesis would hold each event to it."""


class Upstream:
    """Begins a file for everybody."""

    async def generate(self, kind, wanted):
        return [Begun(file_id=make_file_id(1), kind=kind, project_id="p")]

    async def models(self, kind):
        return Models(are_all=True, models=[Model(name="m", sorts=["text_to_video"], params={"duration": Param()})])


class Turns:
    """Has each turn that is begun, and its end; and no other order."""

    async def begin(self, order, **_):
        if not isinstance(order, Turn):
            return order
        begun = Begun(file_id=make_file_id(3), kind=order.facts.kind)
        return order.changed(attempt="earlier", state="followed", files=(begun,))

    async def save(self, order, **_):
        pass

    async def shown(self, turn):
        return [{"file_id": make_file_id(3), "generation": turn.request_id, "version": 1, "outcome": "completed"}]

    async def find(self, message_id):
        return None


@pytest.fixture
async def stand():
    found = Stand(max_body_bytes=100_000)
    routes = Routes(found.settings, found.board, found.commands, found.access, lambda: None, Upstream(), Turns())
    found.server = HttpServer(routes.application(), found.settings)
    await found.start()
    found.board.has_loaded()
    found.tell(make_job(1, project_id="p"))
    found.tell(make_job(2, outcome="completed", url="https://x.example/a.mp4"))
    yield found
    await found.end()
    await routes.close()


@pytest.fixture
async def document(stand):
    return (await stand.http.get("/openapi.json")).json()


async def test_every_route_but_the_page_is_in_the_document(stand, document):
    told = {(method.upper(), path) for path, each in document["paths"].items() for method in each}
    assert told == {
        ("POST", "/api/jobs"), ("GET", "/api/jobs"), ("GET", "/api/jobs/{file_id}"), ("DELETE", "/api/jobs/{file_id}"),
        ("POST", "/api/jobs/{file_id}/check"), ("POST", "/api/generate/{kind}"), ("GET", "/api/models"),
        ("POST", "/api/generate-stream"), ("GET", "/api/generate-stream/{message_id}"),
        ("DELETE", "/api/generate-stream/{message_id}"), ("GET", "/api/events"),
        ("GET", "/api/events/{channel}"), ("GET", "/healthz"), ("GET", "/readyz"), ("GET", "/metrics"),
        ("GET", "/openapi.json"),
    }  # fmt: skip


async def test_the_document_says_what_a_body_takes(document):
    schemas = document["components"]["schemas"]
    assert schemas["GenerateBody"]["required"] == ["model", "prompt"]
    assert schemas["Track"]["required"] == ["file_id", "kind"]
    assert {"type", "issued_at"}.isdisjoint(schemas["Track"]["properties"])
    parameters = document["paths"]["/api/generate/{kind}"]["post"]["parameters"]
    assert [(each["name"], each["in"]) for each in parameters] == [("kind", "path"), ("Idempotency-Key", "header")]
    assert parameters[0]["schema"]["enum"] == ["image", "video"]


async def test_the_document_says_which_routes_need_a_token(document, make_stand):
    guarded = await make_stand(auth="jwt", jwt_secret="s" * 32)
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            url = path.format(file_id=make_file_id(1), kind="image", channel="project.p", message_id="m")
            answer = await guarded.http.request(method, url, params={"channel": "project.p", "kind": "image"})
            assert (answer.status_code == 401) is bool(operation["security"]), (method, path)


async def test_any_input_gets_an_answer_that_the_document_knows(stand, document):
    seen = await asyncio.to_thread(_ask_everything, document, f"http://127.0.0.1:{stand.server.port}")
    assert {each for each in seen if each < 300} == {200, 202}
    assert {404, 422} <= seen


def _ask_everything(document, url) -> set[int]:
    """The statuses that were seen."""
    seen = set()
    for found in openapi.from_dict(document).get_all_operations():
        operation = found.ok()
        if operation.path in ENDLESS:
            continue
        _check(operation.as_strategy(GenerationMode.POSITIVE), url, seen)
        if operation.body or operation.query or operation.headers or operation.path_parameters:
            _check(operation.as_strategy(GenerationMode.NEGATIVE), url, seen)
    return seen


def _check(cases, url, seen) -> None:
    @seed(7)
    @FIXED
    @given(case=cases)
    def check(case):
        response = case.call(base_url=url, timeout=10)
        seen.add(response.status_code)
        is_stream = case.operation.path in STREAMS and response.status_code == 200
        checks = [each for each in CHECKS if not (is_stream and each is known.response_schema_conformance)]
        case.validate_response(response, checks=checks)

    check()


async def test_any_question_for_events_gets_a_stream_or_a_problem(stand, document):
    problem = {**document["components"]["schemas"]["ProblemDetails"], "components": document["components"]}
    valid = jsonschema_rs.validator_for(problem)
    seen = await asyncio.to_thread(_ask_for_events, f"http://127.0.0.1:{stand.server.port}", valid)
    assert seen == {200, 422}


def _ask_for_events(url, valid) -> set[int]:
    text = st.text(st.characters(codec="utf-8"), max_size=40)
    channels = st.one_of(text, st.sampled_from(["all", "project.p", f"file.{make_file_id(1)}", "file.x", "user."]))
    ids = st.one_of(text, st.sampled_from(["0:0", "0:1", "9:9", "0:99999999999999999999", "-1:0", "a:b"]))
    seen = set()

    @seed(7)
    @settings(FIXED, max_examples=60)
    @given(
        asked=st.lists(channels, max_size=3),
        more=st.fixed_dictionaries({}, optional={"last_event_id": ids, "shape": st.sampled_from(["upstream", "x"])}),
        of_path=st.booleans(),
    )
    def check(asked, more, of_path):
        path = f"/{asked[0]}" if of_path and asked and asked[0].isascii() and asked[0].isalnum() else ""
        with client.stream("GET", f"/api/events{path}", params={"channel": asked, **more}) as response:
            seen.add(response.status_code)
            if response.status_code == 200:
                assert response.headers["content-type"].startswith("text/event-stream")
            else:
                assert response.headers["content-type"] == "application/problem+json"
                response.read()
                valid.validate(response.json())

    with httpx.Client(base_url=url, timeout=10) as client:
        check()
    return seen
