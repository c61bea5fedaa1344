"""Into a real broker that asks who comes: by password, by certificate, by token; and what is said where it refuses."""

import asyncio
import base64
import json
import threading
import uuid
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

import pytest
from click.testing import CliRunner
from harness import Process, eventually, read, send
from integration.brokers.secure import KEY_PASSWORD, PASSWORD, USER

from connectors.kafka import consumer, producer
from connectors.kafka.clients import close, connect
from rendercast import topics as admin
from rendercast.cli import main
from rendercast.settings import kafka_variables
from schemas import Result, Track, utcnow
from schemas.codec import decode_completion, encode
from schemas.errors import StopProcess
from schemas.settings import KafkaSettings, TopicSettings

CLIENT, SECRET = "rendercast-client", "client secret"
WAYS = (
    "scram_256",
    "scram_512",
    "plain_over_tls",
    "plain_in_clear",
    "certificate",
    "locked_key",
    "token_in_file",
    "token",
)


@pytest.fixture(scope="module")
def endpoint(broker):
    """An OAuth token endpoint that gives the broker's tokens to our client; `asked` counts."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
            known = base64.b64encode(f"{CLIENT}:{SECRET}".encode()).decode()
            good = self.headers["Authorization"] == f"Basic {known}" and form["grant_type"] == ["client_credentials"]
            server.asked += 1
            body = {"access_token": broker.token(), "expires_in": 600} if good else {"error": "invalid_client"}
            self.send_response(200 if good else 401)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.asked = 0
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def come(broker, endpoint, tmp_path):
    """Settings for each way in; some of them changed."""
    token = tmp_path / "token"
    token.write_text(broker.token() + "\n")
    ca = broker.directory / "ca.pem"
    password = {"sasl_username": USER, "sasl_password": PASSWORD}
    tls = {"security_protocol": "SASL_SSL", "ssl_cafile": ca, "port": broker.port}
    mtls = {"security_protocol": "SSL", "ssl_cafile": ca, "port": broker.mtls}
    client = {
        "oauth_token_url": f"http://127.0.0.1:{endpoint.server_port}/token",
        "oauth_client_id": CLIENT, "oauth_client_secret": SECRET,
    }  # fmt: skip
    ways = {
        "scram_256": {**tls, **password, "sasl_mechanism": "SCRAM-SHA-256"},
        "scram_512": {**tls, **password, "sasl_mechanism": "SCRAM-SHA-512"},
        "plain_over_tls": {**tls, **password, "sasl_mechanism": "PLAIN"},
        "plain_in_clear": {
            **password, "sasl_mechanism": "PLAIN", "security_protocol": "SASL_PLAINTEXT", "port": broker.sasl,
        },
        "certificate": {**mtls, "ssl_certfile": broker.directory / "client.pem"},
        "locked_key": {**mtls, "ssl_certfile": broker.directory / "locked.pem", "ssl_key_password": KEY_PASSWORD},
        "token_in_file": {**tls, "sasl_mechanism": "OAUTHBEARER", "oauth_token_file": token},
        "token": {**tls, "sasl_mechanism": "OAUTHBEARER", **client},
    }  # fmt: skip

    def make(way, **changes):
        chosen = {**ways[way], **changes}
        chosen["bootstrap_servers"] = f"127.0.0.1:{chosen.pop('port')}"
        return KafkaSettings(**{name: value for name, value in chosen.items() if value is not None})

    return make


def new_topics(kafka):
    settings = TopicSettings(prefix=f"{uuid.uuid4().hex[:8]}.", partitions=2)
    asyncio.run(admin.apply(kafka, settings))
    return settings


def track():
    return Track(file_id=str(uuid.uuid4()), kind="video", request_id="r1", issued_at=utcnow())


@pytest.mark.parametrize("way", WAYS)
def test_admin_producer_and_consumer_come_in(come, way):
    kafka, record = come(way), track()
    topics = new_topics(kafka)

    async def there_and_back():
        writer = await connect(producer(kafka, "test"), kafka)
        reader = consumer(kafka, "test", "test-group")
        reader.subscribe([topics.names.commands])
        await connect(reader, kafka)
        try:
            await writer.send_and_wait(topics.names.commands, encode(record), key=record.file_id.encode())
            async with asyncio.timeout(30):
                return (await reader.getone()).value
        finally:
            await close(writer)
            await close(reader)

    assert asyncio.run(there_and_back()) == encode(record)


@pytest.mark.parametrize("way", ["scram_512", "locked_key", "token"])
def test_the_processor_comes_in(come, endpoint, tmp_path, way):
    """Its consumer is Faust's, its producers and its loader are ours."""
    kafka, record = come(way), track()
    topics = new_topics(kafka)
    asked = endpoint.asked
    processor = Process("processor", tmp_path, kafka, topics)
    try:
        result = Result(file_id=record.file_id, source="sse", observed_at=utcnow(), url="https://x.example/a.mp4")
        send(kafka, topics.names.commands, [record])
        send(kafka, topics.names.upstream, [result])
        (told,) = eventually(lambda: read(kafka, topics.names.completions), 60, "the completion")
        assert decode_completion(told.value).file_id == record.file_id
    finally:
        assert processor.stop() == 0
    if way == "token":
        assert endpoint.asked - asked < 10, "one token serves all clients of a process"


