"""Every alert fires when it should and is silent when not; every one has its page in the runbook."""

import re
from pathlib import Path

import pytest
from promtool import promtool
from unit.operations.rules import ALERTS, SICK, Case, alerts, ask, placed, told, told_among_neighbours

DOCS = Path(__file__).parents[3] / "docs"
WHOSE = "{{ with $labels.release }}{{ $labels.namespace }}/{{ . }}: {{ end }}"
PARTS = ("**Means.**", "**Look at.**", "**Do.**", "**Do not.**")

COMPLETED = 'rendercast_processor_outcomes_total{outcome="completed", source="sse", late="false"}'
TIMED_OUT = 'rendercast_processor_outcomes_total{outcome="timed_out", source="none", late="false"}'
IN_TIME = 'rendercast_processor_announced_seconds_bucket{le="5.0", source="sse"}'
ALL = 'rendercast_processor_announced_seconds_count{source="sse"}'
FAST, SLOW, DAYS = ', window="1h"', ', window="6h"', ', window="3d"'


def missed(share_after, before=0, minutes=60):
    """A hundred jobs a minute; from the first hour on a share of them in percent is timed out."""
    good, bad = 100 - share_after, share_after
    return {
        COMPLETED: f"0+{100 - before}x{minutes} {100 * minutes}+{good}x400",
        TIMED_OUT: f"0+{before}x{minutes} {before * minutes}+{bad}x400",
    }


def late(share):
    return {IN_TIME: f"0+{100 - share}x400", ALL: "0+100x400"}


def processor(**series):
    return {f"rendercast_processor_{name}": values for name, values in series.items()}


def upstream(**series):
    return {f"rendercast_upstream_{name}": values for name, values in series.items()}


BREAKER = 'rendercast_upstream_breaker{rendercast_upstream_breaker="open"}'
CONNECTED = 'rendercast_upstream_streams{channel="file", state="connected"}'
LAG = 'rendercast_processor_lag_seconds{topic="render.upstream", partition="3"}'
REQUESTS = 'rendercast_gateway_requests_total{method="GET", route="/", status="%s"}'
DEAD = 'rendercast_chats_refused_total{reason="invalid"}'
WATCHES = 'rendercast_upstream_watches{instance="%s"}'
GENERATING = {WATCHES % "a": "0x40", 'rendercast_gateway_feed_live{instance="a"}': "1x40"}
HELD = 'rendercast_processor_held_partitions{instance="a"}'
STARTED = 'process_start_time_seconds{instance="a"}'
DEADLINE, ANNOUNCED = "RendercastDeadlineBudgetBurns", "RendercastAnnouncementBudgetBurns"

