"""The page at `/` in a real browser, against the gateway's HTTP side; the jobs are played."""

import pytest
from playwright.async_api import Page, Route, expect
from unit.gateway.conftest import make_file_id, make_job

from schemas import Cancel, Check
from schemas.errors import RetryLater

PHONE, DESK = {"width": 360, "height": 740}, {"width": 1280, "height": 800}
PAYLOAD = "<img src=x onerror=\"alert('m')\"><script>alert('s')</script>"
PICTURE = '<svg xmlns="http://www.w3.org/2000/svg" width="16" height="9"><rect width="16" height="9"/></svg>'
SECONDS = 20_000

expect.set_options(timeout=SECONDS)


class Watched:
    """A page, and what it must not do: dialogs, errors, refusals of its own policy."""

    def __init__(self, page: Page, address: str) -> None:
        self.page, self.address = page, address
        self.wrong: list[str] = []
        page.set_default_timeout(SECONDS)
        page.on("pageerror", lambda error: self.wrong.append(str(error)))
        page.on("console", self._on_console)
        page.on("dialog", self._on_dialog)
        self.state = page.locator("#connection")
        self.cards = page.locator("#jobs > li")

    def _on_console(self, message) -> None:
        if message.type in ("error", "warning"):
            self.wrong.append(message.text)

    async def _on_dialog(self, dialog) -> None:
        self.wrong.append(f"dialog: {dialog.message}")
        await dialog.dismiss()

    def card(self, number: int):
        return self.page.locator(f'#jobs > li[data-file="{make_file_id(number)}"]')

    async def open(self, query: str = "") -> "Watched":
        await self.page.goto(self.address + query)
        await expect(self.state).to_have_text("connected")
        return self


@pytest.fixture
async def open_page(browser, stand):
    """`await open_page(query, **options)`: the page, connected. What went wrong in it fails the test at its end."""
    opened = []

    async def open_page(query="", **options):
        page = await browser.new_page(**{"viewport": DESK, **options})
        await page.route("https://cdn.example/**", _picture)
        opened.append(Watched(page, f"http://127.0.0.1:{stand.server.port}/"))
        return await opened[-1].open(query)

    yield open_page
    for each in opened:
        assert each.wrong == []


async def _picture(route: Route) -> None:
    await route.fulfill(body=PICTURE, content_type="image/svg+xml")


async def test_progress_moves_in_its_place_and_ends_in_the_picture(stand, open_page):
    stand.tell(make_job(1, kind="image", progress=10, message="queued"))
    stand.tell(make_job(2))
    watched = await open_page()
    await expect(watched.cards).to_have_count(2)
    card = watched.card(1)
    await card.evaluate("item => { item.mark = 'the same element' }")
    stand.tell(make_job(1, kind="image", version=2, progress=60, message="frame 6 of 10"))
    await expect(card.locator(".percent")).to_have_text("60 %")
    await expect(card.locator("progress")).to_have_js_property("value", 60)
    await expect(card.locator(".message")).to_have_text("frame 6 of 10")
    stand.tell(
        make_job(
            1, kind="image", version=3, progress=100, outcome="completed", won_by="poll", gaps=2,
            url="https://cdn.example/a.png",
        )
    )  # fmt: skip
    await expect(card.locator(".status")).to_have_text("completed")
    await expect(card.locator(".facts")).to_contain_text("won by poll")
    await expect(card.locator(".facts")).to_contain_text("2 gaps")
    await expect(card.locator("img")).to_have_js_property("naturalWidth", 16)
    await expect(card.locator(".open")).to_have_attribute("href", "https://cdn.example/a.png")
    assert await card.evaluate("item => item.mark") == "the same element"
    await expect(watched.cards).to_have_count(2)


async def test_a_video_gets_a_player_and_goes_on_playing_while_its_job_changes(stand, open_page):
    done = {"kind": "video", "outcome": "completed", "progress": 100, "url": "https://cdn.example/a.mp4",
            "thumbnail_url": "https://cdn.example/a.png"}  # fmt: skip
    stand.tell(make_job(1, **done))
    watched = await open_page()
    player = watched.card(1).locator("video[controls]")
    await expect(player).to_have_attribute("src", "https://cdn.example/a.mp4")
    await player.evaluate("item => { item.mark = 'the same element' }")
    stand.tell(make_job(1, version=2, prompt="now with a prompt", **done))
    await expect(watched.card(1).locator(".prompt")).to_have_text("now with a prompt")
    assert await player.evaluate("item => item.mark") == "the same element"


async def test_a_reload_changes_nothing(stand, open_page):
    for number in range(1, 6):
        stand.tell(make_job(number, progress=number * 10, project_id="p"))
    watched = await open_page()
    await expect(watched.cards).to_have_count(5)
    before = await watched.cards.all_inner_texts()
    await watched.page.reload()
    await expect(watched.state).to_have_text("connected")
    await expect(watched.cards).to_have_count(5)
    assert await watched.cards.all_inner_texts() == before


