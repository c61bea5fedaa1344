"""No secret reaches a log line."""

import json
import logging

import pytest
import structlog

from rendercast import logs


@pytest.fixture(autouse=True)
def _restored():
    handlers, level = logging.root.handlers[:], logging.root.level
    yield
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


@pytest.mark.parametrize(
    "said",
    [
        {"token": "hush"},
        {"Authorization": "Bearer hush"},
        {"headers": "authorization: bearer hush"},
        {"url": "postgresql://me:hush@host/db"},
        {"url": "https://x.example/?access_token=hush&a=1"},
        {"error": "401 for Bearer hush"},
    ],
)
def test_secrets_are_masked(capsys, said):
    logs.set_up("test")
    structlog.get_logger().info("something", **said)
    line = json.loads(capsys.readouterr().err)
    assert "hush" not in str(line)
    assert line["event"] == "something"
    assert line["process"] == "test"


def test_a_port_is_no_password(capsys):
    logs.set_up("test")
    structlog.get_logger().info("started", url="http://127.0.0.1:8100", servers="kafka://one:9092,two:9092")
    line = json.loads(capsys.readouterr().err)
    assert (line["url"], line["servers"]) == ("http://127.0.0.1:8100", "kafka://one:9092,two:9092")


def test_lines_of_libraries_have_the_same_form_and_the_same_mask(capsys):
    logs.set_up("test")
    logging.getLogger("some.library").warning("sent Authorization: Bearer %s", "hush")
    line = json.loads(capsys.readouterr().err)
    assert line["level"] == "warning"
    assert "hush" not in str(line)


def test_an_exception_is_part_of_its_line(capsys):
    logs.set_up("test")
    try:
        int("what went wrong")
    except ValueError:
        structlog.get_logger().exception("failed", file_id="f")
    line = json.loads(capsys.readouterr().err)
    assert "what went wrong" in line["exception"]
    assert line["file_id"] == "f"
