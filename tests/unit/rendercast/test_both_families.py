"""The address `::` is every address of this machine, of both families: one value for clusters of IPv6 and of both."""

import socket

import pytest

from connectors.gateway.server import HttpServer
from connectors.gateway.settings import GatewaySettings
from rendercast.monitoring import Monitoring

WORLD = {"0.0.0.0": {"127.0.0.1"}, "127.0.0.1": {"127.0.0.1"}, "::1": {"::1"}, "::": {"127.0.0.1", "::1"}}


def monitoring(host):
    found = Monitoring(host, 0)
    return found.port, found.close


def gateway(host):
    found = HttpServer(lambda *_: None, GatewaySettings(host=host, port=0))
    found.open()
    return found.port, found.close


def answers(address, port):
    try:
        socket.create_connection((address, port), timeout=10).close()
    except OSError:
        return False
    return True


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
@pytest.mark.parametrize("listening", [monitoring, gateway])
@pytest.mark.parametrize("host", WORLD)
def test_each_address_that_is_listened_on_answers(listening, host):
    port, close = listening(host)
    try:
        assert {address for address in ("127.0.0.1", "::1") if answers(address, port)} == WORLD[host]
    finally:
        close()
