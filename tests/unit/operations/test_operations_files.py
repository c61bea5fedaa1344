"""The page of metrics and the dashboards are made from code, and name nothing that is not there."""

import re
import subprocess
import sys

import pytest
import yaml
from promtool import promtool
from unit.operations import rules
from unit.operations.rules import groups

from rendercast.operations.__main__ import CHECKOUT, HOME, generated, stale
from rendercast.operations.boards import DASHBOARDS
from rendercast.operations.catalogue import GENERATING, ROOMS, Metric, metrics, series
from rendercast.operations.dashboards import SCOPE, as_json, scoped

RECORDED = {rule["record"] for group in groups() for rule in group["rules"] if "record" in rule}
PROMETHEUS_OWN = {"ALERTS", "process_start_time_seconds"}
OWN_LABELS = {"alertname", "alertstate", "instance", "process", *SCOPE}

SHOWN = [
    (f"{board.name}: {panel.title}", expression, legend)
    for board in DASHBOARDS
    for row in board.rows
    for panel in row.panels
    for expression, legend in panel.shown.items()
]
RULES = [(rule.get("alert") or rule["record"], rule["expr"], "") for group in groups() for rule in group["rules"]]

EXPOSE = """
import importlib, sys
from prometheus_client import REGISTRY, generate_latest
from prometheus_client.metrics import MetricWrapperBase
from rendercast.operations import catalogue
for room in sys.argv[1:]:
    module = importlib.import_module(room)
    for each in vars(module).values():
        if isinstance(each, MetricWrapperBase) and each._labelnames:
            each.labels(*["x"] * len(each._labelnames))
    if hasattr(module, "LanesCollector"):
        REGISTRY.register(module.LanesCollector(catalogue._Idle()))
sys.stdout.buffer.write(generate_latest())
"""


def names(expression):
    return set(re.findall(r"\b(?:rendercast[a-z]*[_:][\w:]+|ALERTS|process_start_time_seconds)", expression))


