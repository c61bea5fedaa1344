"""Settings: what the processes find in their environment is what they read."""

import json
import re

import pytest
import yaml
from unit.helm.charts import (
    EVERYTHING,
    FOLDER,
    MINIMAL,
    PROCESSES,
    STRIMZI,
    STRIMZI_TLS,
    TOOLBOX,
    container,
    environment,
    merged,
    pods,
)

from rendercast.cli import main
from rendercast.settings import Settings, flat, load

ROOT = FOLDER.parents[1]
NAMES = {name for name, _ in flat(Settings())}
FILES = "/etc/rendercast/secrets/"
PLAUSIBLE = {
    "RENDERCAST_CHATS__URL": "postgresql://user:password@host/name",
    "RENDERCAST_CHATS__LOCAL_URL": "sqlite:////var/lib/rendercast/local.db",
}


def unfiled(variables):
    """With secrets that are mounted as files as references again."""
    files = {name: value for name, value in variables.items() if str(value).startswith(FILES)}
    for name, value in files.items():
        assert value == f"{FILES}{name.removesuffix('_FILE')}"
    kept = {name: value for name, value in variables.items() if name not in files}
    return {**kept, **{name.removesuffix("_FILE"): {"secretKeyRef": {}} for name in files}}


def loaded(monkeypatch, pod, more=()):
    """The settings that a process of this pod would have."""
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)
    found = {
        name: value if isinstance(value, str) else PLAUSIBLE.get(name, "x" * 40)
        for name, value in unfiled(environment(pod)).items()
        if name.startswith("RENDERCAST_")
    }
    for name, value in found.items():
        monkeypatch.setenv(name, value)
    return load({**found, **dict(more)})


def test_every_variable_is_a_setting(chart, values):
    for component, pod in pods(chart.objects(values)).items():
        names = {name for name in unfiled(environment(pod)) if name.startswith("RENDERCAST_")}
        assert names <= NAMES, component
        assert len(names) == len([e for e in container(pod)["env"] if e["name"].startswith("RENDERCAST_")]), (
            "no name twice"
        )


def test_every_process_takes_its_environment(chart, values, monkeypatch):
    for pod in pods(chart.objects(values)).values():
        loaded(monkeypatch, pod)


def test_values_arrive_as_they_were_meant(chart, monkeypatch):
    found = pods(chart.objects(EVERYTHING))
    connector = loaded(monkeypatch, found["connector"]).connector
    assert connector.requests_per_second == 1048576
    assert connector.poll_steps_seconds == (1, 2.5)
    processor = loaded(monkeypatch, found["processor"]).processor
    assert (processor.retention, processor.engine.step_records) == (604800, 1048577)
    storage = loaded(monkeypatch, found["storage-sink"]).storage
    assert (storage.max_bytes, storage.allow_hosts) == (4294967297, (".example.com", "<&>"))
    chats = loaded(monkeypatch, found["chat-sink"]).chats
    assert not chats.notify
    assert str(chats.layout) == "/etc/rendercast/chats/layout.toml"
    gateway = loaded(monkeypatch, found["gateway"])
    assert gateway.gateway.cors_origins == ("https://app.example.com",)
    assert (gateway.gateway.host, gateway.gateway.port, gateway.monitoring.port) == ("0.0.0.0", 8080, 9464)


def test_processes_listen_where_the_values_say(chart, monkeypatch):
    for values, address in ((MINIMAL, "0.0.0.0"), (TOOLBOX, "::")):
        found = pods(chart.objects(values))
        for process in PROCESSES.keys() & found.keys():
            settings = loaded(monkeypatch, found[process])
            assert settings.monitoring.host == address, process
            assert process != "gateway" or settings.gateway.host == address
    services = {each["metadata"]["name"]: each["spec"] for each in chart.objects(TOOLBOX) if each["kind"] == "Service"}
    assert services["rendercast-gateway"]["ipFamilyPolicy"] == "PreferDualStack"
    services = {each["metadata"]["name"]: each["spec"] for each in chart.objects(MINIMAL) if each["kind"] == "Service"}
    assert "ipFamilyPolicy" not in services["rendercast-gateway"], "the cluster's own"


