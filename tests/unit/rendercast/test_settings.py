"""Settings come from the environment, and a wrong one is named."""

import pytest

from rendercast.settings import flat, load
from schemas.errors import StopProcess


def test_a_section_reads_its_variables(monkeypatch):
    monkeypatch.setenv("RENDERCAST_KAFKA__BOOTSTRAP_SERVERS", "a:1, b:2")
    monkeypatch.setenv("RENDERCAST_TOPICS__PARTITIONS", "3")
    settings = load()
    assert settings.kafka.servers == ["a:1", "b:2"]
    assert settings.topics.partitions == 3


@pytest.mark.parametrize(
    ("name", "value", "word"),
    [
        ("RENDERCAST_TOPICS__PARTITIONS", "many", "valid integer"),
        ("RENDERCAST_TOPICS__PARTITIONS", "0", "greater than or equal to 1"),
        ("RENDERCAST_KAFKA__BOOTSTRAP_SERVER", "x", "Extra inputs are not permitted"),
        ("RENDERCAST_KAFKKA__X", "x", "there is no such setting"),
        ("RENDERCAST_LOG__LEVEL", "loud", "'debug', 'info'"),
    ],
)
def test_a_wrong_variable_is_named_with_what_was_expected(monkeypatch, name, value, word):
    monkeypatch.setenv(name, value)
    with pytest.raises(StopProcess, match=rf"{name}: .*{word}"):
        load()


def test_all_wrong_variables_are_named_at_once(monkeypatch):
    monkeypatch.setenv("RENDERCAST_TOPICS__PARTITIONS", "0")
    monkeypatch.setenv("RENDERCAST_FOO", "x")
    with pytest.raises(StopProcess) as caught:
        load()
    assert "RENDERCAST_TOPICS__PARTITIONS" in str(caught.value)
    assert "RENDERCAST_FOO" in str(caught.value)


def test_secrets_are_masked_when_shown(monkeypatch):
    monkeypatch.setenv("RENDERCAST_CONNECTOR__TOKEN", "hush")
    monkeypatch.setenv("RENDERCAST_CHATS__URL", "postgresql://me:hush@host/db")
    settings = load()
    shown = dict(flat(settings))
    assert settings.connector.token.get_secret_value() == "hush"
    assert "hush" not in str(shown) + str(settings)
    assert shown["RENDERCAST_KAFKA__BOOTSTRAP_SERVERS"] == settings.kafka.bootstrap_servers