CASES = [
    # One of five is missed: in an hour that is 20 % of what a month allows.
    Case(DEADLINE, "70m", 1, missed(20, before=20), FAST),
    Case(DEADLINE, "70m", 0, missed(1, before=1), FAST),
    Case(DEADLINE, "180m", 0, missed(0, before=20), FAST),  # over for two hours
    Case(DEADLINE, "70m", 0, missed(0, before=20, minutes=62), FAST),  # over for eight minutes: the short window
    Case(DEADLINE, "400m", 1, missed(8, before=8), SLOW),
    Case(DEADLINE, "400m", 0, missed(5, before=5), SLOW),
    Case(DEADLINE, "400m", 1, missed(2, before=2), DAYS),
    Case(DEADLINE, "400m", 0, {COMPLETED: "0+100x400", TIMED_OUT: "0+0x400"}),
    Case(DEADLINE, "400m", 0, {COMPLETED: "0x400", TIMED_OUT: "0x400"}),  # nothing to do
    Case(ANNOUNCED, "70m", 1, late(20), FAST),
    Case(ANNOUNCED, "70m", 0, late(5), FAST),
    Case(ANNOUNCED, "400m", 1, late(8), SLOW),
    Case(ANNOUNCED, "400m", 1, late(2), DAYS),
    Case(ANNOUNCED, "400m", 0, late(0)),
    Case("RendercastProcessMissing", "20m", 1, processor(held_partitions="8x5 _x30") | upstream(watches="0x40")),
    Case("RendercastProcessMissing", "6m", 0, processor(held_partitions="8x5 _x30")),  # a rolling restart
    Case("RendercastProcessMissing", "20m", 0, {HELD: "8x5 _x30", HELD.replace('"a"', '"b"'): "8x40"}),  # one of two
    Case("RendercastProcessMissing", "20m", 0, upstream(watches="0x40")),  # what never ran is not missed
    Case("RendercastProcessMissing", "20m", 1, GENERATING | {WATCHES % "b": "4x5 _x30"}),  # the connector alone is gone
    Case("RendercastProcessMissing", "20m", 0, GENERATING | {WATCHES % "b": "4x40"}),
    Case("RendercastProcessMissing", "20m", 0, GENERATING),  # no connector ever was
    Case("RendercastProcessorRestarts", "20m", 1, {STARTED: "1 1 1 2 2 2 3 3 3 4x30", HELD: "8x40"}),
    Case("RendercastProcessorRestarts", "20m", 0, {STARTED: "1 1 1 2 2 2 3 3 3 4x30"}),  # no processor
    Case("RendercastProcessorRestarts", "20m", 0, {STARTED: "1 1 1 2 2 2 2 2 2 2x30", HELD: "8x40"}),
    Case("RendercastProcessorLag", "10m", 1, {LAG: "70x40"}),
    Case("RendercastProcessorLag", "10m", 0, {LAG: "50x40"}),
    Case("RendercastProcessorLag", "10m", 0, {LAG: "0 70 70 70 0x40"}),
    Case("RendercastJobsOverdue", "10m", 1, processor(longest_overdue_seconds="130+60x40")),
    Case("RendercastJobsOverdue", "10m", 0, processor(longest_overdue_seconds="3x40")),
    Case("RendercastEvidenceLost", "10m", 1, processor(holes_total="0x5 7x40")),
    Case("RendercastEvidenceLost", "40m", 0, processor(holes_total="0x5 7x60")),
    Case("RendercastEvidenceLost", "10m", 0, processor(holes_total="0x60")),
    Case("RendercastEvidenceLost", "10m", 1, processor(holes_total="_x5 7x40")),  # before it was scraped at all
    Case("RendercastEvidenceLost", "40m", 0, processor(holes_total="_x5 7x60")),
    Case("RendercastDeadLetters", "10m", 1, {DEAD: "_x5 1x40"}),  # the first ever
    Case("RendercastDeadLetters", "30m", 1, {DEAD: "3x25 4x40"}),
    Case("RendercastDeadLetters", "30m", 0, {DEAD: "3x60"}),
    Case("RendercastDeadLetters", "30m", 2, {DEAD: "3x25 4x40"} | upstream(dead_letters_total="0x25 1x40")),
    Case("RendercastDeadLetters", "30m", 0, {DEAD: "3x25 0x60"}),  # a restart
    Case("RendercastDeadLetters", "36m", 0, {DEAD: "3x20 stale 3x60"}),  # it was not scraped for a moment
    Case("RendercastTokenRefused", "10m", 1, upstream(token_refused="1x40")),
    Case("RendercastTokenRefused", "10m", 0, upstream(token_refused="0 1 0x40")),
    Case("RendercastBreakerOpen", "20m", 1, {BREAKER: "1 1 1 0 1 1 1 1 0 1x40"}),
    Case("RendercastBreakerOpen", "20m", 0, {BREAKER: "0 1 0 0 0 0 1 0x40"}),
    Case("RendercastNoStreams", "10m", 1, {CONNECTED: "0x40"} | upstream(watches="12x40")),
    Case("RendercastNoStreams", "10m", 1, upstream(watches="12x40")),
    Case("RendercastNoStreams", "10m", 0, {CONNECTED: "3x40"} | upstream(watches="12x40")),
    Case("RendercastNoStreams", "10m", 0, {CONNECTED: "0x40"} | upstream(watches="0x40")),
    Case("RendercastConnectorCannotSend", "15m", 1, upstream(send_failures_total="0+3x40")),
    Case("RendercastConnectorCannotSend", "15m", 0, upstream(send_failures_total="0 3x40")),
    Case("RendercastConnectorLag", "10m", 1, upstream(lag_seconds="90+60x40")),
    Case("RendercastConnectorLag", "10m", 0, upstream(lag_seconds="0x40")),
    Case("RendercastChatSinkLag", "10m", 1, {"rendercast_chats_lag_seconds": "61+60x40"}),
    Case("RendercastChatSinkLag", "10m", 0, {"rendercast_chats_lag_seconds": "1 61 1x40"}),
    Case("RendercastStorageSinkLag", "20m", 1, {"rendercast_storage_lag_seconds": "700+60x40"}),
    Case("RendercastStorageSinkLag", "20m", 0, {"rendercast_storage_lag_seconds": "300x40"}),
    Case("RendercastGatewayBehind", "10m", 1, {"rendercast_gateway_feed_live": "0x40"}),
    Case("RendercastGatewayBehind", "10m", 0, {"rendercast_gateway_feed_live": "0 1x40"}),
    Case("RendercastGatewayErrors", "15m", 1, {REQUESTS % 200: "0+90x40", REQUESTS % 503: "0+10x40"}),
    Case("RendercastGatewayErrors", "15m", 0, {REQUESTS % 200: "0+90x40", REQUESTS % 503: "0+1x40"}),
    Case("RendercastGatewayErrors", "15m", 0, {REQUESTS % 200: "0+90x40", REQUESTS % 404: "0+90x40"}),
]  # fmt: skip

