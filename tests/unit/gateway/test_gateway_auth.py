"""Whom the gateway lets in: real tokens, over a real socket."""

import asyncio
import base64
import contextlib
import json
import time

import httpx
import jwt
import pytest
from aiohttp import web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from pydantic import ValidationError

from connectors.gateway.access import Access
from connectors.gateway.settings import GatewaySettings
from schemas.errors import StopProcess

SECRET = "a secret that has thirty-two bytes and some"
RSA, EC, OTHER = (
    rsa.generate_private_key(65537, 2048),
    ec.generate_private_key(ec.SECP256R1()),
    rsa.generate_private_key(65537, 2048),
)


def pem(key):
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    return key.public_key().public_bytes(serialization.Encoding.PEM, form).decode()


def token(key=SECRET, algorithm="HS256", kid=None, grants=None, **claims):
    known = {"sub": "user-1", "exp": time.time() + 60, "rendercast": {"read": ["*"]} if grants is None else grants}
    told = {name: value for name, value in (known | claims).items() if value is not None}
    return jwt.encode(told, key, algorithm, headers={"kid": kid} if kid else None)


def bearer(*args, **claims):
    return {"Authorization": f"Bearer {token(*args, **claims)}"}


@pytest.fixture
async def guarded(make_stand):
    """A gateway that takes HS256."""
    return await make_stand(auth="jwt", jwt_secret=SECRET)


async def status(stand, method, path, **options):
    return (await stand.http.request(method, path, **options)).status_code


async def test_without_a_token_nothing_is_told_and_the_answer_says_how_to_come_in(guarded):
    for method, path in [("GET", "/api/jobs"), ("GET", "/api/events/all"), ("POST", "/api/jobs")]:
        answer = await guarded.http.request(method, path)
        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"] == 'Bearer realm="rendercast"'
    assert await status(guarded, "GET", "/healthz") == 200


def forged():
    """By name: what an attacker, or a clock, makes of a token."""
    good = token()
    head, body, signature = good.split(".")

    def encoded(value):
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    return {
        "not a token": "abc",
        "no signature": f"{head}.{body}.",
        "another body": f"{head}.{encoded({'sub': 'root', 'exp': 9e9, 'rendercast': {'read': ['*']}})}.{signature}",
        "algorithm none": f"{encoded({'alg': 'none'})}.{body}.",
        "another secret": token("another secret that has thirty-two bytes"),
        "the public key as a secret": jwt.encode({"sub": "a", "exp": 9e9}, "x" * 32, "HS256"),
        "an algorithm of the other kind": token(RSA, "RS256"),
        "expired": token(exp=time.time() - 60),
        "not yet valid": token(nbf=time.time() + 3600),
        "without an end": token(exp=None),
        "without a subject": token(sub=None),
        "a subject that is no text": f"{head}.{encoded({'sub': 7, 'exp': 9e9})}.{signature}",
        "a subject that no database holds": token(sub="a\0b"),
        "half of a surrogate pair": token(sub="\ud800"),
        "an end that is no time": token(exp=10**400),
        "grants that are a list": token(grants=["read"]),
        "patterns that are numbers": token(grants={"read": [1]}),
        "a pattern that takes long to match": token(grants={"read": ["{+a}{+b}{+c}{+d}{+e}"]}),
        "too long": token(padding="x" * 20_000),
    }


@pytest.mark.parametrize("name", forged())
async def test_a_forged_or_expired_token_is_refused_with_the_same_words(guarded, name):
    answer = await guarded.http.get("/api/jobs", headers={"Authorization": f"Bearer {forged()[name]}"})
    if answer.status_code != 431:  # the server itself takes no header of that length
        assert (answer.status_code, answer.json()["detail"]) == (401, "The token is not valid here.")


async def test_issuer_and_audience_have_to_be_ours(make_stand):
    stand = await make_stand(
        auth="jwt", jwt_secret=SECRET, jwt_issuer="https://id.example.com", jwt_audience="rendercast"
    )
    ours = {"iss": "https://id.example.com", "aud": ["rendercast", "other"]}
    assert await status(stand, "GET", "/api/jobs", headers=bearer(**ours)) == 200
    for wrong in ({"iss": "https://evil.example.com"}, {"aud": "other"}, {"aud": None}, {"iss": None}):
        assert await status(stand, "GET", "/api/jobs", headers=bearer(**{**ours, **wrong})) == 401


