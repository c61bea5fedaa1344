"""Who may connect to whom."""

import ipaddress
import re

import pytest
from unit.helm.charts import BARE, EVERYTHING, FOLDER, JOBS, MINIMAL, PROCESSES, merged, of_kind, pods

from connectors.gateway.static import FILES

INSIDE = (
    "10.1.2.3",
    "172.16.0.1",
    "172.31.255.255",
    "192.168.1.1",
    "169.254.169.254",
    "127.0.0.1",
    "100.64.0.1",
    "fd00::1",
    "fe80::1",
)
OUTSIDE = ("8.8.8.8", "172.32.0.1", "100.128.0.1", "2606:4700::1111")


def policies(chart, values):
    return of_kind(chart.objects(values), "NetworkPolicy")


def reaches(policy, address):
    """The ports of an address outside the cluster that a policy opens."""
    found = ipaddress.ip_address(address)
    return {
        port["port"]
        for rule in policy["spec"]["egress"]
        for peer in rule.get("to", ())
        if "ipBlock" in peer
        and found in ipaddress.ip_network(peer["ipBlock"]["cidr"])
        and not any(found in ipaddress.ip_network(each) for each in peer["ipBlock"].get("except", ()))
        for port in rule["ports"]
    }


def inside(policy):
    """The ports in the cluster that a policy opens."""
    return {
        port["port"]
        for rule in policy["spec"]["egress"]
        if all("ipBlock" not in peer for peer in rule.get("to", ()))
        for port in rule["ports"]
    }


def test_every_pod_has_one_policy_for_both_directions(chart):
    found = policies(chart, MINIMAL)
    assert found.keys() == PROCESSES.keys() | JOBS.keys() == pods(chart.objects(MINIMAL)).keys()
    assert all(each["spec"]["policyTypes"] == ["Ingress", "Egress"] for each in found.values())
    assert policies(chart, BARE) == {}


@pytest.mark.parametrize("address", OUTSIDE)
def test_only_the_connector_and_the_storage_sink_may_leave_the_cluster(chart, address):
    leave = {name for name, each in policies(chart, MINIMAL).items() if reaches(each, address)}
    assert leave == {"connector", "storage-sink"}
    assert {port for each in policies(chart, MINIMAL).values() for port in reaches(each, address)} == {443}
    generate = policies(chart, merged(MINIMAL, {"gateway": {"generate": True}}))
    assert reaches(generate["gateway"], address), "to generate it has to ask the upstream"


@pytest.mark.parametrize("address", INSIDE)
def test_nobody_leaves_towards_private_addresses(chart, address):
    assert not any(reaches(each, address) for each in policies(chart, EVERYTHING).values())


def test_each_reaches_what_it_needs_in_the_cluster_and_nothing_else(chart):
    assert {name: inside(each) for name, each in policies(chart, MINIMAL).items()} == {
        "connector": {53, 9092},
        "processor": {53, 9092},
        "chat-sink": {53, 9092, 5432},
        "storage-sink": {53, 9092},
        "gateway": {53, 9092},
        "topics": {53, 9092},
        "migrations": {53, 5432},
    }
    everything = policies(chart, EVERYTHING)
    assert inside(everything["connector"]) == {53, 9092, 8100}
    assert inside(everything["storage-sink"]) == {53, 9092, 9000}
    assert inside(everything["gateway"]) == {53, 9092, 8100, 5432}
    assert inside(everything["processor"]) == {53, 9092}


def test_no_rule_opens_everything(chart):
    """A rule without ports opens all of them, one without peers opens the world."""
    for each in policies(chart, MINIMAL).values():
        for rule in [*each["spec"]["egress"], *each["spec"].get("ingress", ())]:
            assert rule["ports"]
            assert rule.get("to") or rule.get("from")


@pytest.mark.parametrize("outside", [{"ports": []}, {"to": []}, None], ids=["no port", "nobody", "nothing"])
def test_what_is_left_empty_opens_nothing(chart, outside):
    """To Kubernetes no ports are all of them, and nobody is everybody."""
    found = policies(chart, merged(MINIMAL, {"networkPolicy": {"outside": outside}}))
    for each in found.values():
        assert not any(reaches(each, address) for address in OUTSIDE)
        assert all(rule["ports"] and rule["to"] for rule in each["spec"]["egress"])


def test_where_callers_are_taken_away_nobody_calls(chart):
    for each in policies(chart, merged(MINIMAL, {"networkPolicy": {"metrics": None, "gateway": None}})).values():
        assert not each["spec"].get("ingress")


def test_calls_come_in_only_to_the_gateway_and_scrapes_only_from_monitoring(chart):
    for component, each in policies(chart, MINIMAL).items():
        ports = {port["port"]: rule["from"] for rule in each["spec"].get("ingress", ()) for port in rule["ports"]}
        assert ports.keys() == (
            {"monitoring", "http"} if component == "gateway" else {"monitoring"} if component in PROCESSES else set()
        )
        if "monitoring" in ports:
            assert ports["monitoring"] == [
                {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}
            ]


def test_what_asks_for_no_token_is_not_on_the_ingress(chart):
    (found,) = [each for each in chart.objects(EVERYTHING) if each["kind"] == "Ingress"]
    (rule,) = found["spec"]["rules"]
    paths = {each["path"]: each["pathType"] for each in rule["http"]["paths"]}

    def served(path):
        return path in paths or any(
            kind == "Prefix" and (path == prefix or path.startswith(prefix.rstrip("/") + "/"))
            for prefix, kind in paths.items()
        )

    routes = re.findall(r'Route\(\s*"(/[^"{]*)', (FOLDER.parents[1] / "connectors/gateway/routes.py").read_text())
    inner = {"/healthz", "/readyz", "/metrics"}
    assert inner < set(routes)
    assert not any(served(each) for each in inner)
    for each in (set(routes) | FILES.keys()) - inner:
        assert served(each.rstrip("/") or "/"), each
    service = {each["metadata"]["name"]: each for each in chart.objects(EVERYTHING) if each["kind"] == "Service"}
    backend = rule["http"]["paths"][0]["backend"]["service"]
    assert backend["port"]["name"] in {port["name"] for port in service[backend["name"]]["spec"]["ports"]}
    assert [port["targetPort"] for port in service[backend["name"]]["spec"]["ports"]] == ["http"]
