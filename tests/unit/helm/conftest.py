"""A chart to render. Tools that are not there yet are built first, which takes minutes, once."""

from pathlib import Path

import pytest
from harness import missing
from unit.helm.charts import VARIANTS, Chart
from unit.helm.toolbox import Tools, obtain


def pytest_collection_modifyitems(items):
    for each in items:
        if Path(__file__).parent in each.path.parents:
            each.add_marker(pytest.mark.timeout(1800))


@pytest.fixture(scope="session")
def tools() -> Tools:
    try:
        return obtain()
    except LookupError as error:
        missing(str(error))


@pytest.fixture(scope="session")
def chart(tools) -> Chart:
    return Chart(tools)


@pytest.fixture(params=VARIANTS)
def values(request) -> dict:
    return VARIANTS[request.param]