REFUSALS = [
    ("scram_256", {"sasl_password": "wrong"}, "invalid credentials with SASL mechanism SCRAM-SHA-256"),
    ("scram_256", {"ssl_cafile": None}, "CERTIFICATE_VERIFY_FAILED"),
    (
        "scram_256",
        {"security_protocol": "SASL_PLAINTEXT", "ssl_cafile": None},
        "another RENDERCAST_KAFKA__SECURITY_PROT",
    ),
    ("certificate", {"ssl_certfile": None}, r"a certificate \(…__SSL_CERTFILE\)"),
    ("locked_key", {"ssl_key_password": "wrong"}, "RENDERCAST_KAFKA__SSL_CERTFILE.*SSL_KEY_PASSWORD"),
    ("locked_key", {"ssl_key_password": None}, "RENDERCAST_KAFKA__SSL_CERTFILE.*SSL_KEY_PASSWORD"),
    ("token", {"oauth_client_secret": "wrong"}, "the token endpoint http.* refuses RENDERCAST_KAFKA__OAUTH_CLIENT_ID"),
    ("token", {"oauth_token_url": "http://127.0.0.1:1/"}, "the token endpoint http://127.0.0.1:1/: All connection"),
]


@pytest.mark.parametrize(("way", "changes", "words"), REFUSALS, ids=lambda value: str(value)[:40])
def test_a_refusal_is_told_with_its_cause(come, way, changes, words):
    with pytest.raises(StopProcess, match=words) as caught:
        asyncio.run(admin.apply(come(way, **changes), TopicSettings()))
    assert not any(secret in str(caught.value) for secret in (PASSWORD, SECRET, KEY_PASSWORD))


@pytest.mark.parametrize("client", [producer, lambda kafka, name: consumer(kafka, name, None)])
def test_a_token_that_the_broker_refuses_ends_a_start(come, broker, tmp_path, client):
    """aiokafka takes the refusal for success, and would wait for ever."""
    (tmp_path / "bad").write_text(broker.token(seconds=-600))
    kafka = come("token_in_file", oauth_token_file=tmp_path / "bad")

    async def start():
        await connect(client(kafka, "test"), kafka)

    with pytest.raises(StopProcess, match="refuses our token"):
        asyncio.run(start())


def test_a_command_says_it_in_one_line_and_a_password_can_come_from_a_file(come, monkeypatch, tmp_path):
    kafka = come("scram_256")
    for name, value in kafka_variables(kafka).items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("RENDERCAST_KAFKA__SASL_PASSWORD")
    secret = tmp_path / "password"
    monkeypatch.setenv("RENDERCAST_KAFKA__SASL_PASSWORD_FILE", str(secret))
    monkeypatch.setenv("RENDERCAST_TOPICS__PREFIX", new_topics(kafka).prefix)
    secret.write_text(PASSWORD + "\n")
    assert "partitions should be" in CliRunner().invoke(main, ["topics", "check"]).output
    secret.write_text("wrong")
    refused = CliRunner().invoke(main, ["topics", "check"])
    assert refused.exit_code == 1
    assert refused.stderr.startswith("rendercast: no Kafka broker lets us in at ")
    assert refused.stderr.count("\n") == 1
