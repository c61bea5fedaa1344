"""Keys are kept for a time. What a forgotten turn has begun is told from what its message shows."""

import pytest
from unit.gateway.conftest import make_file_id
from unit.gateway.turns.site import CHAT, SECRET, cancels, done, job_of, joined, order, post, posted, token

ANOTHER = {"Idempotency-Key": "another"}


async def begun(stand, **headers):
    async with posted(stand, **headers) as events:
        return (await events.next()).json()


def keys(site):
    return sorted(each["request_key"] for each in site.rows("turn"))


@pytest.mark.parametrize(
    ("age", "settings", "left"),
    [
        ({"days": 6}, {}, ["another", "k"]),
        ({"days": 8}, {}, ["another"]),
        ({"hours": 3}, {"generate_keys_for_seconds": 7_200}, ["another"]),
        ({"days": 8}, {"generate_keys_for_seconds": 30 * 86_400}, ["another", "k"]),
    ],
)
async def test_a_key_is_kept_for_as_long_as_the_setting_says(site, age, settings, left):
    stand = await site.gateway(**settings)
    await begun(stand)
    site.make_older(**age)
    assert (await order(stand, **ANOTHER)).status_code == 202
    assert keys(site) == left


async def test_a_key_that_is_forgotten_is_a_new_click(site, stand):
    await order(stand)
    site.make_older(days=8)
    await order(stand, **ANOTHER)
    await order(stand)
    assert (len(site.upstream.asked), keys(site)) == (3, ["another", "k"])


async def test_who_comes_back_to_a_forgotten_turn_is_told_what_its_message_shows(site, stand):
    site.upstream.count = 2
    message = await begun(stand)
    for number in (1, 2):
        await site.show(done(message, number), message["message_id"], copy=f"s3://store/{number}.mp4")
    site.make_older(days=8)
    await order(stand, **ANOTHER)
    assert keys(site) == ["another"]
    async with joined(await site.gateway(), message["message_id"]) as events:
        told = await events.rest()
    assert [each.event for each in told] == ["message", "complete"]
    end = told[-1].json()
    assert [end[name] for name in ("chat_id", "message_id", "request_id")] == [
        CHAT, message["message_id"], message["request_id"],
    ]  # fmt: skip
    assert "user_message_id" not in end
    assert [(each["file_id"], each["durable_url"]) for each in end["files"]] == [
        (make_file_id(number), f"s3://store/{number}.mp4") for number in (1, 2)
    ]


async def test_what_a_forgotten_turn_still_generates_is_followed_and_can_be_cancelled(site, stand):
    message = await begun(stand)
    await site.show(job_of(message, progress=20), message["message_id"])
    site.make_older(days=8)
    await order(stand, **ANOTHER)
    async with joined(stand, message["message_id"]) as events:
        assert (await events.next()).json()["percent"] == 20
        answer = await stand.http.delete(f"/api/generate-stream/{message['message_id']}")
        assert (answer.status_code, answer.json()["file_ids"]) == (202, [make_file_id(1)])
        [cancel] = cancels(stand)
        assert (cancel.file_id, cancel.generation) == (make_file_id(1), message["request_id"])
        stand.tell(job_of(message, 1, 9, outcome="cancelled", reason="cancelled"))
        assert [each.event for each in await events.rest()] == ["update", "error"]


async def test_of_a_forgotten_turn_whose_message_shows_nothing_nothing_is_known(site, stand):
    message = await begun(stand)
    site.make_older(days=8)
    await order(stand, **ANOTHER)
    assert (await stand.http.get(f"/api/generate-stream/{message['message_id']}")).status_code == 404


async def test_a_forgotten_turn_is_told_to_who_may_read_its_chat_and_to_nobody_else(site):
    stand = await site.gateway(auth="jwt", jwt_secret=SECRET)
    message = await begun(stand, **token(generate=["*"]))
    await site.show(done(message), message["message_id"])
    site.make_older(days=8)
    assert (await post(stand, **ANOTHER, **token(generate=["chat.other"]))).status_code == 403
    assert (await order(stand, **ANOTHER, **token(generate=["*"]))).status_code == 202
    assert keys(site) == ["another"]
    for granted, status in [([f"chat.{CHAT}"], 200), (["chat.other"], 403)]:
        answer = await stand.http.get(f"/api/generate-stream/{message['message_id']}", headers=token(read=granted))
        assert answer.status_code == status