@pytest.mark.parametrize(("key", "algorithm"), [(RSA, "RS256"), (EC, "ES256")])
async def test_a_public_key_checks_what_its_private_key_has_signed(make_stand, key, algorithm):
    stand = await make_stand(auth="jwt", jwt_public_key=pem(key))
    assert await status(stand, "GET", "/api/jobs", headers=bearer(key, algorithm)) == 200
    assert await status(stand, "GET", "/api/jobs", headers=bearer(OTHER, "RS256")) == 401
    signed_by_the_public_key = jwt.utils.base64url_encode(b"{}").decode()
    assert (
        await status(stand, "GET", "/api/jobs", headers={"Authorization": f"Bearer {signed_by_the_public_key}"}) == 401
    )


class Issuer:
    """Publishes keys."""

    def __init__(self):
        self.keys, self.asked, self.is_away = {}, 0, False
        self.open = asyncio.Event()
        self.open.set()

    async def serve(self, _):
        self.asked += 1
        await self.open.wait()
        if self.is_away:
            return web.Response(status=503)
        keys = [
            {**json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key())), "kid": kid, "alg": "RS256"}
            for kid, key in self.keys.items()
        ]
        return web.json_response({"keys": keys})


@pytest.fixture
async def issuer():
    found = Issuer()
    application = web.Application()
    application.router.add_get("/jwks", found.serve)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    found.url = f"http://127.0.0.1:{runner.addresses[0][1]}/jwks"
    yield found
    await runner.cleanup()


async def test_published_keys_are_asked_for_once_and_not_for_every_unknown_one(make_stand, issuer):
    issuer.keys = {"one": RSA}
    stand = await make_stand(auth="jwt", jwks_url=issuer.url)
    for _ in range(5):
        assert await status(stand, "GET", "/api/jobs", headers=bearer(RSA, "RS256", "one")) == 200
        assert await status(stand, "GET", "/api/jobs", headers=bearer(OTHER, "RS256", "made-up")) == 401
        assert await status(stand, "GET", "/api/jobs", headers=bearer(OTHER, "RS256", "one")) == 401
    assert issuer.asked == 1


async def test_known_keys_serve_while_the_issuer_is_away_and_without_any_it_is_later(make_stand, issuer, monkeypatch):
    from connectors.gateway import tokens

    monkeypatch.setattr(tokens, "_ASK_AGAIN_SECONDS", 0)
    issuer.keys, issuer.is_away = {"one": RSA}, True
    stand = await make_stand(auth="jwt", jwks_url=issuer.url, jwks_cache_seconds=0.001)
    assert await status(stand, "GET", "/api/jobs", headers=bearer(RSA, "RS256", "one")) == 503
    issuer.is_away = False
    assert await status(stand, "GET", "/api/jobs", headers=bearer(RSA, "RS256", "one")) == 200
    issuer.is_away = True
    asked = issuer.asked
    assert await status(stand, "GET", "/api/jobs", headers=bearer(RSA, "RS256", "one")) == 200
    assert issuer.asked > asked
    issuer.keys, issuer.is_away = {"two": OTHER}, False
    assert await status(stand, "GET", "/api/jobs", headers=bearer(OTHER, "RS256", "two")) == 200
    assert await status(stand, "GET", "/api/jobs", headers=bearer(RSA, "RS256", "one")) == 401


async def test_known_keys_serve_while_the_issuer_is_slow_to_answer_for_others(make_stand, issuer, monkeypatch):
    from connectors.gateway import tokens

    monkeypatch.setattr(tokens, "_ASK_AGAIN_SECONDS", 0)
    monkeypatch.setattr(tokens, "_KEYS_SECONDS", 60)
    issuer.keys = {"one": RSA}
    stand = await make_stand(auth="jwt", jwks_url=issuer.url)
    assert await status(stand, "GET", "/api/jobs", headers=bearer(RSA, "RS256", "one")) == 200
    issuer.open.clear()
    waiting = asyncio.create_task(status(stand, "GET", "/api/jobs", headers=bearer(OTHER, "RS256", "made-up")))
    await stand.until(lambda: issuer.asked == 2)
    assert await status(stand, "GET", "/api/jobs", headers=bearer(RSA, "RS256", "one")) == 200
    assert not waiting.done()
    issuer.open.set()
    assert await waiting == 401