async def test_a_gateway_that_is_killed_and_started_again_leaves_the_same_cards(browser, make_stand):
    first = await make_stand()
    port = first.server.port
    jobs = [make_job(1, progress=10), make_job(2, outcome="completed", url="https://cdn.example/a.png", kind="image")]
    for job in jobs:
        first.tell(job)
    page = await browser.new_page()
    await page.route("https://cdn.example/**", _picture)
    watched = await Watched(page, f"http://127.0.0.1:{port}/").open()
    await expect(watched.cards).to_have_count(2)
    await page.evaluate("""() => {
        window.said = [];
        const state = document.getElementById("connection");
        new MutationObserver(() => said.push(state.textContent)).observe(state, { childList: true });
    }""")
    for connection in list(first.server._server.server_state.connections):
        connection.transport.abort()
    await first.end()
    await expect(watched.state).to_have_text("disconnected")
    await expect(watched.cards).to_have_count(2)
    second = await make_stand(port=port)
    for job in [*jobs, make_job(1, version=2, progress=70)]:
        second.tell(job)
    await expect(watched.state).to_have_text("connected")
    await expect(watched.card(1).locator(".percent")).to_have_text("70 %")
    second.tell(make_job(3))
    await expect(watched.card(3)).to_be_visible()
    await expect(watched.cards).to_have_count(3)
    said = await page.evaluate("said")
    assert said[:2] == ["disconnected", "connecting"]
    assert said[-1] == "connected"
    assert not [each for each in watched.wrong if "ERR_" not in each]  # the browser tells of refused connections itself


async def test_a_gateway_that_refuses_says_why_and_is_asked_again(make_stand, browser):
    stand = await make_stand(max_streams=1)
    page = await browser.new_page()
    async with stand.events("/all") as events:
        await events.next()
        await page.goto(f"http://127.0.0.1:{stand.server.port}/")
        await expect(page.locator("#notice")).to_have_text("1 event streams are open already.")
        await expect(page.locator("#connection")).to_have_text("disconnected")
    await expect(page.locator("#connection")).to_have_text("connected")
    await expect(page.locator("#notice")).to_be_hidden()


async def test_check_for_results_sends_a_check_and_says_so(stand, open_page):
    stand.tell(make_job(1))
    stand.tell(make_job(2, outcome="timed_out", reason="timed_out"))
    watched = await open_page()
    for number in (1, 2):
        await watched.card(number).get_by_role("button", name="Check for results").click()
        await expect(watched.card(number).get_by_role("status")).to_have_text("Looking.")
    assert [(type(each), each.file_id) for each in stand.commands.sent] == [
        (Check, make_file_id(1)), (Check, make_file_id(2)),
    ]  # fmt: skip


async def test_cancel_sends_a_cancel_and_an_ended_job_offers_none(stand, open_page):
    stand.tell(make_job(1))
    watched = await open_page()
    await watched.card(1).get_by_role("button", name="Cancel").click()
    await expect(watched.card(1).get_by_role("status")).to_have_text("Cancelling.")
    assert [(type(each), each.file_id) for each in stand.commands.sent] == [(Cancel, make_file_id(1))]
    stand.tell(make_job(1, version=2, outcome="cancelled", reason="cancelled"))
    await expect(watched.card(1).locator(".status")).to_have_text("cancelled")
    await expect(watched.card(1).get_by_role("button")).to_have_count(0)


async def test_a_command_that_does_not_get_through_says_so(stand, open_page):
    stand.tell(make_job(1))
    stand.commands.trouble = RetryLater("Kafka did not take the command.")
    watched = await open_page()
    await watched.card(1).get_by_role("button", name="Check for results").click()
    await expect(watched.card(1).get_by_role("status")).to_have_text("Kafka did not take the command.")
    assert [each for each in watched.wrong if "503" not in each] == []
    watched.wrong.clear()


async def test_markup_in_a_message_a_prompt_and_a_project_stays_text(stand, open_page):
    stand.tell(make_job(1, message=PAYLOAD, prompt=PAYLOAD, project_id=PAYLOAD))
    stand.tell(make_job(2, outcome="failed", reason="upstream", message=PAYLOAD))
    stand.tell(make_job(3, outcome="completed", generation="javascript:alert(1)", url='https://cdn.example/"onload=x'))
    watched = await open_page()
    await expect(watched.cards).to_have_count(3)
    for place in (".message", ".prompt"):
        await expect(watched.card(1).locator(place)).to_have_text(PAYLOAD)
    await expect(watched.card(1).locator(".facts button")).to_have_text(f"project {PAYLOAD}")
    await expect(watched.card(2).locator(".message")).to_have_text(PAYLOAD)
    assert await watched.page.locator("#jobs script, #jobs img, #jobs [onload], #jobs [onerror]").count() == 0


