"""The form that starts a generation, in a real browser: against the gateway and the simulator, or an upstream that
tests play. The processor is played: a file that is tracked becomes a job.
"""

import asyncio
import contextlib
import re

import httpx
import pytest
from browser.test_page import DESK, PAYLOAD, PHONE, Watched
from playwright.async_api import expect
from unit.gateway.conftest import CommandList, Stand, make_file_id, make_job

from connectors.gateway.errors import Problem, bad_field
from connectors.gateway.generate import Begun, MayHaveBegun
from connectors.gateway.models import Model, Models, Param
from connectors.gateway.routes import Routes
from connectors.gateway.server import HttpServer
from connectors.upstream.settings import ConnectorSettings
from rendercast.generating import UpstreamGenerator
from rendercast.simulator.server import Simulator
from rendercast.simulator.settings import SimulatorSettings

EVERYTHING = Models(are_all=True, models=[Model(name="m", sorts=["text_to_image", "text_to_video"])])


class Upstream:
    """Begins `count` files for each call, or raises `trouble`; while `open` is not set it keeps everybody waiting."""

    def __init__(self) -> None:
        self.asked = []
        self.count = 1
        self.begun = 0
        self.trouble: Exception | None = None
        self.known: Models | Exception = EVERYTHING
        self.open = asyncio.Event()
        self.open.set()

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        pass

    async def generate(self, kind, wanted):
        self.asked.append((kind, wanted))
        await self.open.wait()
        if self.trouble:
            raise self.trouble
        self.begun += self.count
        return [Begun(file_id=make_file_id(each + 1), kind=kind) for each in range(self.begun - self.count, self.begun)]

    async def models(self, _kind):
        if isinstance(self.known, Exception):
            raise self.known
        return self.known


class Tracked(CommandList):
    """What is tracked is told as a job at once."""

    tell = None

    async def send(self, command, partition=None) -> None:
        await super().send(command, partition)
        said = command.model_dump(include={"file_id", "kind", "project_id", "prompt"})
        self.tell(make_job(generation=command.request_id, **said))


class Form:
    """The form on its page."""

    def __init__(self, watched: Watched) -> None:
        self.watched, self.page, self.cards = watched, watched.page, watched.cards
        self.root = watched.page.locator("#generate")
        self.said = watched.page.locator("#generate-said")
        self.button = watched.page.get_by_role("button", name="Generate", exact=True)

    def field(self, label):
        return self.root.get_by_label(label)

    def wrong(self, name):
        return self.page.locator(f'[data-field="{name}"] .wrong')

    async def fill(self, prompt="a red car", **params) -> None:
        await self.field("Prompt").fill(prompt)
        for name, value in params.items():
            await self.page.locator(f'[data-field="params.{name}"] input').fill(value)


@contextlib.asynccontextmanager
async def standing(generator):
    stand = Stand()
    stand.commands = Tracked()
    stand.commands.tell = stand.tell
    routes = Routes(stand.settings, stand.board, stand.commands, stand.access, lambda: None, generator)
    stand.server = HttpServer(routes.application(), stand.settings)
    await stand.start()
    stand.board.has_loaded()
    async with generator or contextlib.nullcontext():
        yield stand
        await stand.end()
        await routes.close()


@pytest.fixture
def upstream():
    return Upstream()


@pytest.fixture
async def simulated():
    """A simulator, and a generator that asks it."""
    async with Simulator(SimulatorSettings(model_params="schema")) as simulator:
        settings = ConnectorSettings(base_url=simulator.url, token="simulator-token")
        yield simulator, UpstreamGenerator(settings)


