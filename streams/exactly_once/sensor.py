"""What Faust tells its sensors, as far as it is worth telling Prometheus.

In the place of `faust.Monitor`, which keeps lists of the last latencies of single events and sums them up each second
for a web server that is off.
"""

import time
from typing import Any

from faust.sensors.base import Sensor as Base
from faust.types import TP

from streams.exactly_once import metrics


class Sensor(Base):
    """`app.monitor`. What Faust asks of it beside the sensor's own methods stands here, too."""

    def __init__(self, **kwargs: Any) -> None:
        self.stream_inbound_time: dict[TP, float] = {}  # Faust looks here for partitions that are stuck
        super().__init__(**kwargs)

    def on_stream_event_in(self, tp: TP, *_: Any) -> None:
        self.stream_inbound_time[tp] = time.monotonic()

    def on_commit_initiated(self, _: Any) -> float:
        return time.monotonic()

    def on_commit_completed(self, _: Any, state: float) -> None:
        metrics.COMMIT_SECONDS.observe(time.monotonic() - state)

    def on_rebalance_start(self, _: Any) -> dict[str, float]:
        return {"started": time.monotonic()}

    def on_rebalance_end(self, _: Any, state: dict[str, float]) -> None:
        metrics.REBALANCE_SECONDS.observe(time.monotonic() - state["started"])

    def on_tp_commit(self, _: Any) -> None:
        """Faust's Monitor keeps them; the lag is counted in the lanes."""

    def track_tp_end_offset(self, *_: Any) -> None:
        """The same."""