@pytest.mark.parametrize("lender", ["chatSink", "gateway"])
def test_the_migrations_are_of_the_database_and_layout_that_the_process_uses(chart, lender):
    reference = {"name": "own", "key": "url"}
    own = {
        "secrets": {"chats": {"url": reference}},
        "config": {"chats": {"layout": "/etc/rendercast/chats/layout.toml"}},
        "files": {"chats": [{"configMap": "layout"}]},
        "egress": [{"ports": [{"protocol": "TCP", "port": 6432}], "to": [{"podSelector": {}}]}],
    }
    switches = {"gateway": {"chats": lender == "gateway"}, "chatSink": {"enabled": lender == "chatSink"}}
    objects = chart.objects(merged(MINIMAL, switches, {lender: own}))
    process, job = (pods(objects)[name] for name in ({"chatSink": "chat-sink"}.get(lender, lender), "migrations"))
    for name in ("RENDERCAST_CHATS__URL", "RENDERCAST_CHATS__LAYOUT"):
        assert environment(job)[name] == environment(process)[name]
    assert environment(job)["RENDERCAST_CHATS__URL"] == {"secretKeyRef": reference}
    assert "/etc/rendercast/chats" in {each["mountPath"] for each in container(job)["volumeMounts"]}
    (policy,) = [
        each for each in objects if each["kind"] == "NetworkPolicy" and each["metadata"]["name"].endswith("migrations")
    ]
    assert own["egress"][0] in policy["spec"]["egress"]


def test_a_process_can_have_settings_of_its_own_on_top(chart):
    found = pods(chart.objects(EVERYTHING))
    assert environment(found["connector"])["RENDERCAST_CONNECTOR__BURST"] == "7"
    assert environment(found["connector"])["RENDERCAST_KAFKA__SASL_USERNAME"] == "own"
    assert environment(found["processor"])["RENDERCAST_KAFKA__SASL_USERNAME"] == "rendercast"
    assert environment(found["connector"])["HTTPS_PROXY"] == "http://proxy:3128"


def test_a_secret_of_a_process_takes_the_place_of_a_setting_for_all(chart):
    reference = {"name": "mine", "key": "user"}
    values = merged(EVERYTHING, {"processor": {"secrets": {"kafka": {"sasl_username": reference}}}})
    found = pods(chart.objects(values))
    assert environment(found["processor"])["RENDERCAST_KAFKA__SASL_USERNAME"] == {"secretKeyRef": reference}
    assert environment(found["gateway"])["RENDERCAST_KAFKA__SASL_USERNAME"] == "rendercast"


def holders(objects, variable):
    return {name for name, pod in pods(objects).items() if variable in environment(pod)}


def test_a_secret_goes_only_to_who_reads_it(chart):
    minimal, everything = chart.objects(MINIMAL), chart.objects(EVERYTHING)
    assert holders(minimal, "RENDERCAST_CONNECTOR__TOKEN") == {"connector"}
    assert holders(everything, "RENDERCAST_CONNECTOR__TOKEN") == {"connector", "gateway"}, (
        "the gateway may generate there"
    )
    assert holders(minimal, "RENDERCAST_CHATS__URL") == {"chat-sink", "migrations"}
    assert holders(everything, "RENDERCAST_CHATS__URL") == {"chat-sink", "migrations", "gateway"}, (
        "the gateway generates in chats there"
    )
    assert holders(everything, "RENDERCAST_GATEWAY__JWT_SECRET") == {"gateway"}
    assert holders(everything, "RENDERCAST_KAFKA__SASL_PASSWORD") == {*PROCESSES, "topics"}


def test_the_chart_makes_no_secret_and_every_password_is_a_reference(chart, values):
    objects = chart.objects(values)
    assert "Secret" not in {each["kind"] for each in objects}
    secret = {
        name for name, value in flat(Settings()) if re.search(r"TOKEN$|PASSWORD|SECRET|CHATS__(LOCAL_)?URL$", name)
    }
    for pod in pods(objects).values():
        for name in secret & environment(pod).keys():
            assert "secretKeyRef" in environment(pod)[name], name


