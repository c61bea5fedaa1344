"""`POST /api/generate/…` over a real socket, with an upstream that tests play."""

import asyncio
import contextlib
import time
from datetime import timedelta

import jwt
import pytest
from unit.gateway.conftest import NOW, Stand, make_file_id

from connectors.gateway import orders_here
from connectors.gateway.errors import Problem, bad_field
from connectors.gateway.generate import Begun, GenerateBody, MayHaveBegun
from connectors.gateway.generations import Generations
from connectors.gateway.models import Model, Models, Param
from connectors.gateway.orders_here import KEEP_SECONDS
from connectors.gateway.routes import Routes
from connectors.gateway.server import HttpServer
from connectors.gateway.settings import GatewaySettings
from schemas import Track
from schemas.errors import RetryLater

BODY = {"model": "comfyui/ltx", "prompt": "a cat"}
SECRET = "s" * 32


class Upstream:
    """Begins `files`, or raises `trouble`; while `open` is not set it keeps everybody waiting."""

    def __init__(self) -> None:
        self.asked = []
        self.files = [Begun(file_id=make_file_id(1), kind="video", project_id="theirs", upstream_generation_id="u1")]
        self.trouble: Exception | None = None
        self.open = asyncio.Event()
        self.open.set()

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        pass

    async def generate(self, kind, wanted):
        self.asked.append((kind, wanted))
        await self.open.wait()
        if self.trouble:
            raise self.trouble
        return self.files

    async def models(self, kind):
        if self.trouble:
            raise self.trouble
        return Models(are_all=True, models=[Model(name=f"{kind}-model", sorts=["s"], params={"n": Param(minimum=1)})])


@pytest.fixture
def upstream():
    return Upstream()


@contextlib.asynccontextmanager
async def standing(generator, **settings):
    stand = Stand(**settings)
    routes = Routes(stand.settings, stand.board, stand.commands, stand.access, lambda: None, generator)
    stand.server = HttpServer(routes.application(), stand.settings)
    await stand.start()
    try:
        yield stand
    finally:
        await stand.end()
        await routes.close()


@pytest.fixture
async def stand(upstream):
    async with standing(upstream) as found:
        yield found


async def post(stand, body=BODY, kind="video", **headers):
    return await stand.http.post(f"/api/generate/{kind}", json=body, headers=headers)


async def test_every_file_of_the_call_is_tracked_before_it_is_answered(stand, upstream):
    upstream.files = [
        Begun(file_id=make_file_id(number), kind="image", upstream_generation_id=f"u{number}") for number in (1, 2, 3)
    ]
    body = {
        **BODY, "params": {"batch_size": 3}, "seed": 7, "request_id": "r1", "project_id": "p", "user_id": "u",
        "chat": {"chat_id": "c", "message_id": "m"}, "deadline_seconds": 60,
    }  # fmt: skip
    answer = await post(stand, body, "image")
    files = [make_file_id(number) for number in (1, 2, 3)]
    told = [{"file_id": each, "kind": "image", "generation": "r1", "project_id": "p"} for each in files]
    assert (answer.status_code, answer.json()) == (202, {"request_id": "r1", "files": told})
    assert all(isinstance(each, Track) for each in stand.commands.sent)
    assert [each.file_id for each in stand.commands.sent] == files
    first = stand.commands.sent[0].model_dump(exclude_none=True, exclude={"issued_at"})
    assert first == {
        "type": "track", "file_id": files[0], "kind": "image", "request_id": "r1", "upstream_generation_id": "u1",
        "project_id": "p", "user_id": "u", "chat": {"chat_id": "c", "message_id": "m"}, "prompt": "a cat",
        "deadline_seconds": 60,
    }  # fmt: skip
    [(kind, wanted)] = upstream.asked
    assert (kind, wanted.params, wanted.seed) == ("image", {"batch_size": 3}, 7)


