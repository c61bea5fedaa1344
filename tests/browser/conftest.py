"""A real browser. A machine without one fails in CI; elsewhere the tests are skipped, loudly."""

import shutil

import pytest
from harness import missing
from playwright.async_api import async_playwright
from unit.gateway.conftest import make_stand, stand  # noqa: F401 - fixtures


@pytest.fixture(scope="session")
def chromium():
    """The path of the browser."""
    found = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if found is None:
        missing("no browser: install Chromium or Chrome")
    return found


@pytest.fixture
async def browser(chromium):
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        await browser.close()
