"""A process that is asked to end before its service runs."""

import socket

import pytest
from harness import Process

from schemas.settings import KafkaSettings, TopicSettings


@pytest.mark.parametrize(
    ("command", "settings"),
    [
        ("processor", {}),
        ("connector", {"connector__base_url": "http://127.0.0.1:1", "connector__token": "t"}),
        ("gateway", {"gateway__auth": "off"}),
    ],
)
def test_sigterm_ends_a_process_in_order_while_it_waits_for_a_broker_that_says_nothing(tmp_path, command, settings):
    with socket.create_server(("127.0.0.1", 0)) as broker:
        broker.settimeout(60)
        kafka = KafkaSettings(bootstrap_servers=f"127.0.0.1:{broker.getsockname()[1]}")
        process = Process(command, tmp_path, kafka, TopicSettings(prefix="x."), **settings)
        try:
            broker.accept()
            assert process.stop() == 0
        finally:
            process.kill()
        assert "Traceback" not in process.log