@pytest.fixture
async def open_form(browser, upstream):
    """`await open_form(generator, query, **options)`: the form, unfolded. What went wrong in it fails the test."""
    async with contextlib.AsyncExitStack() as stack:
        opened = []

        async def open_form(generator=upstream, query="", **options):
            stand = await stack.enter_async_context(standing(generator))
            page = await browser.new_page(**{"viewport": DESK, **options})
            opened.append(Watched(page, f"http://127.0.0.1:{stand.server.port}/"))
            form = Form(await opened[-1].open(query))
            form.stand = stand
            await page.get_by_text("Start a generation").click()
            return form

        yield open_form
        for each in opened:
            assert [words for words in each.wrong if "Failed to load resource" not in words] == []
            await each.page.close()


async def record(simulator):
    async with httpx.AsyncClient(trust_env=False) as http:
        return (await http.get(f"{simulator.admin_url}/__record")).json()


async def test_what_is_filled_in_begins_at_the_upstream_and_each_file_becomes_a_card(open_form, simulated):
    simulator, generator = simulated
    form = await open_form(generator)
    await form.field("Model").select_option("comfyui/flux")
    await form.fill(width="512", height="512", batch_size="3")
    await form.button.click()
    await expect(form.said).to_have_text("Begun: 3 files.")
    await expect(form.cards).to_have_count(3)
    await expect(form.cards.first.locator(".prompt")).to_have_text("a red car")
    found = await record(simulator)
    assert (len(found["files"]), found["total"]["requests_by_kind"]["generate-image"]) == (3, 1)


async def test_a_video_takes_what_its_model_takes(open_form, simulated):
    simulator, generator = simulated
    form = await open_form(generator)
    await form.root.get_by_label("Video").check()
    await form.field("Model").select_option("azure-openai/sora")
    ratio = form.field("Aspect ratio")
    await expect(ratio.locator("option")).to_have_text(["1:1", "16:9", "9:16"])
    seconds = form.field("Duration")
    await expect(seconds.locator("option")).to_have_text(["the model's own: 5", "5", "10", "15", "20"])
    await expect(ratio).to_have_value("16:9")
    await expect(form.field("How many")).to_have_count(0)
    await form.fill()
    await ratio.select_option("9:16")
    await seconds.select_option("10")
    await form.button.click()
    await expect(form.cards).to_have_count(1)
    assert len((await record(simulator))["files"]) == 1


async def test_a_double_click_is_one_generation(open_form, upstream):
    form = await open_form()
    await form.fill()
    await form.page.evaluate("() => { performance.now = () => 1000; }")
    await form.button.dblclick()
    await expect(form.said).to_have_text("Begun: one file.")
    await form.button.click()
    await expect(form.cards).to_have_count(1)
    await expect(form.said).to_have_text("Begun: one file.")
    assert len(upstream.asked) == 1


async def test_a_click_while_one_is_on_its_way_asks_nothing(open_form, upstream):
    form = await open_form()
    await form.fill()
    upstream.open.clear()
    await form.button.click()
    await form.stand.until(lambda: upstream.asked)
    await form.button.click()
    upstream.open.set()
    await expect(form.cards).to_have_count(1)
    assert len(upstream.asked) == 1


async def test_what_is_changed_is_another_generation(open_form, upstream):
    form = await open_form()
    for number, prompt in enumerate(("a red car", "a blue car"), start=1):
        await form.fill(prompt)
        await form.button.click()
        await expect(form.cards).to_have_count(number)
    assert [each.prompt for _, each in upstream.asked] == ["a red car", "a blue car"]


async def test_the_same_form_after_a_while_is_another_generation(open_form, upstream):
    form = await open_form()
    await form.fill()
    for number in (1, 2):
        await form.button.click()
        await expect(form.cards).to_have_count(number)
        await form.page.evaluate("() => { const now = performance.now(); performance.now = () => now + 2001; }")
    assert len(upstream.asked) == 2


