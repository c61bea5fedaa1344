"""A simulated upstream: REST and SSE over real HTTP, its refusals, and what goes wrong there."""

from rendercast.simulator.server import Simulator
from rendercast.simulator.settings import ALL_FAULTS, Faults, SimulatorSettings

__all__ = ["ALL_FAULTS", "Faults", "Simulator", "SimulatorSettings"]
