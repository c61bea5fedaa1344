"""`rendercast doctor` against what is well and what is broken: real brokers, databases, stores, and the simulator."""

import json
import os
import socket
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import httpx
import pytest
from click.testing import CliRunner
from harness import Process, eventually

from rendercast.cli import main
from rendercast.doctor import clock
from rendercast.settings import kafka_variables
from schemas import utcnow
from schemas.errors import StopProcess
from schemas.settings import TopicSettings

TOKEN, SECRET = "the upstream's token", "a secret of thirty-two characters"


@pytest.fixture(scope="module")
def simulator(tmp_path_factory, kafka):
    directory = tmp_path_factory.mktemp("simulator")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = Process("simulator", directory, kafka, TopicSettings(), simulator__port=port, simulator__token=TOKEN)

    def listens():
        assert process.status is None, process.log
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", port)) == 0

    eventually(listens, 30, "the simulator listens")
    yield f"http://127.0.0.1:{port}"
    process.stop()


@pytest.fixture
def ask(monkeypatch, tmp_path, kafka, topics, simulator):
    """Runs the doctor with settings that are well, some of them changed; its findings by what they are about."""
    for name in [each for each in os.environ if each.startswith("RENDERCAST_")]:
        monkeypatch.delenv(name)
    well = {
        **kafka_variables(kafka),
        "RENDERCAST_TOPICS__PREFIX": topics.prefix, "RENDERCAST_TOPICS__PARTITIONS": str(topics.partitions),
        "RENDERCAST_CONNECTOR__BASE_URL": simulator, "RENDERCAST_CONNECTOR__TOKEN": TOKEN,
        "RENDERCAST_CHATS__URL": f"sqlite:///{tmp_path}/chats.db",
        "RENDERCAST_STORAGE__STORE_URL": str(tmp_path / "store"),
        "RENDERCAST_GATEWAY__JWT_SECRET": SECRET,
    }  # fmt: skip

    def run(*arguments, status=1, **changes):
        for name, value in (well | {f"RENDERCAST_{name.upper()}": value for name, value in changes.items()}).items():
            monkeypatch.setenv(name, value)
        done = CliRunner().invoke(main, ["doctor", "--json", *arguments])
        assert done.exit_code == status, done.output
        assert not any(secret in done.output for secret in (TOKEN, SECRET))
        found = {}
        for each in map(json.loads, done.stdout.splitlines()):
            found.setdefault(each["about"], []).append(each)
            assert (each["state"] == "good") != ("next" in each), "what is not good has a next step"
        return found

    for name, value in well.items():
        monkeypatch.setenv(name, value)
    assert CliRunner().invoke(main, ["db", "upgrade"]).exit_code == 0
    return run


def states(found):
    return {about: {each["state"] for each in several} for about, several in found.items()}


def test_all_is_well_and_nothing_is_left_behind(ask, tmp_path):
    found = ask(status=0)
    assert {state for several in states(found).values() for state in several} == {"good"}
    wanted = {"topics", "upstream", "upstream's token", "upstream's streams", "clock of the upstream"}
    wanted |= {"chat database", "object store", "gateway's keys"}
    wanted |= {f"rights of {each}" for each in ("connector", "processor", "chats", "storage", "gateway")}
    assert wanted < found.keys()
    assert [each for each in (tmp_path / "store").rglob("*") if each.is_file()] == []


def test_one_line_for_people(ask, monkeypatch):
    ask("--only", "gateway", status=0)
    done = CliRunner().invoke(main, ["doctor", "--only", "gateway", "--only", "store"])
    assert done.stdout.splitlines()[1] == "good      gateway's keys: there is a key to check tokens with"
    monkeypatch.setenv("RENDERCAST_GATEWAY__AUTH", "off")
    done = CliRunner().invoke(main, ["doctor", "--only", "gateway"])
    assert done.exit_code == 0
    assert done.stdout.startswith("doubtful  gateway's keys: authorization is off")
    assert done.stdout.splitlines()[1].startswith("          → Set RENDERCAST_GATEWAY__AUTH to jwt")


def test_topics_that_are_missing_or_cut_otherwise(ask, kafka, topics):
    found = ask("--only", "kafka", topics__prefix=f"{topics.prefix}none.")
    assert "commands" in found["topics"][0]["words"]
    assert found["topics"][0]["next"] == "Run `rendercast topics apply`."
    found = ask("--only", "kafka", topics__partitions="3")
    assert "partitions should be 3, is 2" in found[f"topic {topics.names.jobs}"][0]["words"]


BROKEN = [
    ("upstream", {"connector__base_url": "http://127.0.0.1:1"}, "upstream", "does not answer", "CONNECTOR__BASE_URL"),
    ("upstream", {"connector__token": "another"}, "upstream's token", "refuses the token", "CONNECTOR__TOKEN"),
    ("upstream", {"connector__token": ""}, "upstream's token", "there is none", "CONNECTOR__TOKEN"),
    ("database", {"chats__url": "sqlite:///{tmp}/new.db"}, "chat database", "new.db is not there", "db upgrade"),
    ("database", {"chats__url": "sqlite:///{tmp}/empty.db"}, "chat database", "at revision none", "db upgrade"),
    ("database", {"chats__url": "postgresql://x@127.0.0.1:1/x"}, "chat database", "onnect", "RENDERCAST_CHATS__URL"),
    ("database", {"chats__url": "mysql://x"}, "chat database", "no driver for mysql", "RENDERCAST_CHATS__URL"),
    ("store", {"storage__store_url": "/proc/no"}, "object store", "cannot be opened", "STORAGE__STORE_URL"),
    (
        "gateway",
        {"gateway__jwt_secret": "", "gateway__jwks_url": "http://127.0.0.1:1/"},
        "settings",
        "JWT_SECRET",
        "config",
    ),
    (
        "kafka",
        {"kafka__bootstrap_servers": "127.0.0.1:1"},
        "kafka 127.0.0.1:1",
        "Connect call failed",
        "BOOTSTRAP_SERV",
    ),
]


