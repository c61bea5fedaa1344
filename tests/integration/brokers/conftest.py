import pytest
from integration.brokers.secure import SecureBroker, require_java


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    require_java()
    with SecureBroker(tmp_path_factory.mktemp("secure")) as found:
        yield found
