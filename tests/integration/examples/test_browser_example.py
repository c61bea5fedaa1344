"""The page that other teams copy, in a real browser, from another origin than the gateway's."""

import time

import jwt
import pytest
from aiohttp import web
from browser.conftest import browser, chromium  # noqa: F401 - fixtures
from integration.examples.support import ROOT
from playwright.async_api import expect
from unit.gateway.conftest import make_job, make_stand  # noqa: F401 - fixture

from rendercast.broker.local import free_port

FOLDER = ROOT / "docs" / "examples" / "browser"
NO_INLINE_SCRIPT = "default-src 'none'; script-src 'self'; connect-src *"
SECRET = "a secret that has thirty-two bytes and some"
WAIT_MS = 60_000


def cookie(address: str) -> dict:
    """As the team's own server would set it."""
    claims = {"sub": "user-7", "exp": time.time() + 600, "rendercast": {"read": ["project.p-1"]}}
    value = jwt.encode(claims, SECRET, "HS256")
    return {"name": "rendercast_token", "value": value, "url": address, "httpOnly": True, "sameSite": "Lax"}


@pytest.fixture
async def site():
    """Serves the example with its gateway's address put in: `(address, port of the gateway)`."""
    port = free_port()

    async def send(request: web.Request) -> web.Response:
        name = request.match_info["name"]
        text = (FOLDER / name).read_text().replace("http://localhost:8080", f"http://127.0.0.1:{port}")
        kind = "text/javascript" if name.endswith(".js") else "text/html"
        return web.Response(text=text, content_type=kind, headers={"Content-Security-Policy": NO_INLINE_SCRIPT})

    app = web.Application()
    app.router.add_get("/{name}", send)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}", port
    await runner.cleanup()


async def test_the_page_shows_each_job_once_through_a_refusal_and_a_restart(browser, make_stand, site):  # noqa: F811
    address, port = site
    asked = {"port": port, "auth": "jwt", "jwt_secret": SECRET, "cors_origins": (address,), "retry_seconds": 0.2}
    stand, topic = await make_stand(**asked), []

    def tell(**record) -> None:
        topic.append(record)
        stand.tell(**record)

    tell(job=make_job(1, version=3, project_id="p-1", progress=40))
    tell(job=make_job(7, project_id="p-2"))
    context = await browser.new_context()
    page = await context.new_page()
    page.set_default_timeout(WAIT_MS)
    connection, jobs = page.locator("#connection"), page.locator("#jobs > li")

    async def shows(*texts: str) -> None:
        await expect(connection).to_have_text("connected", timeout=WAIT_MS)
        await expect(jobs).to_have_text([*texts], timeout=WAIT_MS)

    def line(number: int, text: str) -> str:
        return f"{make_job(number).file_id}: {text}"

    await page.goto(f"{address}/index.html?channel=project.p-1")
    await expect(connection).to_have_text("disconnected", timeout=WAIT_MS)  # 401: the browser itself gives up
    await context.add_cookies([cookie(address)])
    await shows(line(1, "processing 40 %"))
    tell(job=make_job(2, project_id="p-1", progress=10))
    tell(job=make_job(3, project_id="p-1", status="pending"))
    tell(job=make_job(1, version=4, project_id="p-1", progress=60))
    await shows(line(1, "processing 60 %"), line(2, "processing 10 %"), line(3, "pending 0 %"))
    tell(forget=make_job(3).file_id)
    await shows(line(1, "processing 60 %"), line(2, "processing 10 %"))

    await stand.end()
    await expect(connection).not_to_have_text("connected", timeout=WAIT_MS)
    topic.append({"job": make_job(2, version=5, project_id="p-1", outcome="completed")})
    stand = await make_stand(loaded=False, **asked)
    for record in topic:
        stand.tell(**record)
    stand.board.has_loaded()
    tell(job=make_job(1, version=6, project_id="p-1", outcome="failed"))
    await expect(connection).to_have_text("connected", timeout=WAIT_MS)
    for text in (line(1, "failed"), line(2, "completed")):
        await expect(jobs.filter(has_text=text)).to_have_count(1, timeout=WAIT_MS)
    await expect(jobs).to_have_count(2)
    await context.close()
