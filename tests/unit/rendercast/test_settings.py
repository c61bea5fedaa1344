"""Settings come from the environment, and a wrong one is named."""

import pytest

from rendercast.settings import flat, kafka_variables, load
from schemas.errors import StopProcess
from schemas.settings import KafkaSettings


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
        ("RENDERCAST_STORAGE__ALLOW_HOSTS", "a.example,b.example", r"expected a list as JSON.*only these hosts"),
        ("RENDERCAST_STORAGE", "x", "valid dictionary"),
        ("RENDERCAST_KAFKA__BOOTSTRAP_SERVERS", "broker", "host:port, or several with commas"),
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


def test_a_secret_can_come_from_a_file(monkeypatch, tmp_path):
    secret = tmp_path / "token"
    secret.write_text(" of the upstream \r\n")
    monkeypatch.setenv("RENDERCAST_CONNECTOR__TOKEN_FILE", str(secret))
    assert load().connector.token.get_secret_value() == " of the upstream "


def test_a_secret_given_twice_or_in_a_file_that_cannot_be_read_is_an_error(monkeypatch, tmp_path):
    monkeypatch.setenv("RENDERCAST_CONNECTOR__TOKEN_FILE", str(tmp_path / "none"))
    with pytest.raises(StopProcess, match=r"RENDERCAST_CONNECTOR__TOKEN_FILE: .*No such file"):
        load()
    monkeypatch.setenv("RENDERCAST_CONNECTOR__TOKEN", "x")
    with pytest.raises(StopProcess, match="TOKEN_FILE and RENDERCAST_CONNECTOR__TOKEN are both set"):
        load()


def test_what_is_no_setting_is_no_setting_with_file_at_its_end_either(monkeypatch):
    monkeypatch.setenv("RENDERCAST_CONNECTOR__TOKENN_FILE", "/dev/null")
    with pytest.raises(StopProcess, match="CONNECTOR__TOKENN_FILE: Extra inputs are not permitted"):
        load()


def test_a_setting_that_is_called_a_file_is_one(monkeypatch):
    monkeypatch.setenv("RENDERCAST_KAFKA__SECURITY_PROTOCOL", "SASL_SSL")
    monkeypatch.setenv("RENDERCAST_KAFKA__SASL_MECHANISM", "OAUTHBEARER")
    monkeypatch.setenv("RENDERCAST_KAFKA__OAUTH_TOKEN_FILE", "/run/token")
    assert str(load().kafka.oauth_token_file) == "/run/token"


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"SECURITY_PROTOCOL": "SASL_SSL"}, "SASL_SSL needs SASL_MECHANISM"),
        ({"SASL_MECHANISM": "PLAIN"}, "SASL_MECHANISM needs SECURITY_PROTOCOL SASL_SSL or SASL_PLAINTEXT"),
        (
            {"SECURITY_PROTOCOL": "SASL_SSL", "SASL_MECHANISM": "PLAIN", "SASL_USERNAME": "x"},
            "PLAIN needs SASL_USERNAME and SASL_PASSWORD",
        ),
        ({"SECURITY_PROTOCOL": "SASL_SSL", "SASL_MECHANISM": "OAUTHBEARER"}, "OAUTHBEARER needs OAUTH_TOKEN_FILE, or"),
        ({"SSL_CAFILE": "/ca.pem"}, "SSL_… needs SECURITY_PROTOCOL SSL or SASL_SSL"),
        ({"SECURITY_PROTOCOL": "SSL", "SSL_KEYFILE": "/key.pem"}, "SSL_KEYFILE needs SSL_CERTFILE"),
    ],
)
def test_settings_of_kafka_that_do_not_belong_together_are_told(monkeypatch, given, words):
    for name, value in given.items():
        monkeypatch.setenv(f"RENDERCAST_KAFKA__{name}", value)
    with pytest.raises(StopProcess, match=f"RENDERCAST_KAFKA: .*{words}"):
        load()


def test_what_another_process_is_told_reaches_the_same_brokers():
    kafka = KafkaSettings(
        bootstrap_servers="a:1", security_protocol="SASL_SSL", sasl_mechanism="PLAIN", sasl_username="x",
        sasl_password="hush", ssl_check_hostname=False,
    )  # fmt: skip
    told = kafka_variables(kafka)
    assert told["RENDERCAST_KAFKA__SASL_PASSWORD"] == "hush"
    assert KafkaSettings(**{name.removeprefix("RENDERCAST_KAFKA__").lower(): told[name] for name in told}) == kafka
