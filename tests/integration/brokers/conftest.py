import pytest
from harness import require_java
from integration.brokers.secure import SecureBroker


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    require_java()
    with SecureBroker(tmp_path_factory.mktemp("secure")) as found:
        yield found