async def test_jobs_that_have_no_card_are_counted(stand, open_page):
    for number in range(310):
        stand.tell(make_job(number + 1))
    watched = await open_page()
    await expect(watched.cards).to_have_count(300)
    await expect(watched.page.locator("#counts")).to_contain_text("10 more not shown")
    stand.tell(make_job(311))
    await expect(watched.page.locator("#counts")).to_contain_text("11 more not shown")


async def test_the_project_of_a_card_filters_and_a_reload_keeps_it(stand, open_page):
    stand.tell(make_job(1, project_id="p/1 & more"))
    stand.tell(make_job(2, project_id="other"))
    watched = await open_page()
    await watched.card(1).get_by_role("button", name="project p/1 & more").click()
    await expect(watched.cards).to_have_count(1)
    await watched.page.reload()
    await expect(watched.page.get_by_label("Project", exact=True)).to_have_value("p/1 & more")
    await expect(watched.cards).to_have_count(1)
    stand.tell(make_job(3, project_id="other"))
    stand.tell(make_job(4, project_id="p/1 & more"))
    await expect(watched.card(4)).to_be_visible()
    await expect(watched.cards).to_have_count(2)
    await watched.page.go_back()
    await expect(watched.cards).to_have_count(4)


async def test_a_project_can_be_typed_and_cleared(stand, open_page):
    stand.tell(make_job(1, project_id="p"))
    stand.tell(make_job(2, project_id="q"))
    watched = await open_page()
    box = watched.page.get_by_label("Project", exact=True)
    await box.fill("q")
    await box.press("Enter")
    await expect(watched.cards).to_have_count(1)
    assert "project=q" in watched.page.url
    await box.fill("")
    await box.press("Enter")
    await expect(watched.cards).to_have_count(2)


async def test_every_button_is_reached_with_tab_and_works_with_enter(stand, open_page):
    stand.tell(make_job(1, project_id="p"))
    watched = await open_page()
    await expect(watched.cards).to_have_count(1)
    wanted = await watched.page.locator("button:visible").count()
    reached = set()
    for _ in range(wanted * 3):
        await watched.page.keyboard.press("Tab")
        name = await watched.page.evaluate(
            "document.activeElement.matches('button') && document.activeElement.className"
        )
        if name in ("check", "cancel") and name not in reached:
            await watched.page.keyboard.press("Enter")
        if name is not False:
            reached.add(await watched.page.evaluate("document.activeElement.outerHTML"))
            reached.add(name)
    await stand.until(lambda: len(stand.commands.sent) == 2)
    buttons = await watched.page.locator("button:visible").evaluate_all("items => items.map(item => item.outerHTML)")
    assert set(buttons) <= reached
    await watched.card(1).get_by_role("button", name="project p").focus()
    await watched.page.keyboard.press("Enter")
    await expect(watched.page.get_by_label("Project", exact=True)).to_have_value("p")


async def test_progress_does_not_take_the_focus_from_a_button(stand, open_page):
    stand.tell(make_job(1, project_id="p"))
    watched = await open_page()
    for number, name in enumerate(("Check for results", "project p"), start=1):
        button = watched.card(1).get_by_role("button", name=name)
        await button.focus()
        stand.tell(make_job(1, version=number + 1, progress=number * 30, project_id="p"))
        await expect(watched.card(1).locator(".percent")).to_have_text(f"{number * 30} %")
        await expect(button).to_be_focused()


@pytest.mark.parametrize("viewport", [PHONE, DESK], ids=["phone", "desk"])
async def test_nothing_scrolls_sideways(stand, open_page, viewport):
    long = "x" * 299
    stand.tell(make_job(1, message=long, prompt=long, project_id=long, gaps=3, estimate_seconds=500))
    stand.tell(make_job(2, outcome="completed", url="https://cdn.example/a.mp4", won_by="check", late=True))
    watched = await open_page(viewport=viewport)
    await expect(watched.cards).to_have_count(2)
    wide = await watched.page.evaluate("""() => [document.documentElement, ...document.querySelectorAll("body *")]
        .filter((item) => item.getBoundingClientRect().right > innerWidth + 1).map((item) => item.className)""")
    assert wide == []
    assert await watched.page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]


async def test_light_and_dark_follow_the_system_and_can_be_read(stand, open_page):
    stand.tell(make_job(1, message="words"))
    found = {}
    for scheme in ("light", "dark"):
        watched = await open_page(color_scheme=scheme)
        await expect(watched.card(1).locator(".message")).to_have_text("words")
        found[scheme] = await watched.page.evaluate("""() => [document.body, document.querySelector("article .message")]
            .map((item) => getComputedStyle(item)).flatMap((style) => [style.backgroundColor, style.color])""")
    light, dark = ([_lightness(each) for each in found[scheme]] for scheme in ("light", "dark"))
    assert light[0] - light[3] > 0.5
    assert dark[3] - dark[0] > 0.5


def _lightness(color: str) -> float:
    parts = color.partition("(")[2].rstrip(")").split(",")[:3]
    return sum(float(each) for each in parts) / 765
