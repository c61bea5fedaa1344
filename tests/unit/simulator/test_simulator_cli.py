"""`rendercast simulator`: its menu, its options, and what a wrong one gets."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from rendercast.cli import main
from rendercast.simulator.faults import menu
from rendercast.simulator.settings import HOSTILE_FAULTS, Faults, SimulatorSettings, adjusted
from schemas.errors import StopProcess


def test_help_has_the_whole_menu():
    text = CliRunner().invoke(main, ["simulator", "--help"]).output
    assert [fault.name for fault in menu() if f"  {fault.name} " not in text or fault.what not in text] == []


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--fault", "nonsense=1"], "'nonsense' is not a fault"),
        (["--fault", "junk=2"], "2.0 is not in the range"),
        (["--fault", "junk"], "not a valid float"),
        (["--preset", "sunny"], "'daily', 'hostile'"),
    ],
)
def test_a_wrong_option_is_named(options, says):
    result = CliRunner().invoke(main, ["simulator", *options])
    assert (result.exit_code, says in result.output) == (2, True)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--script", "none.toml"], "none.toml"),
        (["--tls-key", "key.pem"], "go together"),
        (["--speed", "0"], "speed"),
    ],
)
def test_what_cannot_be_started_ends_with_status_1_and_a_line(options, says, monkeypatch, tmp_path):
    monkeypatch.setenv("RENDERCAST_MONITORING__PORT", "0")
    monkeypatch.setattr("rendercast.logs.set_up", lambda *_: None)
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["simulator", *options])
    assert (result.exit_code, says in result.output) == (1, True)


def test_options_go_over_settings_and_rates_over_a_preset():
    settings = SimulatorSettings(seed=3, port=1, faults=Faults(junk=0.5))
    kept = adjusted(settings, {"port": 2, "script_file": Path("x")}, rates={"frame_cut": 1})
    assert (kept.seed, kept.port, kept.script_file) == (3, 2, Path("x"))
    assert kept.faults == Faults(junk=0.5, frame_cut=1)
    hostile = adjusted(settings, {"token": "another"}, preset="hostile", rates={"junk": 0})
    assert hostile.faults.model_dump() == HOSTILE_FAULTS.model_dump() | {"junk": 0}
    assert hostile.token.get_secret_value() == "another"


def test_without_options_the_settings_stay():
    assert adjusted(SimulatorSettings(seed=3), {}, rates={}) == SimulatorSettings(seed=3)


def test_a_value_out_of_bounds_is_named():
    with pytest.raises(StopProcess, match="speed"):
        adjusted(SimulatorSettings(), {"speed": 0}, rates={})
