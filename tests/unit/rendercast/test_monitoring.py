"""Health, readiness and metrics of a process."""

import httpx
import pytest

from rendercast.monitoring import Monitoring
from schemas.errors import StopProcess


@pytest.fixture
def monitoring():
    found = Monitoring("127.0.0.1", 0)
    yield found
    found.close()


def get(monitoring, path):
    return httpx.get(f"http://127.0.0.1:{monitoring.port}{path}")


def test_a_process_is_alive_before_it_is_ready(monitoring):
    assert get(monitoring, "/healthz").status_code == 200
    answer = get(monitoring, "/readyz")
    assert (answer.status_code, answer.json()) == (503, {"status": "not ready", "reason": "starting"})
    monitoring.not_ready = lambda: None
    assert get(monitoring, "/readyz").status_code == 200


def test_metrics_are_prometheus_text(monitoring):
    answer = get(monitoring, "/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    assert "# TYPE python_info gauge" in answer.text


def test_a_taken_port_is_named(monitoring):
    with pytest.raises(StopProcess, match=f"RENDERCAST_MONITORING__PORT: cannot listen on 127.0.0.1:{monitoring.port}"):
        Monitoring("127.0.0.1", monitoring.port)
