"""Every metric is told of in the runbook, and the runbook tells of no other."""

import re
from pathlib import Path

from prometheus_client.metrics import MetricWrapperBase

from connectors.upstream import metrics

RUNBOOK = Path(__file__).parents[3] / "docs" / "runbook-connector.md"
PREFIX = "rendercast_upstream_"


def test_the_runbook_names_every_metric_and_its_labels():
    table = RUNBOOK.read_text().partition("## Metrics")[2].partition("## ")[0]
    told = {name: set(filter(None, labels.split(","))) for name, labels in re.findall(r"`(\w+)(?:{([\w,]*)})?`", table)}
    declared = {}
    for each in vars(metrics).values():
        if isinstance(each, MetricWrapperBase):
            suffix = "_total" if each._type == "counter" else ""
            declared[each._name.removeprefix(PREFIX) + suffix] = set(each._labelnames)
    assert {name: told.get(name) for name in declared} == declared