def used(expression):
    """Every name of a series in an expression, with the labels that are asked of it."""
    plain = re.sub(r'"[^"]*"', '""', expression)
    for name in names(plain):
        for braces in re.findall(rf"(?<![\w:]){re.escape(name)}\{{([^}}]*)}}", plain) or [""]:
            yield name, set(re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", braces))


def test_the_generated_files_are_as_the_code_says():
    assert [str(path.relative_to(CHECKOUT)) for path in stale()] == [], "make metrics-docs"


def test_a_stale_file_and_one_too_many_are_found(monkeypatch, tmp_path):
    monkeypatch.setattr("rendercast.operations.__main__.HOME", tmp_path)
    for path, content in generated().items():
        if path.parent == tmp_path:
            path.write_bytes(content)
    (tmp_path / "overview.json").write_text("{}")
    (tmp_path / "old.json").write_text("{}")
    assert {path.name for path in stale() if path.parent == tmp_path} == {"overview.json", "old.json"}
    assert HOME.name == "dashboards"


@pytest.mark.parametrize("process", ROOMS)
def test_promtool_accepts_the_names_of_every_process(process):
    rooms = [room.__name__ for room in ROOMS[process]]
    text = subprocess.run([sys.executable, "-c", EXPOSE, *rooms], capture_output=True, text=True, check=True).stdout
    assert all(name in text for each in metrics() if each.process == process for name in each.series)
    done = promtool("check", "metrics", given=text)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_every_room_that_declares_metrics_is_in_the_catalogue():
    known = {room.__file__ for rooms in ROOMS.values() for room in rooms}
    found = set()
    for folder in ("brokers", "connectors", "rendercast", "schemas", "streams", "tracing"):
        for path in (CHECKOUT / folder).rglob("*.py"):
            if re.search(r"^\w+ = (Counter|Gauge|Histogram|Enum|Summary|Info)\(", path.read_text(), re.MULTILINE):
                found.add(str(path))
    assert found == known


def test_every_metric_has_a_meaning_a_prefix_of_its_room_and_a_base_unit():
    prefixes = {"connector": "upstream", "sink chats": "chats", "sink storage": "storage"}
    for each in metrics():
        assert each.name.startswith(f"rendercast_{prefixes.get(each.process, each.process)}_"), each
        assert len(each.meaning.split()) > 1, each
        assert not re.search(r"_(ms|milliseconds|minutes|kib|mb|percent)(_|$)", each.name), each
    assert [Metric("", name, "gauge", (), "").unit for name in ("a_b_seconds", "a_bytes_total", "a_b")] == [
        "seconds", "bytes", "",
    ]  # fmt: skip


def test_what_a_gateway_shows_of_the_connectors_metrics_is_there():
    assert {f"rendercast_upstream_{name}" for name in GENERATING} <= {each.name for each in metrics()}


@pytest.mark.parametrize(("where", "expression", "legend"), SHOWN + RULES, ids=lambda each: each[:60])
def test_every_metric_and_label_of_an_expression_exists(where, expression, legend):
    known = series()
    labels = set()
    found = list(used(expression))
    assert found
    for name, asked in found:
        assert name in known.keys() | RECORDED | PROMETHEUS_OWN, name
        has = known.get(name, frozenset()) | (OWN_LABELS if name in PROMETHEUS_OWN else set())
        assert asked <= has, name
        labels |= has
    by = {label for group in re.findall(r"\bby \(([^)]*)\)", expression) for label in group.split(", ")}
    assert by <= labels | OWN_LABELS
    assert set(re.findall(r"{{(\w+)}}", legend)) <= (by or labels)


def test_promtool_can_read_every_expression_of_the_dashboards(tmp_path):
    rules = [
        {"record": f"shown:{number}:x".replace(":", "_"), "expr": scoped(expression).replace("$__rate_interval", "5m")}
        for number, (_, expression, _) in enumerate(SHOWN)
    ]
    file = tmp_path / "shown.yaml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "shown", "rules": rules}]}))
    done = promtool("check", "rules", str(file))
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_metric_of_ours_is_on_a_dashboard_or_said_not_to_be():
    """What nobody looks at is either forgotten on the dashboards, or not worth counting."""
    shown = set().union(*(names(expression) for _, expression, _ in SHOWN))
    unseen = {each.name for each in metrics() if not shown & each.series.keys()}
    assert unseen == {
        "rendercast_upstream_moves_total",
        "rendercast_upstream_polls_saved_total",
        "rendercast_upstream_watch_seconds",
    }


def test_panels_of_a_dashboard_do_not_overlap_and_each_asks_something():
    for board in DASHBOARDS:
        for row in board.rows:
            assert 1 <= len(row.panels) <= 6
            assert all(panel.shown for panel in row.panels)


def test_a_dashboard_shows_the_releases_that_are_chosen_and_nothing_else():
    assert SCOPE == rules.SCOPE, "alerts and dashboards tell releases apart by the same labels"
    chosen = 'cluster=~"$cluster", namespace=~"$namespace", release=~"$release"'
    assert scoped("sum(rendercast_a_b)") == f"sum(rendercast_a_b{{{chosen}}})"
    assert scoped('rate(rendercast_a{b="c"}[5m])') == f'rate(rendercast_a{{b="c", {chosen}}}[5m])'
    assert scoped("max(rendercast:a:ratio_rate1h)") == f"max(rendercast:a:ratio_rate1h{{{chosen}}})"
    for board in DASHBOARDS:
        page = as_json(board)
        shown = [target["expr"] for panel in page["panels"] for target in panel.get("targets", ())]
        for expression in shown:
            assert expression.count(chosen) == len(list(used(expression))) > 0, expression
        source, *variables = page["templating"]["list"]
        assert source["type"] == "datasource"
        assert [each["name"] for each in variables] == list(SCOPE)
        assert {each["allValue"] for each in variables} == {".*"}, "what has no such label is shown, too"


def test_a_choice_offers_what_the_choices_before_it_leave():
    asked = [each["query"]["query"] for each in as_json(DASHBOARDS[0])["templating"]["list"][1:]]
    assert asked == [
        'label_values({__name__=~"rendercast_.+"}, cluster)',
        'label_values({__name__=~"rendercast_.+", cluster=~"$cluster"}, namespace)',
        'label_values({__name__=~"rendercast_.+", cluster=~"$cluster", namespace=~"$namespace"}, release)',
    ]
