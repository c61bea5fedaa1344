"""The REST side over real sockets: answers, refusals, media, the levers of tests."""

from hashlib import sha256
from uuid import uuid4

import pytest

from rendercast.simulator.server import Simulator
from rendercast.simulator.settings import SimulatorSettings
from schemas.errors import StopProcess

VIDEO, IMAGE, PROJECT = "/api/v1/file/generate-video", "/api/v1/file/generate-image", "/api/v1/project"
A_PROJECT = "7b1b6c8c-6a4e-4c55-8d0a-0c6a55f1c002"


def config(prompt="a red car", model="comfyui/ltx", **params):
    return {"config": {"prompt": prompt, "generation_config_name": model, "params": params}}


async def test_generate_video_answers_one_file_with_a_task_in_progress(upstream):
    answer = await upstream.http.post(VIDEO, json=config(duration=5))
    found = answer.json()
    assert answer.status_code == 200
    assert (found["type"], found["url"], found["thumbnail_url"]) == ("video", None, None)
    assert found["video_generation"]["id"] == found["video_generation_id"]
    assert (found["image_generation_id"], found["audio_generation_id"]) == (None, None)
    (task,) = found["tasks"]
    assert (task["type"], task["status"]) == ("video-generation-flow", "in_progress")
    assert (task["file_id"], task["project_id"]) == (found["id"], None)
    assert (await upstream.get(found["id"])).json() == found


async def test_generate_image_answers_as_many_files_as_the_batch_has(upstream):
    answer = await upstream.http.post(IMAGE, json=config(model="comfyui/flux", batch_size=3))
    found = answer.json()
    assert len({each["id"] for each in found}) == 3
    assert {(each["type"], each["url"], tuple(each["tasks"])) for each in found} == {("image", None, ())}


async def test_a_file_of_a_project_names_it_and_is_listed_there(upstream):
    found = (await upstream.http.post(VIDEO, json={**config(), "project_id": A_PROJECT})).json()
    project = (await upstream.http.get(f"{PROJECT}/{A_PROJECT}")).json()
    assert (found["project_id"], found["tasks"][0]["project_id"]) == (A_PROJECT, A_PROJECT)
    assert [each["value"]["file_id"] for each in project["data"]] == [found["id"]]
    assert [each["id"] for each in project["tasks"]] == [found["tasks"][0]["id"]]


async def test_the_older_flow_answers_a_project_whose_id_is_the_projects(upstream):
    created = (await upstream.http.post(PROJECT, json=config())).json()
    project = (await upstream.http.get(f"{PROJECT}/{created['id']}")).json()
    assert created["status"] == "pending"
    assert project["tasks"][0]["type"] == "timeline2video-flow"
    assert len(project["data"]) == 1


async def test_models_are_listed_by_type(upstream):
    everything = (await upstream.http.get("/api/v1/generation-config")).json()
    images = (await upstream.http.get("/api/v1/generation-config", params={"type": "text_to_image"})).json()
    assert {each["type"] for each in images} == {"text_to_image"}
    assert len(everything) > len(images) > 0


async def test_parameters_are_described_in_the_form_that_is_set(start):
    for form, wanted in (
        ("none", None),
        ("schema", {"type": "number", "minimum": 1, "maximum": 10, "default": 5}),
        ("options", {"name": "duration", "type": "number", "min": 1, "max": 10, "default": 5}),
    ):
        upstream = await start(model_params=form)
        listed = (await upstream.http.get("/api/v1/generation-config")).json()
        (params,) = [each["params"] for each in listed if each["name"] == "comfyui/ltx"]
        found = params.get("properties", {}).get("duration") if isinstance(params, dict) else params[1]
        assert found == wanted


@pytest.mark.parametrize("header", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Basic simulator-token"}])
@pytest.mark.parametrize("path", ["/api/v1/file/x", "/api/v1/events/file.x", "/api/v1/generation-config"])
async def test_without_the_token_the_answer_is_401(upstream, path, header):
    del upstream.http.headers["Authorization"]
    assert (await upstream.http.get(path, headers=header)).status_code == 401


async def test_an_unknown_file_or_project_is_404(upstream):
    for path in ("/api/v1/file", PROJECT):
        assert (await upstream.http.get(f"{path}/{uuid4()}")).status_code == 404


async def test_an_id_that_is_no_uuid_is_422_with_the_place_of_the_mistake(upstream):
    answer = await upstream.get("video-generator-tool")
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["path", "file_id"]


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({"prompt": "flat", "generation_config_name": "comfyui/ltx"}, ["body", "config"]),
        ({"config": {"generation_config_name": "comfyui/ltx"}}, ["body", "config", "prompt"]),
        (
            {"config": {"prompt": "x", "generation_config_name": "comfyui/ltx", "params": []}},
            ["body", "config", "params"],
        ),
    ],
)
async def test_a_body_of_the_wrong_form_is_422_in_the_first_shape(upstream, body, place):
    answer = await upstream.http.post(VIDEO, json=body)
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == place
    assert {"type", "loc", "msg", "input"} <= answer.json()["detail"][0].keys()