NAMES = sorted({rule["alert"] for rule in alerts()})


@pytest.mark.parametrize("name", NAMES)
def test_an_alert_fires_when_it_should_and_is_silent_when_not(name, tmp_path):
    mine = [case for case in CASES if case.alert == name]
    assert {bool(case.firing) for case in mine} == {True, False}
    assert told(mine, tmp_path) == ""


def pairs(name):
    """Each case that fires, beside the first that is silent at that moment."""
    mine = [case for case in CASES if case.alert == name]
    for sick in mine:
        wells = [well for well in mine if not well.firing and well.at == sick.at and well.labels in ("", sick.labels)]
        if sick.firing and wells:
            yield sick, wells[0]


@pytest.mark.parametrize("name", NAMES)
def test_a_release_that_is_well_neither_hides_nor_shares_the_trouble_of_another(name, tmp_path):
    found = list(pairs(name))
    assert {rule["labels"].get("window") for rule in alerts() if rule["alert"] == name} == {
        (re.findall(r'"(\w+)"', sick.labels) or [None])[0] for sick, _ in found
    }
    assert told_among_neighbours(found, tmp_path) == ""


@pytest.mark.parametrize(
    ("labels", "whose"),
    [(SICK, "video/one: "), ({"namespace": "video"}, ""), ({}, "")],
    ids=["release", "older", "none"],
)
def test_an_alert_says_whose_it_is(labels, whose, tmp_path):
    [rule] = [rule for rule in alerts() if rule["alert"] == "RendercastJobsOverdue"]
    expected = {
        "exp_labels": {**rule["labels"], **labels},
        "exp_annotations": {
            "summary": f"{whose}Jobs are past their deadline and have not ended",
            "description": "The first of them for 12m 10s.",
            "runbook": rule["annotations"]["runbook"],
        },
    }
    series = placed(processor(longest_overdue_seconds="130+60x40"), labels)
    test = {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "alert_rule_test": [{"eval_time": "10m", "alertname": rule["alert"], "exp_alerts": [expected]}],
    }
    assert ask(rule["alert"], [test], tmp_path) == ""


def test_each_window_of_a_burn_rate_has_its_case():
    windows = {(rule["alert"], rule["labels"]["window"]) for rule in alerts() if "window" in rule["labels"]}
    fired = {(case.alert, match[1]) for case in CASES if case.firing and (match := re.search(r'"(\w+)"', case.labels))}
    assert fired == windows


def test_promtool_finds_nothing_wrong_with_the_rules():
    done = promtool("check", "rules", str(ALERTS))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("rule", alerts(), ids=lambda rule: rule["alert"] + rule["labels"].get("window", ""))
def test_an_alert_tells_how_bad_it_is_and_where_to_read_on(rule):
    assert rule["labels"]["severity"] in ("critical", "warning")
    assert rule["annotations"].keys() == {"summary", "description", "runbook"}
    assert rule["annotations"]["summary"].startswith(WHOSE)
    assert rule["annotations"]["runbook"] == f"docs/alerts.md#{rule['alert'].lower()}"


def test_every_alert_has_a_section_with_its_four_parts_and_no_section_is_without_an_alert():
    found = re.findall(r"^### (\w+)\n(.*?)(?=^##|\Z)", (DOCS / "alerts.md").read_text(), re.MULTILINE | re.DOTALL)
    assert sorted(name for name, _ in found) == NAMES
    for name, body in found:
        places = [body.find(part) for part in PARTS]
        assert min(places) >= 0, name
        assert places == sorted(places), name
        assert all(len(words.strip()) > 20 for words in re.split(r"\*\*[\w ]+\.\*\*", body)[1:]), name