async def test_a_channel_is_read_only_where_a_pattern_matches(guarded, job, file_id):
    guarded.tell(job(1, project_id="p1", user_id="u1"))
    guarded.board.has_loaded()
    may = bearer(grants={"read": ["project.p1", "user.{id}"]})
    for path in ("/api/jobs?project_id=p1", f"/api/jobs/{file_id(1)}"):
        assert await status(guarded, "GET", path, headers=may) == 200
    for path in (
        "/api/jobs",
        "/api/jobs?project_id=p2",
        f"/api/jobs/{file_id(2)}",
        "/api/events/project.p2",
        "/api/events/all",
    ):
        assert await status(guarded, "GET", path, headers=may) == 403
    async with guarded.events("?channel=project.p1&channel=user.someone", **may) as events:
        assert (await events.next()).event == "snapshot"
    answer = await guarded.http.get("/api/events?channel=project.p1&channel=project.p2", headers=may)
    assert (answer.status_code, answer.json()["detail"]) == (403, "The token does not allow to read project.p2.")


async def test_an_action_is_allowed_by_its_own_patterns(guarded, job, file_id):
    guarded.tell(job(1, project_id="p1"))
    guarded.board.has_loaded()
    path = f"/api/jobs/{file_id(1)}"
    reader = bearer(grants={"read": ["*"]})
    assert await status(guarded, "DELETE", path, headers=reader) == 403
    assert await status(guarded, "POST", f"{path}/check", headers=reader) == 403
    owner = bearer(grants={"check": ["project.p1"], "cancel": ["project.p1"]})
    assert await status(guarded, "POST", f"{path}/check", headers=owner) == 202
    assert await status(guarded, "DELETE", path, headers=owner) == 202
    assert await status(guarded, "DELETE", f"/api/jobs/{file_id(2)}", headers=owner) == 403
    assert len(guarded.commands.sent) == 2


async def test_who_tracks_must_be_allowed_to_in_every_place_where_the_job_will_be_seen(guarded, file_id):
    body = {"file_id": file_id(1), "kind": "image", "project_id": "p1", "user_id": "victim"}
    may = bearer(grants={"track": ["project.p1"]})
    assert await status(guarded, "POST", "/api/jobs", json=body, headers=may) == 403
    del body["user_id"]
    in_chat = {**body, "chat": {"chat_id": "somebody-else's"}}
    assert await status(guarded, "POST", "/api/jobs", json=in_chat, headers=may) == 403
    assert await status(guarded, "POST", "/api/jobs", json=body, headers=may) == 202
    del body["project_id"]
    assert await status(guarded, "POST", "/api/jobs", json=body, headers=may) == 403
    assert await status(guarded, "POST", "/api/jobs", json=body, headers=bearer(grants={"track": ["file.{id}"]})) == 202


async def test_a_file_whose_job_is_held_is_tracked_anew_by_whoever_may_where_it_is(guarded, job, file_id):
    guarded.tell(job(1, project_id="p1", user_id="victim"))
    body = {"file_id": file_id(1), "kind": "image", "user_id": "user-1", "request_id": "another"}
    for grants, expected in [(["user.user-1"], 403), (["user.user-1", "project.p1"], 202), (["*"], 202)]:
        answer = await guarded.http.post("/api/jobs", json=body, headers=bearer(grants={"track": grants}))
        assert answer.status_code == expected
    assert len(guarded.commands.sent) == 2


async def test_a_stream_ends_with_its_token(guarded):
    guarded.board.has_loaded()
    async with guarded.events("/all", **bearer(exp=time.time() + 1.5)) as events:
        assert (await events.next()).event == "snapshot"
        assert await events.rest() == []
    assert not guarded.board._subscribers


async def test_a_cookie_serves_browsers_and_no_other_site(guarded, file_id):
    guarded.board.has_loaded()
    cookie = {"Cookie": f"rendercast_token={token(grants={'read': ['*'], 'check': ['*']})}"}
    assert await status(guarded, "GET", "/api/jobs", headers=cookie) == 200
    check = f"/api/jobs/{file_id(1)}/check"
    own = f"http://127.0.0.1:{guarded.server.port}"
    assert await status(guarded, "POST", check, headers={**cookie, "Origin": own}) == 202
    assert await status(guarded, "POST", check, headers={**cookie, "Origin": "https://evil.example.com"}) == 403
    assert await status(guarded, "POST", check, headers={**cookie, "Origin": "null"}) == 403