async def test_a_body_that_is_not_json_is_422(upstream):
    assert (await upstream.http.post(VIDEO, content=b"{")).json()["detail"][0]["type"] == "json_invalid"


async def test_an_unknown_model_is_422_in_the_second_shape(upstream):
    answer = await upstream.http.post(VIDEO, json=config(model="nobody/nothing"))
    assert answer.status_code == 422
    assert isinstance(answer.json()["detail"], str)
    assert answer.json()["errors"][0]["field"] == "config.generation_config_name"


@pytest.mark.parametrize("size", [0, 11, "nan", "two"])
async def test_a_batch_out_of_bounds_is_422(upstream, size):
    answer = await upstream.http.post(IMAGE, json=config(model="comfyui/flux", batch_size=size))
    assert answer.status_code == 422


async def test_an_unknown_style_is_400(upstream):
    answer = await upstream.http.post(IMAGE, json=config(model="comfyui/flux", style_name="unheard-of"))
    assert (answer.status_code, answer.json()) == (400, {"detail": "Invalid payload"})


@pytest.mark.parametrize("params", [{}, {"aspecRatio": "16:9"}, {"aspect_ratio": "4:3"}])
async def test_sora_dies_of_any_other_aspect_ratio(upstream, params):
    answer = await upstream.http.post(VIDEO, json=config(model="azure-openai/sora", **params))
    assert answer.status_code == 422
    assert "Input should be '1:1', '16:9' or '9:16' [type=literal_error, input_value=" in answer.json()["detail"]


@pytest.mark.parametrize("ratio", ["1:1", "16:9", "9:16"])
async def test_sora_takes_three_aspect_ratios(upstream, ratio):
    answer = await upstream.http.post(VIDEO, json=config(model="azure-openai/sora", aspect_ratio=ratio))
    assert answer.json()["video_generation"]["aspect_ratio"] == ratio


async def test_older_bodies_with_texts_for_numbers_are_taken(upstream):
    body = config()
    body["config"] |= {"width": "1344", "height": "768", "duration": "5", "fps": "30"}
    assert (await upstream.http.post(VIDEO, json=body)).json()["video_generation"]["duration"] == 5


async def test_an_image_to_video_model_without_an_image_is_taken_and_fails_in_its_task(start):
    upstream = await start(speed=100)
    created = (await upstream.http.post(VIDEO, json=config(model="google-cloud/veo3"))).json()
    assert created["tasks"][0]["status"] == "in_progress"
    failed = await upstream.file(created["id"], lambda file: file["tasks"][0]["status"] == "error")
    assert failed["url"] is None


@pytest.mark.parametrize(
    ("prompt", "behaviour"), [("fails: a car", "fails"), ("never_ends: x", "never_ends"), ("a: b", "plain")]
)
async def test_a_prompt_chooses_the_behaviour_by_its_first_word(upstream, prompt, behaviour):
    created = (await upstream.http.post(VIDEO, json=config(prompt))).json()
    record = (await upstream.record())["files"][created["id"]]
    assert record["generations"][0]["behaviour"] == behaviour


@pytest.mark.parametrize(("kind", "magic"), [("image", b"\x89PNG\r\n\x1a\n"), ("video", b"\0\0\0\x18ftyp")])
async def test_media_have_the_right_magic_number_and_the_recorded_digest(upstream, kind, magic):
    for _ in range(12):  # enough to meet a backslash and a query
        created = await upstream.script(kind=kind, seconds=0)
        url = (await upstream.file(created["id"], lambda file: file["url"]))["url"]
        body = (await upstream.http.get(url)).content
        recorded = (await upstream.record())["files"][created["id"]]["urls"][0]
        assert body.startswith(magic)
        assert (recorded["url"], recorded["sha256"], recorded["size"]) == (url, sha256(body).hexdigest(), len(body))


async def test_media_are_served_by_range(upstream):
    created = await upstream.script(kind="video", seconds=0)
    url = (await upstream.file(created["id"], lambda file: file["url"]))["url"]
    whole = await upstream.http.get(url)
    part = await upstream.http.get(url, headers={"Range": "bytes=100-199"})
    rest = await upstream.http.get(url, headers={"Range": "bytes=99990-"})
    beyond = await upstream.http.get(url, headers={"Range": "bytes=100000-"})
    assert (part.status_code, part.content) == (206, whole.content[100:200])
    assert (rest.headers["Content-Range"], rest.content) == ("bytes 99990-99999/100000", whole.content[99990:])
    assert (beyond.status_code, beyond.headers["Content-Range"]) == (416, "bytes */100000")


