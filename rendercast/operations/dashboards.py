"""The Grafana dashboards, as data: what they show, and the JSON that Grafana reads."""

import re
from typing import Any, Literal, NamedTuple

Unit = Literal["s", "short", "ops", "percentunit", "bytes", "none"]


class Panel(NamedTuple):
    """`shown` maps an expression to its legend. `number`: the last value instead of a curve."""

    title: str
    unit: Unit
    shown: dict[str, str]
    number: bool = False
    words: str = ""


class Row(NamedTuple):
    """Panels beside each other; they share the width."""

    title: str
    panels: tuple[Panel, ...]


class Dashboard(NamedTuple):
    """`name` is the file's and part of the address."""

    name: str
    title: str
    rows: tuple[Row, ...]


PANELS_WIDE = 24
HEIGHT = {True: 5, False: 8}
RATE = "$__rate_interval"

SCOPE = ("cluster", "namespace", "release")
"""What tells releases apart, in the order of choosing. What has no such label is in "All"."""

_SELECTOR = re.compile(r"\b(rendercast[\w:]*|ALERTS)\b(?:\{([^}]*)\})?")


def rate(metric: str, by: str = "", where: str = "") -> str:
    """Events a second, by labels."""
    inner = f"rate({metric}{where}[{RATE}])"
    return f"sum by ({by}) ({inner})" if by else f"sum({inner})"


def quantile(share: float, histogram: str, by: str = "") -> str:
    """Of a histogram."""
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile({share}, sum by ({labels}) (rate({histogram}_bucket[{RATE}])))"


def quantiles(histogram: str) -> dict[str, str]:
    """The middle and the slow end."""
    return {quantile(0.5, histogram): "half", quantile(0.99, histogram): "99 %"}


def scoped(expression: str) -> str:
    """The same, of the releases that are chosen on the page."""
    return _SELECTOR.sub(lambda found: found[1] + _chosen(SCOPE, found[2]), expression)


def _chosen(labels: tuple[str, ...], more: str | None) -> str:
    return "{" + ", ".join([*([more] if more else []), *(f'{label}=~"${label}"' for label in labels)]) + "}"


def as_json(dashboard: Dashboard) -> dict[str, Any]:
    """As Grafana imports it; the data source is chosen on the page."""
    panels: list[dict[str, Any]] = []
    y = 0
    for row in dashboard.rows:
        panels.append(
            {"id": len(panels) + 1, "type": "row", "title": row.title, "collapsed": False, "panels": [],
             "gridPos": {"h": 1, "w": PANELS_WIDE, "x": 0, "y": y}}
        )  # fmt: skip
        width, height = PANELS_WIDE // len(row.panels), HEIGHT[all(each.number for each in row.panels)]
        for place, panel in enumerate(row.panels):
            grid = {"h": height, "w": width, "x": place * width, "y": y + 1}
            panels.append(_panel(panel, len(panels) + 1, grid))
        y += 1 + height
    return {
        "uid": f"rendercast-{dashboard.name}",
        "title": f"Rendercast: {dashboard.title}",
        "tags": ["rendercast"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "30s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "",
        "annotations": {"list": []},
        "links": [
            {"title": "Rendercast", "type": "dashboards", "tags": ["rendercast"], "asDropdown": True,
             "includeVars": True, "keepTime": True}
        ],
        "templating": {
            "list": [
                {"name": "source", "label": "Data source", "type": "datasource", "query": "prometheus"},
                *(_variable(label, SCOPE[:place]) for place, label in enumerate(SCOPE)),
            ]
        },
        "panels": panels,
    }  # fmt: skip


def _variable(label: str, chosen_before: tuple[str, ...]) -> dict[str, Any]:
    """A choice among a label's values; "All", which is first, matches what has no such label, too."""
    ours = _chosen(chosen_before, '__name__=~"rendercast_.+"')
    return {
        "name": label,
        "label": label.capitalize(),
        "type": "query",
        "datasource": {"type": "prometheus", "uid": "${source}"},
        "query": {"query": f"label_values({ours}, {label})", "refId": label},
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": ["All"], "value": ["$__all"]},
    }


def _panel(panel: Panel, number: int, grid: dict[str, int]) -> dict[str, Any]:
    source = {"type": "prometheus", "uid": "${source}"}
    return {
        "id": number,
        "type": "stat" if panel.number else "timeseries",
        "title": panel.title,
        "description": panel.words,
        "datasource": source,
        "gridPos": grid,
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "options": _STAT if panel.number else _CURVES,
        "targets": [
            {"refId": chr(ord("A") + place), "datasource": source, "expr": scoped(expression), "legendFormat": legend}
            for place, (expression, legend) in enumerate(panel.shown.items())
        ],
    }


_STAT = {
    "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
    "colorMode": "none",
    "graphMode": "area",
}
_CURVES = {
    "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
    "tooltip": {"mode": "multi", "sort": "desc"},
}
