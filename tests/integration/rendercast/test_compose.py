"""Where no Docker engine is at hand: the command and settings of every container of ours, run as a process."""

import json
import re
from pathlib import Path

import pytest
import yaml
from harness import Process, eventually

from rendercast.broker.local import free_port
from schemas.settings import TopicSettings

COMPOSE = Path(__file__).parents[3] / "docker-compose.yml"
SERVICES = yaml.safe_load(COMPOSE.read_text())["services"]
OURS = {name: service for name, service in SERVICES.items() if service.get("image") == "rendercast:local"}
ONCE = ("topics", "migrations")


@pytest.fixture
def container(kafka, topics, postgres_database, tmp_path):
    """Run a service's command with its settings, with the names and paths of this machine put in."""
    port = free_port()
    here = {
        "kafka:9092": kafka.bootstrap_servers,
        "postgresql://rendercast:rendercast@postgres/rendercast": postgres_database,
        "simulator:8100": f"127.0.0.1:{port}",
        "/var/lib/rendercast": str(tmp_path),
    }
    started = []

    def settings(service):
        found = {}
        for name, value in (service.get("environment") or {}).items():
            for theirs, ours in here.items():
                value = value.replace(theirs, ours)  # noqa: PLW2901 - rewritten on purpose
            found[name.removeprefix("RENDERCAST_")] = value
        found.pop("KAFKA__BOOTSTRAP_SERVERS", None)
        for name in ("GATEWAY__PORT", "SIMULATOR__PORT"):
            if name in found:
                found[name] = str(port if name.startswith("SIMULATOR") else free_port())
        return found

    def run(name):
        service = OURS[name]
        partitions = int(service.get("environment", {}).get("RENDERCAST_TOPICS__PARTITIONS", topics.partitions))
        mine = TopicSettings(prefix=f"{topics.prefix}compose.", partitions=partitions)
        process = Process(" ".join(service["command"]), tmp_path, kafka, mine, **settings(service))
        started.append(process)
        return process

    yield run
    for process in started:
        process.kill()


def test_compose_has_a_broker_a_database_the_simulator_and_all_five_processes():
    assert {tuple(service["command"]) for name, service in OURS.items() if name not in ONCE} == {
        ("simulator",), ("connector",), ("processor",), ("sink", "chats"), ("sink", "storage"), ("gateway",),
    }  # fmt: skip
    assert {"kafka", "postgres"} <= SERVICES.keys()


def test_every_containers_command_starts_becomes_ready_and_stops_within_its_grace(container):
    for name in ONCE:
        process = container(name)
        assert eventually(lambda process=process: process.status is not None, 60)
        assert process.status == 0, process.log
    running = [container(name) for name in OURS if name not in ONCE]
    for process in running:
        process.wait_ready(60)
    for process in running:
        assert process.stop(seconds=15) == 0, process.log


def test_the_images_entry_point_is_the_command_line():
    dockerfile = COMPOSE.with_name("Dockerfile").read_text()
    assert json.loads(re.search(r"^ENTRYPOINT (.*)$", dockerfile, re.MULTILINE)[1]) == ["rendercast"]
    copied = set(re.findall(r"^COPY (\w+) \w+$", dockerfile, re.MULTILINE))
    assert copied == {"schemas", "streams", "connectors", "rendercast"}


def test_no_container_runs_as_root_and_none_keeps_more_than_it_needs():
    assert "USER 10001" in COMPOSE.with_name("Dockerfile").read_text()
    for service in OURS.values():
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]