async def test_media_are_404_until_the_url_is_set(start):
    seconds = 0.5
    first, second = await start(public_url="http://upstream.test"), await start(public_url="http://upstream.test")
    done = await first.script(kind="image", seconds=0)
    url = (await first.file(done["id"], lambda file: file["url"]))["url"]
    path = url.removeprefix("http://upstream.test")
    same = await second.script(kind="image", seconds=seconds)  # the same seed: the same file and URL
    assert same["id"] == done["id"]
    assert (await second.http.get(path)).status_code == 404
    await second.file(same["id"], lambda file: file["url"])
    assert (await second.http.get(path)).status_code == 200


async def test_a_script_says_which_id_project_and_length_a_file_has(upstream):
    file_id = str(uuid4())
    created = await upstream.script(
        kind="image", file_id=file_id, project_id=A_PROJECT, seconds=3600, request_id="image_1_a"
    )
    again = await upstream.http.post("/__script", json={"file_id": file_id})
    record = (await upstream.record())["files"][file_id]
    assert (created["id"], created["project_id"], created["type"]) == (file_id, A_PROJECT, "image")
    assert again.status_code == 409
    assert (record["project_id"], record["generations"][0]["request_id"]) == (A_PROJECT, "image_1_a")


@pytest.mark.parametrize(
    "body", [{"behaviour": "dances"}, {"kind": "hologram"}, {"faults": {"stream_drop": 2}}, [], {"what": 1}]
)
async def test_a_wrong_script_is_422(upstream, body):
    assert (await upstream.http.post("/__script", json=body)).status_code == 422


async def test_a_regenerated_file_keeps_its_id_and_tells_its_old_url_for_a_while(start):
    upstream = await start(stale_seconds=1)
    created = await upstream.script(kind="video", seconds=0)
    old = await upstream.file(created["id"], lambda file: file["url"])
    fresh = (
        await upstream.http.post(f"/__regenerate/{created['id']}", json={"seconds": 2, "request_id": "second"})
    ).json()
    stale = (await upstream.get(created["id"])).json()
    assert (fresh["id"], fresh["url"]) == (created["id"], None)
    assert fresh["video_generation_id"] != created["video_generation_id"]
    assert stale["url"] == old["url"]
    await upstream.file(created["id"], lambda file: file["url"] is None)
    new = await upstream.file(created["id"], lambda file: file["url"])
    assert new["url"] != old["url"]
    record = (await upstream.record())["files"][created["id"]]
    assert [each["request_id"] for each in record["generations"]] == [None, "second"]
    assert [each["ended"] for each in record["generations"]] == ["completed", "completed"]
    assert {each["url"] for each in record["urls"] if each["role"] == "media"} == {old["url"], new["url"]}
    assert (await upstream.http.get(old["url"])).status_code == 200


async def test_regenerating_an_unknown_file_is_404(upstream):
    assert (await upstream.http.post(f"/__regenerate/{uuid4()}")).status_code == 404


async def test_rates_change_while_it_runs(upstream):
    created = await upstream.script(seconds=3600)
    answer = await upstream.http.post("/__faults", json={"server_error": 1})
    assert (answer.json()["server_error"], answer.json()["stream_drop"]) == (1, 0)
    assert (await upstream.get(created["id"])).status_code >= 500
    await upstream.http.post("/__faults", json={"server_error": 0})
    assert (await upstream.get(created["id"])).status_code == 200
    assert (await upstream.http.post("/__faults", json={"nonsense": 1})).status_code == 422


async def test_the_oldest_file_is_forgotten_at_the_bound(start):
    upstream = await start(max_files=2)
    first, *others = [(await upstream.script(seconds=3600, project_id=A_PROJECT))["id"] for _ in range(3)]
    assert (await upstream.get(first)).status_code == 404
    assert list((await upstream.record())["files"]) == others
    assert len((await upstream.http.get(f"{PROJECT}/{A_PROJECT}")).json()["data"]) == 2


async def test_it_says_that_it_is_healthy_and_stops_answering_when_it_stops():
    simulator = Simulator(SimulatorSettings())
    assert simulator.not_ready() is not None
    async with simulator:
        assert simulator.not_ready() is None
        assert simulator.url.startswith("http://127.0.0.1:")
    assert simulator.not_ready() is not None


async def test_a_port_that_is_taken_stops_the_process_with_its_name(upstream):
    port = int(upstream.simulator.url.rpartition(":")[2])
    with pytest.raises(StopProcess, match=str(port)):
        await Simulator(SimulatorSettings(port=port)).start()
