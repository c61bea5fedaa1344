"""TLS, its resets, and the second port that is spared."""

import subprocess

import httpx
import pytest

from rendercast.simulator.server import Simulator
from rendercast.simulator.settings import SimulatorSettings
from schemas.errors import StopProcess


@pytest.fixture(scope="session")
def certificate(tmp_path_factory):
    """A self-signed certificate of localhost, and its key."""
    made = tmp_path_factory.mktemp("tls")
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost",
            "-keyout", made / "key.pem", "-out", made / "certificate.pem",
        ],
        check=True, capture_output=True,
    )  # fmt: skip
    return {"tls_certificate": made / "certificate.pem", "tls_key": made / "key.pem"}


@pytest.fixture
def client():
    def make(**settings):
        return httpx.AsyncClient(trust_env=False, headers={"Authorization": "Bearer simulator-token"}, **settings)

    return make


async def test_tls_is_served_with_the_certificate(certificate, client):
    async with Simulator(SimulatorSettings(**certificate)) as simulator, client(verify=False) as http:
        assert simulator.url.startswith("https://")
        assert (await http.get(f"{simulator.url}/__healthz")).json() == {"status": "ok"}
        created = (await http.post(f"{simulator.url}/__script", json={"seconds": 3600})).json()
        async with http.stream("GET", f"{simulator.url}/api/v1/events/file.{created['id']}") as stream:
            await http.post(f"{simulator.url}/__break", json={"what": "reset_streams"})
            with pytest.raises((httpx.ReadError, httpx.RemoteProtocolError)):
                await stream.aread()


async def test_a_certificate_that_does_not_fit_is_refused_by_the_client_and_others_are_served(certificate, client):
    async with Simulator(SimulatorSettings(**certificate)) as simulator, client(verify=False) as http:
        async with client() as strict:
            with pytest.raises(httpx.ConnectError):
                await strict.get(f"{simulator.url}/__healthz")
        assert (await http.get(f"{simulator.url}/__healthz")).status_code == 200


async def test_tls_reset_comes_within_the_handshake_and_spares_the_admin_port(certificate, client):
    settings = SimulatorSettings(**certificate, admin_port=0, faults={"tls_reset": 1})
    async with Simulator(settings) as simulator, client(verify=False) as http:
        for _ in range(3):
            with pytest.raises((httpx.ConnectError, httpx.ReadError)):
                await http.get(f"{simulator.url}/__healthz")
        assert simulator.admin_url.startswith("http://")
        assert (await http.get(f"{simulator.admin_url}/__record")).json()["faults"]["tls_reset"] == 3  # tls_reset=1
        await http.post(f"{simulator.admin_url}/__faults", json={"tls_reset": 0})
        assert (await http.get(f"{simulator.url}/__healthz")).status_code == 200


async def test_tls_reset_does_not_befall_plain_connections(start):
    upstream = await start(faults={"tls_reset": 1})
    assert (await upstream.http.get("/__healthz")).status_code == 200


async def test_a_certificate_that_cannot_be_read_stops_the_process(certificate, tmp_path):
    wrong = SimulatorSettings(tls_certificate=tmp_path / "none.pem", tls_key=certificate["tls_key"])
    with pytest.raises(StopProcess, match=r"none\.pem"):
        await Simulator(wrong).start()


def test_a_certificate_without_its_key_is_a_mistake(certificate):
    with pytest.raises(ValueError, match="go together"):
        SimulatorSettings(tls_certificate=certificate["tls_certificate"])