async def test_origins_that_are_named_may_call_from_their_pages(make_stand):
    stand = await make_stand(auth="jwt", jwt_secret=SECRET, cors_origins=("https://app.example.com",))
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    known = await stand.http.options("/api/jobs", headers={"Origin": "https://app.example.com", **asked})
    assert known.headers["Access-Control-Allow-Origin"] == "https://app.example.com"
    assert known.headers["Access-Control-Allow-Credentials"] == "true"
    other = await stand.http.options("/api/jobs", headers={"Origin": "https://evil.example.com", **asked})
    assert "Access-Control-Allow-Origin" not in other.headers
    refused = await stand.http.get("/api/jobs", headers={"Origin": "https://app.example.com"})
    assert refused.status_code == 401
    assert refused.headers["Access-Control-Allow-Origin"] == "https://app.example.com"  # so that the page can read why


async def test_one_subject_cannot_take_all_streams_or_all_requests(make_stand):
    stand = await make_stand(
        auth="jwt", jwt_secret=SECRET, streams_per_subject=1, requests_burst=5, requests_per_subject=0.001
    )
    stand.board.has_loaded()
    async with stand.events("/all", **bearer()) as events:
        await events.next()
        full = await stand.http.get("/api/events/all", headers=bearer())
        assert (full.status_code, "Retry-After" in full.headers) == (429, True)
        assert await status(stand, "GET", "/api/jobs", headers=bearer(sub="user-2")) == 200
    await stand.until(lambda: not stand.board._subscribers)
    assert [await status(stand, "GET", "/api/jobs", headers=bearer()) for _ in range(4)] == [200, 200, 200, 429]
    assert await status(stand, "GET", "/api/jobs", headers=bearer(sub="user-2")) == 200


@pytest.mark.parametrize("bound", [{"streams_per_subject": 1}, {"max_streams": 1}])
async def test_streams_that_open_in_the_same_moment_do_not_pass_the_limit_together(make_stand, bound):
    stand = await make_stand(auth="jwt", jwt_secret=SECRET, **bound)
    seen, never, let_start = [], asyncio.Event(), asyncio.Event()

    async def receive():
        await never.wait()

    async def ask():
        async def send(message):
            if message["type"] == "http.response.start":
                seen.append(message["status"])
                await let_start.wait()

        header = (b"authorization", bearer()["Authorization"].encode())
        scope = {"type": "http", "method": "GET", "path": "/api/events/all", "headers": [header], "query_string": b""}
        await stand.server._server.config.app(scope, receive, send)

    asking = [asyncio.create_task(ask()) for _ in range(3)]
    await stand.until(lambda: len(seen) == 3)
    assert min(seen) == 200
    assert all(each in (429, 503) for each in sorted(seen)[1:])
    for each in asking:
        each.cancel()
    await asyncio.gather(*asking, return_exceptions=True)
    assert not stand.board._subscribers
    async with stand.events("/all", **bearer()) as events:  # the place was given back
        await events.next()


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "RENDERCAST_GATEWAY__JWT_SECRET"),
        ({"jwt_public_key": "not a key"}, "JWT_PUBLIC_KEY: expected a public key as PEM"),
    ],
)
def test_settings_that_let_nobody_in_stop_the_process_with_their_names(settings, words):
    with pytest.raises(StopProcess, match=words):
        Access(GatewaySettings(**settings))


@pytest.mark.parametrize(
    "origin", ["*", "https://*.example.com", "https://app.example.com/", "app.example.com", "null"]
)
def test_an_origin_that_no_browser_sends_or_that_would_be_any_is_refused(origin):
    with pytest.raises(ValidationError, match="cors_origins"):
        GatewaySettings(cors_origins=(origin,))


def test_a_short_secret_is_refused():
    with pytest.raises(ValidationError, match="at least 32"):
        GatewaySettings(jwt_secret="short")


async def test_no_token_reaches_the_log(guarded, capsys):
    told = token(exp=time.time() - 60)
    with contextlib.suppress(httpx.HTTPError):
        await guarded.http.get("/api/jobs", headers={"Authorization": f"Bearer {told}"})
    await asyncio.sleep(0)
    seen = "".join(capsys.readouterr())
    assert told not in seen
    assert told.split(".")[2] not in seen
