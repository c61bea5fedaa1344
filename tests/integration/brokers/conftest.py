import pytest
from harness import missing
from integration.brokers import secure

from rendercast.broker.local import can_run


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    if not can_run():
        missing("a broker with TLS and SASL needs Java 17 and Maven")
    with secure.SecureBroker(tmp_path_factory.mktemp("secure")) as found:
        yield found
