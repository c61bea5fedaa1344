"""`docs/metrics.md`."""

from rendercast.operations.catalogue import GENERATING, ROOMS, Metric, metrics

_HEAD = """# Metrics

Made from the declarations by `make metrics-docs`; do not edit. Every process shows its own at
`RENDERCAST_MONITORING__PORT`, path `/metrics` (the gateway at its own port as well), and beside them what the Python
client tells of a process: `process_…`, `python_…`. Counters count from the start of their process; a histogram has
`_bucket`, `_sum` and `_count`; of a `stateset` the series of the present state is 1.

Processor, sinks and connector tell how far behind they are on the partitions they hold. A process that is not there
tells nothing: an alert asks for that (`docs/alerts.md`). Of replicas take the sum, or the largest.
"""

_TITLES = {"tracing": "Every process, where it traces"}

_NOTES = {
    "gateway": "Where it sends generate calls, it shows of the connector's metrics, too: "
    + ", ".join(f"`{name}`" for name in GENERATING)
    + ".",
}


def markdown() -> str:
    """The page as it should be."""
    found = metrics()
    return "\n".join([_HEAD, *[_process(name, [each for each in found if each.process == name]) for name in ROOMS]])


def _process(name: str, found: list[Metric]) -> str:
    prefix = "_".join(found[0].name.split("_")[:2]) + "_"
    rows = [
        f"| `{each.name.removeprefix(prefix)}` | {each.type} | {', '.join(f'`{it}`' for it in each.labels)} "
        f"| {each.unit} | {each.meaning} |"
        for each in found
    ]
    note = f"\n{_NOTES[name]}\n" if name in _NOTES else ""
    return "\n".join(
        [
            f"## {_TITLES.get(name, f'`rendercast {name}`')}\n",
            f"All begin with `{prefix}`.",
            note,
            "| metric | type | labels | unit | meaning |",
            "| --- | --- | --- | --- | --- |",
            *rows,
            "",
        ]
    )
