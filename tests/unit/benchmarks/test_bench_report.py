"""A benchmark's report: the fields that others read, and a table that shows what failed."""

import io

import orjson
from benchmarks.report import Figure, show, write
from rich.console import Console

ROUNDS = [{"ours": 3.0, "theirs": "error: it broke"}, {"ours": 5.0, "theirs": "error: it broke"}]


def test_the_report_has_its_fields(tmp_path):
    path = write("some", [Figure.of("speed", "/s", "ours", ROUNDS, goal="≥ 4", met=True)], tmp_path / "new")
    assert path.name == "some.json"
    assert orjson.loads(path.read_bytes()) == [
        {
            "figure": "speed", "unit": "/s", "value": 4.0, "goal": "≥ 4", "met": True,
            "against": {"theirs": "error: it broke"}, "rounds": ROUNDS,
        }
    ]  # fmt: skip


def test_what_could_not_be_measured_is_an_error_of_its_row():
    figure = Figure.of("speed", "/s", "ours", ROUNDS)
    assert figure.errors == ["theirs: error: it broke"]
    assert Figure.of("speed", "/s", "theirs", ROUNDS).errors == ["speed: error: it broke"]


def test_the_table_shows_values_goals_and_errors():
    out = io.StringIO()
    figures = [Figure.of("speed", "/s", "ours", ROUNDS, goal="≥ 4"), Figure("size", "B", 2_000.0, "≤ 1", met=False)]
    show("title", figures, Console(file=out, width=120))
    assert "4 /s" in out.getvalue()
    assert "theirs error: it broke" in out.getvalue()
    assert "2,000 B" in out.getvalue()
    assert "not met" in out.getvalue()
