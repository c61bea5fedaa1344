"""Telling promtool of series, and asking which alerts fire."""

import json
from pathlib import Path
from typing import NamedTuple

import yaml
from promtool import promtool

ALERTS = Path(__file__).parents[3] / "helm" / "rendercast" / "files" / "alerts.yaml"


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


def told(cases: list[Case], directory: Path) -> str:
    """What promtool has to say against the cases; empty where it has nothing."""
    tests = [
        {
            "interval": "1m",
            "name": case.alert,
            "input_series": [{"series": name, "values": values} for name, values in case.series.items()],
            "promql_expr_test": [
                {
                    "expr": f'count(ALERTS{{alertname="{case.alert}", alertstate="firing"{case.labels}}}) or vector(0)',
                    "eval_time": case.at,
                    "exp_samples": [{"labels": "{}", "value": case.firing}],
                }
            ],
        }
        for case in cases
    ]
    file = directory / "tests.yaml"
    file.write_text(json.dumps({"rule_files": [str(ALERTS)], "evaluation_interval": "1m", "tests": tests}))
    done = promtool("test", "rules", str(file))
    return "" if done.returncode == 0 else done.stdout + done.stderr