async def test_after_a_lost_answer_the_next_click_joins(open_form, upstream):
    form = await open_form()
    await form.fill()

    async def lose(route):
        await route.fetch()
        await route.abort()

    await form.page.route("**/api/generate/**", lose, times=1)
    await form.button.click()
    await expect(form.said).to_contain_text("No answer came.")
    await form.button.click()
    await expect(form.said).to_have_text("Begun: one file.")
    await expect(form.cards).to_have_count(1)
    assert len(upstream.asked) == 1


async def test_where_it_may_have_begun_the_next_click_asks_nobody_and_a_change_does(open_form, upstream):
    form = await open_form()
    upstream.trouble = MayHaveBegun(504, "It may have begun.")
    await form.fill()
    for _ in range(2):
        await form.button.click()
        await expect(form.said).to_contain_text("It may have begun. Generate again joins this request")
    assert len(upstream.asked) == 1
    upstream.trouble = None
    await form.fill("another car")
    await form.button.click()
    await expect(form.cards).to_have_count(1)


async def test_what_is_refused_is_said_beside_its_field_and_goes_when_it_is_changed(open_form, simulated):
    _, generator = simulated
    form = await open_form(generator)
    await form.fill("", width="10", batch_size="x")
    await form.button.click()
    await expect(form.wrong("prompt")).to_contain_text("at least 1 character")
    await expect(form.field("Prompt")).to_be_focused()
    await form.fill("a red car")
    await expect(form.wrong("prompt")).to_be_empty()
    await form.button.click()
    await expect(form.wrong("params.width")).to_have_text("should be at least 256 and at most 2048")
    await expect(form.wrong("params.batch_size")).to_have_text("should be a whole number from 1 to 10")
    width = form.field("Width")
    await expect(width).to_be_focused()
    await expect(width).to_have_attribute("aria-invalid", "true")
    assert await width.evaluate("box => document.getElementById(box.getAttribute('aria-describedby')).textContent")
    await form.fill(width="512", batch_size="1")
    await form.button.click()
    await expect(form.cards).to_have_count(1)


async def test_what_is_refused_without_a_field_of_the_form_is_said_beneath_it(open_form, upstream):
    form = await open_form()
    await form.fill()
    upstream.trouble = bad_field("params.style", "unknown style")
    await form.button.click()
    await expect(form.said).to_have_text("params.style: unknown style")
    upstream.trouble = Problem(503, "The upstream cannot be asked. Nothing has begun.")
    await form.button.click()
    await expect(form.said).to_have_text("The upstream cannot be asked. Nothing has begun.")


async def test_markup_stays_text_wherever_it_comes_from(open_form, upstream):
    upstream.known = Models(
        are_all=True,
        models=[
            Model(
                name=PAYLOAD, sorts=["text_to_image"],
                params={"size": Param(options=[PAYLOAD], default=PAYLOAD), "width": Param(default=PAYLOAD)},
            )
        ],
    )  # fmt: skip
    form = await open_form()
    await form.fill(PAYLOAD)
    upstream.trouble = bad_field("params.size", PAYLOAD)
    await form.button.click()
    await expect(form.wrong("params.size")).to_have_text(PAYLOAD)
    upstream.trouble = Problem(503, PAYLOAD)
    await form.button.click()
    await expect(form.said).to_have_text(PAYLOAD)
    upstream.trouble = None
    await form.button.click()
    await expect(form.cards.first.locator(".prompt")).to_have_text(PAYLOAD)
    assert await form.page.locator("body script, body img, [onerror]").count() == 0


async def test_without_a_whole_list_the_model_is_typed_and_passed_on(open_form, upstream):
    upstream.known = Models(are_all=False)
    form = await open_form()
    await form.field("Model").fill("new/model")
    await form.fill(aspect_ratio="4:3", batch_size="2")
    await form.button.click()
    await expect(form.cards).to_have_count(1)
    [(kind, wanted)] = upstream.asked
    assert (kind, wanted.model, wanted.params) == ("image", "new/model", {"aspect_ratio": "4:3", "batch_size": 2})