def test_files_are_mounted_where_the_settings_look_for_them(chart):
    for values in (EVERYTHING, STRIMZI, STRIMZI_TLS):
        for component, pod in pods(chart.objects(values)).items():
            mounts = {each["mountPath"]: each for each in container(pod)["volumeMounts"]}
            volumes = {each["name"]: each for each in pod["spec"]["volumes"]}
            claimed = {"store"} if component == "processor" and values is EVERYTHING else set()
            assert {each["name"] for each in mounts.values()} == volumes.keys() | claimed
            for name, value in environment(pod).items():
                if isinstance(value, str) and value.startswith("/etc/rendercast/"):
                    folder, _, file = value.rpartition("/")
                    assert mounts[folder]["readOnly"], (component, name)
                    sources = volumes[mounts[folder]["name"]]["projected"]["sources"]
                    listed = [e["path"] for s in sources for kind in s.values() for e in kind.get("items", ())]
                    assert file in listed or any("items" not in kind for s in sources for kind in s.values()), name


@pytest.mark.parametrize(("values", "keys"), [(STRIMZI, {"password"}), (STRIMZI_TLS, {"user.crt", "user.key"})])
def test_with_strimzis_users_each_process_has_its_own(chart, values, keys, monkeypatch):
    for component, pod in pods(chart.objects(values)).items():
        if component == "migrations":
            assert not any(name.startswith("RENDERCAST_KAFKA") for name in environment(pod))
            continue
        text = json.dumps(pod)
        assert f'"rendercast-{component}"' in text
        used = {ref["key"] for ref in re_references(pod) if ref["name"] == f"rendercast-{component}"}
        assert used == keys
        assert '"events-cluster-ca-cert"' in text
        assert loaded(monkeypatch, pod).kafka.uses_tls


def re_references(pod):
    for value in environment(pod).values():
        if isinstance(value, dict) and "secretKeyRef" in value:
            yield value["secretKeyRef"]
    for volume in pod["spec"]["volumes"]:
        for source in volume.get("projected", {}).get("sources", ()):
            secret = source.get("secret", {})
            yield from ({"name": secret["name"], "key": each["key"]} for each in secret.get("items", ()))


def test_the_services_of_the_namespace_are_kept_out_of_the_environment(chart, values, monkeypatch):
    """Kubernetes tells every pod of a Service `rendercast-gateway` by RENDERCAST_GATEWAY_SERVICE_HOST: no setting."""
    for pod in pods(chart.objects(values)).values():
        assert pod["spec"]["enableServiceLinks"] is False
    with pytest.raises(Exception, match="RENDERCAST_GATEWAY_SERVICE_HOST"):
        loaded(monkeypatch, pod, [("RENDERCAST_GATEWAY_SERVICE_HOST", "10.0.0.1")])


def test_every_command_is_one_and_they_are_those_of_compose(chart):
    found = {tuple(container(pod)["args"]) for pod in pods(chart.objects(MINIMAL)).values()}
    services = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"].values()
    compose = {tuple(each["command"]) for each in services if each.get("image") == "rendercast:local"}
    assert found == compose - {("simulator",)}
    for command in found:
        group = main
        for word in command:
            group = group.get_command(None, word)
            assert group is not None, command


def test_user_ports_and_folders_are_those_of_the_image(chart):
    dockerfile = (ROOT / "Dockerfile").read_text()
    user = int(re.search(r"^USER (\d+)$", dockerfile, re.MULTILINE)[1])
    exposed = set(map(int, re.search(r"^EXPOSE (.*)$", dockerfile, re.MULTILINE)[1].split()))
    found = pods(chart.objects(MINIMAL))
    assert {pod["spec"]["securityContext"]["runAsUser"] for pod in found.values()} == {user}
    assert {port["containerPort"] for pod in found.values() for port in container(pod).get("ports", ())} == exposed
    assert all("command" not in container(pod) for pod in found.values()), "the image's entry point stays"
