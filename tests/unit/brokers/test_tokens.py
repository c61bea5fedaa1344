"""One token serves until it is nearly over; what an endpoint can say wrong has a name."""

import asyncio
import time

import httpx
import pytest
from aiokafka.errors import AuthenticationFailedError, KafkaConnectionError

from brokers import tokens
from brokers.tokens import TokenProvider
from schemas.settings import KafkaSettings


@pytest.fixture
def endpoint(monkeypatch):
    """What a token endpoint answers, in turn; the last answer for ever. `asked` are the requests."""

    class Endpoint:
        answers, asked = [], []

    def answer(request):
        found.asked.append(request)
        status, body = found.answers.pop(0) if len(found.answers) > 1 else found.answers[0]
        return httpx.Response(status, content=body)

    found, client = Endpoint(), httpx.AsyncClient
    monkeypatch.setattr(
        tokens.httpx, "AsyncClient", lambda **options: client(transport=httpx.MockTransport(answer), **options)
    )
    return found


def settings(**changes):
    given = {"oauth_token_url": "https://issuer.example/token", "oauth_client_id": "me", "oauth_client_secret": "hush"}
    return KafkaSettings(security_protocol="SASL_SSL", sasl_mechanism="OAUTHBEARER", **{**given, **changes})


def test_a_token_is_asked_for_again_when_a_fifth_of_its_life_is_left(endpoint):
    endpoint.answers = [(200, b'{"access_token":"one","expires_in":100}'), (200, b'{"access_token":"two"}')]
    now = 1000.0
    provider = TokenProvider(settings(oauth_scope="kafka"), lambda: now)

    async def ask():
        return await asyncio.gather(*(provider.token() for _ in range(20)))

    assert asyncio.run(ask()) == ["one"] * 20
    now += 79.9
    assert asyncio.run(ask()) == ["one"] * 20  # in another loop, as Faust has two
    now += 0.2
    assert asyncio.run(ask()) == ["two"] * 20
    assert len(endpoint.asked) == 2
    assert endpoint.asked[0].content == b"grant_type=client_credentials&scope=kafka"
    assert endpoint.asked[0].headers["authorization"] == httpx.BasicAuth("me", "hush")._auth_header


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (401, b'{"error":"invalid_client"}', AuthenticationFailedError),
        (400, b"", AuthenticationFailedError),
        (503, b"<html>", KafkaConnectionError),
        (200, b"[]", KafkaConnectionError),
        (200, b'{"access_token":7}', KafkaConnectionError),
        (200, b'{"access_token":"x","expires_in":"soon"}', KafkaConnectionError),
    ],
)
def test_an_answer_without_a_token_is_an_error_of_kafka_that_names_the_endpoint(endpoint, status, body, kind):
    endpoint.answers = [(status, body)]
    with pytest.raises(kind, match=r"the token endpoint https://issuer\.example/token") as caught:
        asyncio.run(TokenProvider(settings(), time.monotonic).token())
    assert "hush" not in str(caught.value)


def test_a_file_is_read_at_each_connection(tmp_path):
    file = tmp_path / "token"
    provider = TokenProvider(
        settings(oauth_token_file=file, oauth_token_url=None, oauth_client_id=None, oauth_client_secret=None)
    )
    for content in ("one\n", "two"):
        file.write_text(content)
        assert asyncio.run(provider.token()) == content.strip()
    for content in ("", "\n"):
        file.write_text(content)
        with pytest.raises(KafkaConnectionError, match=r"OAUTH_TOKEN_FILE: .* is empty"):
            asyncio.run(provider.token())
    file.unlink()
    with pytest.raises(KafkaConnectionError, match=r"OAUTH_TOKEN_FILE: .*No such file"):
        asyncio.run(provider.token())