async def test_models_that_begin_with_an_image_are_not_offered(open_form, simulated):
    _, generator = simulated
    form = await open_form(generator)
    offered = form.field("Model").locator("option")
    await expect(offered.filter(has_text=re.compile("^comfyui/flux$"))).to_have_count(1)
    await expect(offered.filter(has_text="comfyui/flux/inpainting")).to_have_count(0)


async def test_where_generating_is_not_configured_the_form_says_so(open_form):
    form = await open_form(None)
    await expect(form.root).to_contain_text("Generating is not configured here (RENDERCAST_CONNECTOR__TOKEN")
    await expect(form.button).to_be_hidden()


async def test_a_list_that_could_not_be_had_is_asked_for_again(open_form, upstream):
    upstream.known = Problem(502, "The upstream refuses this server; an operator must act.")
    form = await open_form()
    await expect(form.root).to_contain_text("an operator must act")
    upstream.known = EVERYTHING
    await form.root.get_by_role("button", name="Ask again").click()
    await expect(form.button).to_be_visible()
    await expect(form.field("Model")).to_be_focused()


async def test_the_project_that_the_page_shows_is_filled_in_and_another_is_said(open_form, upstream):
    form = await open_form(upstream, "?project=p")
    await expect(form.field("Project, optional")).to_have_value("p")
    await form.fill()
    await form.button.click()
    await expect(form.cards).to_have_count(1)
    await form.field("Project, optional").fill("q")
    await form.button.click()
    await expect(form.said).to_have_text("Begun: one file. This page shows another project.")
    await expect(form.cards).to_have_count(1)


async def test_it_works_with_the_keyboard_alone(open_form, upstream):
    form = await open_form()
    press = form.page.keyboard.press
    await form.page.get_by_text("Start a generation").press("Enter")
    await expect(form.button).to_be_hidden()
    await press("Enter")
    await expect(form.button).to_be_visible()
    await press("Tab")
    await press("ArrowRight")
    await expect(form.root.get_by_label("Video")).to_be_checked()
    await expect(form.field("Duration")).to_be_visible()
    for label, text in (
        ("Model", ""),
        ("Project", "p"),
        ("Prompt", "a red car"),
        ("Aspect ratio", "16:9"),
        ("Duration", "5"),
    ):
        await press("Tab")
        await expect(form.field(label)).to_be_focused()
        await form.page.keyboard.type(text)
    await press("Tab")
    await expect(form.button).to_be_focused()
    await press("Enter")
    await expect(form.cards).to_have_count(1)
    await expect(form.button).to_be_focused()
    [(kind, wanted)] = upstream.asked
    assert (kind, wanted.prompt, wanted.params) == ("video", "a red car", {"aspect_ratio": "16:9", "duration": 5})
    await form.field("Prompt").fill("another")
    await form.field("Prompt").press("Control+Enter")
    await expect(form.cards).to_have_count(2)


@pytest.mark.parametrize("viewport", [PHONE, DESK], ids=["phone", "desk"])
async def test_nothing_of_the_form_scrolls_sideways(open_form, upstream, viewport):
    long = "x" * 299
    params = {name: Param() for name in ("aspect_ratio", "size", "width", "height", "duration", "batch_size")}
    upstream.known = Models(are_all=True, models=[Model(name=long, sorts=["text_to_image"], params=params)])
    form = await open_form(upstream, viewport=viewport)
    await form.fill(long, width=long)
    upstream.trouble = bad_field("params.width", long)
    await form.button.click()
    await expect(form.wrong("params.width")).to_have_text(long)
    upstream.trouble = Problem(503, long)
    await form.button.click()
    await expect(form.said).to_have_text(long)
    assert await form.page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
    wide = await form.page.evaluate("""() => [...document.querySelectorAll("#generate *")]
        .filter((item) => item.getBoundingClientRect().right > innerWidth + 1).map((item) => item.outerHTML)""")
    assert wide == []
