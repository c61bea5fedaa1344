"""A real browser. A machine without one fails in CI; elsewhere the tests are skipped, loudly."""

import os
import shutil

import pytest
from playwright.async_api import async_playwright
from unit.gateway.conftest import Stand


@pytest.fixture(scope="session")
def chromium():
    """The path of the browser."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        missing = "no browser: install Chromium or Chrome"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    return found


@pytest.fixture
async def browser(chromium):
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        await browser.close()


@pytest.fixture
async def make_stand():
    """`await make_stand(setting=value, …)`: a gateway on a real socket, without Kafka; it ends with the test."""
    stands = []

    async def make(**settings):
        stand = Stand(**settings)
        await stand.start()
        stands.append(stand)
        stand.board.has_loaded()
        return stand

    yield make
    for stand in stands:
        await stand.end()


@pytest.fixture
async def stand(make_stand):
    return await make_stand()
