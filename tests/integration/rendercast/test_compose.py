"""Where no Docker engine is at hand: the command and settings of every container of ours, run as a process."""

import json
import re
from pathlib import Path

import boto3
import pytest
import yaml
from harness import Process, eventually
from moto.server import ThreadedMotoServer
from promtool import promtool

from rendercast.broker.local import free_port
from schemas.settings import TopicSettings

COMPOSE = Path(__file__).parents[3] / "docker-compose.yml"
SERVICES = yaml.safe_load(COMPOSE.read_text())["services"]
OURS = {name: service for name, service in SERVICES.items() if service.get("image") == "rendercast:local"}
ONCE = ("topics", "migrations")


@pytest.fixture
def bucket():
    """Where compose has MinIO."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    client = boto3.client(
        "s3", endpoint_url=f"http://{host}:{port}", aws_access_key_id="x", aws_secret_access_key="x",
        region_name="us-east-1",
    )  # fmt: skip
    client.create_bucket(Bucket="rendercast")
    yield f"{host}:{port}"
    server.stop()


@pytest.fixture
def container(kafka, topics, postgres_database, bucket, tmp_path, monkeypatch):
    """Run a service's command with its settings, with the names and paths of this machine put in."""
    port = free_port()
    here = {
        "minio:9000": bucket,
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
            if not name.startswith("RENDERCAST_"):
                monkeypatch.setenv(name, value)
                continue
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
        done = promtool("check", "metrics", given=process.get("/metrics"))
        assert (done.returncode, done.stdout + done.stderr) == (0, ""), process.command
    for process in running:
        assert process.stop(seconds=15) == 0, process.log


def test_prometheus_asks_every_process_and_has_the_rules_of_the_chart(tmp_path):
    config = yaml.safe_load((COMPOSE.parent / "deploy" / "prometheus.yml").read_text())
    [scrape] = config["scrape_configs"]
    targets = scrape["static_configs"][0]["targets"]
    assert sorted(targets) == sorted(f"{name}:9464" for name in OURS if name not in (*ONCE, "simulator"))
    mounted = dict(each.split(":")[1::-1] for each in SERVICES["prometheus"]["volumes"])
    [rules] = config["rule_files"]
    config["rule_files"] = [str(COMPOSE.parent / mounted[rules])]
    (tmp_path / "prometheus.yml").write_text(yaml.safe_dump(config))
    done = promtool("check", "config", str(tmp_path / "prometheus.yml"))
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_containers_mount_from_here_is_here_and_images_have_a_version():
    for service in SERVICES.values():
        for mount in service.get("volumes", ()):
            if mount.startswith("./"):
                assert (COMPOSE.parent / mount.split(":")[0]).exists(), mount
        assert re.search(r":(local|v?\d|RELEASE\.\d)", service["image"]), service["image"]


def test_grafana_finds_the_dashboards_and_prometheus():
    deploy = COMPOSE.parent / "deploy" / "grafana"
    [source] = yaml.safe_load((deploy / "datasources.yml").read_text())["datasources"]
    assert source["url"] == "http://prometheus:9090"
    [provider] = yaml.safe_load((deploy / "dashboards.yml").read_text())["providers"]
    mounted = dict(each.split(":")[1::-1] for each in SERVICES["grafana"]["volumes"])
    assert mounted[provider["options"]["path"]] == "./helm/rendercast/dashboards"
    home = Path(SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert (COMPOSE.parent / mounted[str(home.parent)] / home.name).is_file()


def test_the_images_entry_point_is_the_command_line():
    dockerfile = COMPOSE.with_name("Dockerfile").read_text()
    assert json.loads(re.search(r"^ENTRYPOINT (.*)$", dockerfile, re.MULTILINE)[1]) == ["rendercast"]
    copied = set(re.findall(r"^COPY (\w+) \w+$", dockerfile, re.MULTILINE))
    assert copied == {"schemas", "brokers", "tracing", "streams", "connectors", "rendercast"}


def test_no_container_runs_as_root_and_none_keeps_more_than_it_needs():
    assert "USER 10001" in COMPOSE.with_name("Dockerfile").read_text()
    for service in OURS.values():
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]