@pytest.mark.parametrize(("subject", "changes", "about", "words", "then"), BROKEN, ids=lambda value: str(value)[:30])
def test_what_is_broken_is_told_with_the_next_step(ask, tmp_path, subject, changes, about, words, then):
    (tmp_path / "empty.db").touch()
    changes = {name: value.format(tmp=tmp_path) for name, value in changes.items()}
    (finding,) = ask("--only", subject, status=2 if about == "settings" else 1, **changes)[about]
    assert finding["state"] == "wrong"
    assert words in finding["words"]
    assert then in finding["next"]
    assert not (tmp_path / "new.db").exists(), "looking makes no database"


def test_a_broker_without_tls_is_told_to_one_who_comes_with_it(ask, kafka):
    said = ask("--only", "kafka", kafka__security_protocol="SSL")
    (finding,) = said[f"kafka {kafka.servers[0]}"]
    assert "it may expect another RENDERCAST_KAFKA__SECURITY_PROTOCOL" in finding["words"]


def test_a_broker_without_passwords_is_told_to_one_who_comes_with_one(ask, kafka):
    password = {"sasl_mechanism": "PLAIN", "sasl_username": "somebody", "sasl_password": "pass"}
    said = ask(
        "--only", "kafka", kafka__security_protocol="SASL_PLAINTEXT", **{f"kafka__{k}": password[k] for k in password}
    )
    (finding,) = said[f"kafka {kafka.servers[0]}"]
    assert "asks for no password" in finding["words"]


def test_rights_are_asked_of_the_server_that_answers(ask, kafka):
    found = ask("--only", "kafka", kafka__bootstrap_servers=f"127.0.0.1:1,{kafka.servers[0]}")
    assert states(found)["kafka 127.0.0.1:1"] == {"wrong"}
    assert states(found)["rights of processor"] == {"good"}


def test_what_a_room_says_to_an_operator_is_foreseen(ask, monkeypatch):
    async def away(*_):
        raise StopProcess("the brokers went away")

    monkeypatch.setattr("rendercast.topics.check", away)
    (finding,) = ask("--only", "kafka")["kafka"]
    assert (finding["words"], "report" in finding["next"]) == ("the brokers went away", False)


@contextmanager
def answering(response):
    """An HTTP server with one answer."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            self.wfile.write(response)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_a_date_of_no_zone_is_in_utc(ask):
    date = utcnow().strftime("%a, %d %b %Y %H:%M:%S -0000")
    with answering(f"HTTP/1.1 200 OK\r\nDate: {date}\r\nContent-Length: 0\r\n\r\n".encode()) as url:
        found = ask("--only", "upstream", connector__base_url=url)
    assert states(found)["clock of the upstream"] == {"good"}


def test_an_upstream_that_ends_without_words_is_named(ask, monkeypatch):
    async def silent(*_, **__):
        raise httpx.ConnectTimeout("")

    monkeypatch.setattr(httpx.AsyncClient, "get", silent)
    (finding,) = ask("--only", "upstream")["upstream"]
    assert finding["words"].endswith("ConnectTimeout")


def test_what_cannot_be_read_back_is_deleted_all_the_same(ask, monkeypatch, tmp_path):
    async def other(*_):
        yield b"other bytes"

    monkeypatch.setattr("connectors.storage.store.ObjectStore.read", other)
    (finding,) = ask("--only", "store")["object store"]
    assert "other bytes" in finding["words"]
    assert [each for each in (tmp_path / "store").rglob("*") if each.is_file()] == []


def test_an_issuer_that_does_not_answer(ask, monkeypatch):
    ask("--only", "gateway", status=0)
    monkeypatch.delenv("RENDERCAST_GATEWAY__JWT_SECRET")
    monkeypatch.setenv("RENDERCAST_GATEWAY__JWKS_URL", "http://127.0.0.1:1/keys")
    done = CliRunner().invoke(main, ["doctor", "--only", "gateway"])
    assert (done.exit_code, "JWKS_URL" in done.stdout) == (1, True)


def test_a_database_that_takes_no_row(ask, postgres_database):
    ask("--only", "database", chats__url=postgres_database)
    assert CliRunner().invoke(main, ["db", "upgrade"]).exit_code == 0
    found = ask("--only", "database", status=0, chats__url=postgres_database)
    assert states(found) == {"chat database": {"good"}, "clock of the chat database": {"good"}}
    separator = "&" if "?" in postgres_database else "?"
    refusing = f"{postgres_database}{separator}options=-c%20default_transaction_read_only%3Don"
    assert "takes no row" in ask("--only", "database", chats__url=refusing)["chat database"][0]["words"]


@pytest.mark.parametrize(
    ("seconds", "state", "words"), [(60, "doubtful", "ahead of"), (-60, "doubtful", "behind"), (1, "good", "")]
)
def test_clocks_that_differ(seconds, state, words):
    now = utcnow()
    found = clock.compare("x", now + timedelta(seconds=seconds), now)
    assert found.state == state
    assert words in found.words