async def test_a_generation_gets_a_mark_of_its_own_where_the_request_has_none(stand):
    marks = [(await post(stand)).json()["files"][0]["generation"] for _ in range(2)]
    assert marks == [each.request_id for each in stand.commands.sent]
    assert len(set(marks)) == 2
    assert stand.commands.sent[0].project_id == "theirs"


async def test_what_has_begun_and_cannot_be_tracked_is_named_in_the_answer(stand, upstream):
    upstream.files = [Begun(file_id=make_file_id(number), kind="image") for number in (1, 2)]
    stand.commands.trouble = RetryLater("Kafka did not take the command.", after=3)
    answer = await post(stand, {**BODY, "request_id": "r1"}, "image")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "3")
    assert answer.headers["content-type"] == "application/problem+json"
    assert [each["file_id"] for each in answer.json()["files"]] == [make_file_id(1), make_file_id(2)]
    assert answer.json()["request_id"] == "r1"


async def test_a_repeat_after_kafka_failed_tracks_what_has_begun_and_begins_nothing(stand, upstream):
    stand.commands.trouble = RetryLater("Kafka did not take the command.")
    first = await post(stand, **{"Idempotency-Key": "k"})
    stand.commands.trouble = None
    second = await post(stand, **{"Idempotency-Key": "k"})
    assert [first.status_code, second.status_code] == [503, 202]
    assert first.json()["files"] == second.json()["files"]
    assert (len(upstream.asked), len(stand.commands.sent)) == (1, 1)


@pytest.mark.parametrize("name", ["header", "request_id"])
async def test_the_same_request_twice_at_once_and_again_is_one_generation(stand, upstream, name):
    body, headers = (BODY, {"Idempotency-Key": "k"}) if name == "header" else ({**BODY, "request_id": "k"}, {})
    upstream.open.clear()
    running = [asyncio.create_task(post(stand, body, **headers)) for _ in range(3)]
    await stand.until(lambda: len(upstream.asked) == 1)
    upstream.open.set()
    answers = [*await asyncio.gather(*running), await post(stand, body, **headers)]
    assert {each.status_code for each in answers} == {202}
    assert len({each.text for each in answers}) == 1
    assert (len(upstream.asked), len(stand.commands.sent)) == (1, 1)


@pytest.mark.parametrize(("body", "kind"), [({**BODY, "seed": 1}, "video"), (BODY, "image")])
async def test_a_key_that_came_with_another_request_is_refused(stand, upstream, body, kind):
    await post(stand, **{"Idempotency-Key": "k"})
    answer = await post(stand, body, kind, **{"Idempotency-Key": "k"})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "Idempotency-Key")
    assert len(upstream.asked) == 1


async def test_the_order_of_fields_is_not_another_request(stand, upstream):
    turned = dict(reversed(BODY.items()))
    answers = [await post(stand, each, **{"Idempotency-Key": "k"}) for each in (BODY, turned)]
    assert [each.status_code for each in answers] == [202, 202]
    assert len(upstream.asked) == 1


async def test_after_a_refusal_the_same_key_may_come_again(stand, upstream):
    upstream.trouble = bad_field("model", "unknown")
    assert (await post(stand, **{"Idempotency-Key": "k"})).status_code == 422
    upstream.trouble = None
    assert (await post(stand, {**BODY, "model": "other"}, **{"Idempotency-Key": "k"})).status_code == 202


@pytest.mark.parametrize("trouble", [MayHaveBegun(504, "silent"), RuntimeError("a bug")])
async def test_where_nobody_knows_what_has_begun_a_repeat_says_so_and_asks_nobody(stand, upstream, trouble):
    upstream.trouble = trouble
    answers = [await post(stand, **{"Idempotency-Key": "k"}) for _ in range(2)]
    statuses = [504, 504] if isinstance(trouble, MayHaveBegun) else [500, 502]
    assert [each.status_code for each in answers] == statuses
    assert answers[1].json()["reason"] == "unsure"
    assert len(upstream.asked) == 1


