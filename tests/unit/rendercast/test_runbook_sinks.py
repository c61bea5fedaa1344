"""Every metric of the sinks is told of in their runbook, and the runbook tells of no other."""

import re
from pathlib import Path

import pytest
from prometheus_client.metrics import MetricWrapperBase

from connectors.chats import metrics as chats
from connectors.storage import metrics as storage

RUNBOOK = Path(__file__).parents[3] / "docs" / "runbook-sinks.md"


@pytest.mark.parametrize(
    ("room", "prefix", "heading"),
    [
        (chats, "rendercast_chats_", "## Metrics of the chat sink"),
        (storage, "rendercast_storage_", "## Metrics of the storage sink"),
    ],
)
def test_the_runbook_names_every_metric_with_its_labels_and_no_other(room, prefix, heading):
    table = RUNBOOK.read_text().partition(heading)[2].partition("\n## ")[0]
    first_columns = "\n".join(line.split("|")[1] for line in table.splitlines() if line.startswith("| `"))
    told = {
        name: set(filter(None, labels.split(",")))
        for name, labels in re.findall(r"`(\w+)(?:{([\w,]*)})?`", first_columns)
    }
    declared = {}
    for each in vars(room).values():
        if isinstance(each, MetricWrapperBase):
            suffix = "_total" if each._type == "counter" else ""
            declared[each._name.removeprefix(prefix) + suffix] = set(each._labelnames)
    assert told == declared
