"""`rendercast verify` as a person meets it."""

import pytest
from click.testing import CliRunner

from rendercast.cli import main
from rendercast.verify import run as module
from rendercast.verify.faults import FAULTS, ORDINARY
from rendercast.verify.report import Report


def run(*arguments):
    return CliRunner().invoke(main, ("verify", *arguments))


@pytest.fixture
def asked(monkeypatch):
    """What the command would have run."""
    found = {}
    monkeypatch.setattr(module, "run", lambda **order: found.update(order) or 0)
    return found


@pytest.mark.parametrize(
    ("arguments", "faults"),
    [
        ((), ORDINARY),
        (("--kill", "processor"), ("kill",)),
        (("--kill", "processor", "--faults", "freeze"), ("kill", "freeze")),
        (("--faults", "reset, kill"), ("kill", "reset")),
        (("--faults", "all"), tuple(FAULTS)),
        (("--faults", "none"), ()),
    ],
)
def test_faults_are_those_that_were_named(asked, arguments, faults):
    assert run(*arguments).exit_code == 0
    assert sorted(asked["faults"]) == sorted(faults)


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("--faults", "kill,burn"), "'burn' is not one of kill, freeze"),
        (("--kill", "broker"), "'broker' is not 'processor'"),
        (("--jobs", "0"), "0 is not in the range"),
    ],
)
def test_a_wrong_option_is_named_with_status_2(arguments, word):
    result = run(*arguments)
    assert result.exit_code == 2
    assert word in result.stderr


def test_help_says_what_every_fault_does():
    text = run("--help").output
    assert all(f"{name}" in text and what[:40] in text for name, what in FAULTS.items())


def test_somebody_elses_broker_is_not_killed(monkeypatch):
    monkeypatch.setenv("RENDERCAST_KAFKA__BOOTSTRAP_SERVERS", "127.0.0.1:1")
    result = run("--faults", "broker", "--json")
    assert result.exit_code == 3
    assert "names 127.0.0.1:1" in " ".join(result.stderr.split())


def test_a_broker_that_does_not_answer_is_no_verdict(monkeypatch):
    monkeypatch.setenv("RENDERCAST_KAFKA__BOOTSTRAP_SERVERS", "127.0.0.1:1")
    result = run("--faults", "none", "--json")
    assert result.exit_code == 3
    assert "no Kafka broker lets us in at 127.0.0.1:1" in " ".join(result.stderr.split())
    assert result.stdout == ""


def test_a_report_is_kept_only_without_a_problem_and_without_a_stall():
    report = Report(seed=1, jobs=1, outcomes=1, prefix="verify-x.")
    assert report.as_json()["kept"]
    assert report.as_json()["lost"] == 0
    report.stalled = "nothing was committed"
    assert not report.as_json()["kept"]