async def test_an_upstream_that_is_silent_for_too_long_is_not_asked_again(upstream):
    upstream.open.clear()
    async with standing(upstream, generate_wait_seconds=0.1) as stand:
        answers = [await post(stand, **{"Idempotency-Key": "k"}) for _ in range(2)]
    assert [each.status_code for each in answers] == [504, 504]
    assert len(upstream.asked) == 1


async def test_a_problem_of_the_upstream_is_passed_on_with_its_time(stand, upstream):
    upstream.trouble = Problem(429, "a pause", headers={"Retry-After": "7"})
    answer = await post(stand)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "7")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"prompt": "a cat"}, "model"),
        ({"model": "m"}, "prompt"),
        ({**BODY, "prompt": ""}, "prompt"),
        ({**BODY, "negativ_prompt": "dogs"}, "negativ_prompt"),
        ({**BODY, "params": []}, "params"),
        ({**BODY, "seed": 2**63}, "seed"),
        ({**BODY, "seed": 1e300}, "seed"),
        ({**BODY, "deadline_seconds": 0}, "deadline_seconds"),
        ({**BODY, "chat": {}}, "chat.chat_id"),
    ],
)
async def test_a_body_that_is_wrong_is_refused_with_its_field_before_anybody_is_asked(stand, upstream, body, field):
    answer = await post(stand, body)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, field)
    assert upstream.asked == []


@pytest.mark.parametrize("depth", [260, 900])
async def test_a_body_that_is_nested_too_deeply_is_refused(stand, upstream, depth):
    text = '{"model": "m", "prompt": "p", "params": ' + '{"a":' * depth + "1" + "}" * depth + "}"
    answer = await stand.http.post("/api/generate/video", content=text, headers={"Content-Type": "application/json"})
    assert answer.status_code == 422
    assert upstream.asked == []


async def test_nothing_but_images_and_videos_can_be_generated(stand):
    answer = await post(stand, kind="music")
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "kind")


async def test_a_key_has_a_bound(stand):
    assert (await post(stand, **{"Idempotency-Key": "k" * 301})).status_code == 422


async def test_without_a_generator_the_answer_names_the_setting():
    async with standing(None) as stand:
        answer = await post(stand)
        assert answer.status_code == 503
        assert "RENDERCAST_CONNECTOR__TOKEN" in answer.json()["detail"]


async def test_the_models_of_a_kind_are_told(stand, upstream):
    answer = await stand.http.get("/api/models", params={"kind": "video"})
    known = {"types": [], "options": [], "minimum": 1, "needed": False}
    told = {"are_all": True, "models": [{"name": "video-model", "sorts": ["s"], "params": {"n": known}}]}
    assert (answer.status_code, answer.json()) == (200, told)
    upstream.trouble = Problem(502, "The upstream refuses this server.")
    assert (await stand.http.get("/api/models?kind=image")).status_code == 502


@pytest.mark.parametrize("query", ["", "?kind=music"])
async def test_a_kind_that_cannot_be_generated_has_no_models(stand, query):
    answer = await stand.http.get(f"/api/models{query}")
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "kind")


async def test_without_a_generator_there_are_no_models():
    async with standing(None) as stand:
        assert (await stand.http.get("/api/models?kind=image")).status_code == 503


# who may


@pytest.mark.parametrize(("grants", "status"), [({"generate": ["user.me"]}, 200), ({"read": ["*"]}, 403)])
async def test_whoever_may_generate_anything_may_see_the_models(upstream, grants, status):
    async with standing(upstream, auth="jwt", jwt_secret=SECRET) as stand:
        assert (await stand.http.get("/api/models?kind=image", headers=token(**grants))).status_code == status
        assert (await stand.http.get("/api/models?kind=image")).status_code == 401


