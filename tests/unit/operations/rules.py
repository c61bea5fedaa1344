"""Telling promtool of series, and asking which alerts fire."""

import json
from pathlib import Path
from typing import NamedTuple

import yaml
from promtool import promtool

ALERTS = Path(__file__).parents[3] / "helm" / "rendercast" / "files" / "alerts.yaml"


SCOPE = ("cluster", "namespace", "release")
"""What tells releases apart. Prometheus and its operator give these labels, no process of ours does."""

SICK = dict(zip(SCOPE, ("eu", "video", "one"), strict=True))
NEIGHBOURS = tuple(SICK | {label: "other"} for label in SCOPE)
"""Releases that differ from the sick one by one label each."""


class Case(NamedTuple):
    """Series, in promtool's notation and in steps of a minute; whether the alert fires at a moment, and how often."""

    alert: str
    at: str
    firing: int
    series: dict[str, str]
    labels: str = ""


def groups() -> list[dict]:
    return yaml.safe_load(ALERTS.read_text())["groups"]


def alerts() -> list[dict]:
    return [rule for group in groups() for rule in group["rules"] if "alert" in rule]


def placed(series: dict[str, str], labels: dict[str, str]) -> dict[str, str]:
    """The same, scraped from a release."""
    more = ", ".join(f'{name}="{value}"' for name, value in labels.items())
    return {
        f"{name[:-1]}, {more}}}" if name.endswith("}") else f"{name}{{{more}}}": values
        for name, values in series.items()
    }


def told(cases: list[Case], directory: Path) -> str:
    """What promtool has to say against the cases; empty where it has nothing."""
    tests = [_test(case, case.series, f"count({_firing(case)}) or vector(0)", "{}") for case in cases]
    return ask(cases[0].alert, tests, directory)


def told_among_neighbours(pairs: list[tuple[Case, Case]], directory: Path) -> str:
    """The same of what is sick in one release, while its neighbours are well: it fires for that one, and no other."""
    tests = []
    for sick, well in pairs:
        series = placed(sick.series, SICK)
        for neighbour in NEIGHBOURS:
            series |= placed(well.series, neighbour)
        [labels] = placed({"": ""}, SICK)
        tests.append(_test(sick, series, f"count by ({', '.join(SCOPE)}) ({_firing(sick)})", labels))
    return ask(pairs[0][0].alert, tests, directory)


def _firing(case: Case) -> str:
    return f'ALERTS{{alertname="{case.alert}", alertstate="firing"{case.labels}}}'


def _test(case: Case, series: dict[str, str], expression: str, labels: str) -> dict:
    samples = [{"labels": labels, "value": case.firing}]
    return {
        "interval": "1m",
        "name": case.alert,
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [{"expr": expression, "eval_time": case.at, "exp_samples": samples}],
    }


def ask(alert: str, tests: list[dict], directory: Path) -> str:
    """What `promtool test rules` says against tests of an alert. It gets that alert's group alone: days take long."""
    rules, file = directory / "rules.yaml", directory / "tests.yaml"
    mine = [group for group in groups() if any(rule.get("alert") == alert for rule in group["rules"])]
    rules.write_text(yaml.safe_dump({"groups": mine}))
    file.write_text(json.dumps({"rule_files": [str(rules)], "evaluation_interval": "1m", "tests": tests}))
    done = promtool("test", "rules", str(file))
    return "" if done.returncode == 0 else done.stdout + done.stderr