@pytest.mark.parametrize(
    ("granted", "named", "status"),
    [
        (["user.me"], {"user_id": "me"}, 202),
        (["user.me"], {"user_id": "you"}, 403),
        (["user.me"], {"user_id": "me", "project_id": "p"}, 403),
        (["user.me", "project.{id}"], {"user_id": "me", "project_id": "p"}, 202),
        (["user.me"], {}, 403),
        (["file.{id}"], {}, 202),
        (["*"], {}, 202),
    ],
)
async def test_a_token_generates_where_it_may(upstream, granted, named, status):
    headers = token(generate=granted)
    async with standing(upstream, auth="jwt", jwt_secret=SECRET) as stand:
        answer = await post(stand, {**BODY, **named}, **headers)
        assert answer.status_code == status
        assert len(upstream.asked) == (status == 202)


async def test_to_track_is_not_to_generate(upstream):
    async with standing(upstream, auth="jwt", jwt_secret=SECRET) as stand:
        assert (await post(stand, **token(track=["*"]))).status_code == 403
        assert (await post(stand)).status_code == 401


async def test_the_key_of_one_subject_tells_another_nothing(upstream):
    async with standing(upstream, auth="jwt", jwt_secret=SECRET) as stand:
        for subject in ("one", "two"):
            headers = token(subject, generate=["*"])
            assert (await post(stand, **headers, **{"Idempotency-Key": "k"})).status_code == 202
    assert len(upstream.asked) == 2


def token(subject="one", **grants):
    claims = {"sub": subject, "exp": int(time.time()) + 600, "rendercast": grants}
    return {"Authorization": f"Bearer {jwt.encode(claims, SECRET, 'HS256')}"}


# what is remembered


class Remembering:
    """Generations without HTTP, by a clock that tests turn."""

    def __init__(self, upstream) -> None:
        self.now = 0.0
        self.tracked = []
        settings = GatewaySettings(auth="off")
        self.generations = Generations(settings, upstream, self._send, clock=lambda: NOW + timedelta(seconds=self.now))

    async def _send(self, command):
        self.tracked.append(command.file_id)

    async def begin(self, key):
        return await self.generations.begin("video", GenerateBody(**BODY), "me", key)


async def test_what_has_begun_is_tracked_when_whoever_asked_has_gone(upstream):
    room = Remembering(upstream)
    upstream.open.clear()
    first, second = (asyncio.create_task(room.begin("k")) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait([first])
    upstream.open.set()
    assert [each.file_id for each in (await second).files] == room.tracked == [make_file_id(1)]
    assert len(upstream.asked) == 1


async def test_at_the_end_what_still_waits_for_the_upstream_is_ended(upstream):
    room = Remembering(upstream)
    upstream.open.clear()
    waiting = asyncio.create_task(room.begin("k"))
    await asyncio.sleep(0)
    await room.generations.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_a_key_is_remembered_for_ten_minutes_beyond_what_the_upstream_may_take(upstream):
    room = Remembering(upstream)
    await room.begin("k")
    room.now = KEEP_SECONDS + GatewaySettings(auth="off").generate_wait_seconds - 1
    await room.begin("k")
    assert len(upstream.asked) == 1
    room.now += 1
    await room.begin("k")
    assert len(upstream.asked) == 2


async def test_of_too_many_keys_the_oldest_is_forgotten_and_none_that_runs(upstream, monkeypatch):
    monkeypatch.setattr(orders_here, "MAX_KEYS", 2)
    room = Remembering(upstream)
    for key in "abc":
        await room.begin(key)
    for key in "bc":
        await room.begin(key)
    assert len(upstream.asked) == 3
    upstream.open.clear()
    running = [asyncio.create_task(room.begin(key)) for key in "xy"]
    while len(upstream.asked) < 5:  # noqa: ASYNC110 - what is waited for has no event of its own
        await asyncio.sleep(0)
    with pytest.raises(Problem) as caught:
        await room.begin("z")
    assert caught.value.status == 503
    upstream.open.set()
    await asyncio.gather(*running)
    assert len(upstream.asked) == 5
