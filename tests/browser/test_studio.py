"""The studio in a real browser: drawn with the pointer and with the keyboard alone, generated, edited, and kept."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import uvicorn

from mvmodel.packs.info import read_run_info
from mvmodel.studio.app import create_app
from mvmodel.studio.config import StudioConfig
from mvmodel.studio.server import find_address
from tests.browser.conftest import ACTION_MS, remember_error, until

pytestmark = [pytest.mark.browser, pytest.mark.slow]
READY = "document.documentElement.dataset.ready === 'true'"


@pytest.fixture(scope="module")
def address(tmp_path_factory, small_pack_folder: Path, random_adapter: Path) -> Iterator[str]:
    """A studio with the small pack, whose start adapter is a random one, in a thread of this process."""
    from mvmodel.studio.worker import StudioWorker

    config, adapters = StudioConfig(), [random_adapter.parent]
    host, port = find_address(0)

    def open_worker() -> StudioWorker:
        return StudioWorker(str(small_pack_folder), None, "pack", "auto", None, config, adapters)

    folder = tmp_path_factory.mktemp("studio")
    app = create_app(read_run_info(small_pack_folder), open_worker, folder, config=config, adapters=adapters, port=port)
    server = uvicorn.Server(uvicorn.Config(app, host=host, port=port, log_level="error", timeout_graceful_shutdown=1))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.05)
    yield f"http://{host}:{port}/"
    server.should_exit = True
    thread.join(timeout=20)


@pytest.fixture
def open_studio(browser, address):
    """`open_studio()` -> (page, complaints) of a new person; `open_studio(context)` of the same one."""
    contexts = []

    def open_one(context=None, **options):
        if context is None:
            context = browser.new_context(viewport={"width": 1440, "height": 900}, **options)
            contexts.append(context)
        page, complaints = context.new_page(), []
        page.set_default_timeout(ACTION_MS)
        page.on("console", lambda message: remember_error(message, complaints))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(address)
        until(page, READY)
        return page, complaints

    yield open_one
    for context in contexts:
        context.close()


def drag(page, *points: tuple[float, float]) -> None:
    """Drag over the picture, in shares of it."""
    box = page.locator("#stage").bounding_box()
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=4)
    page.mouse.up()


def objects(page) -> int:
    return int(page.evaluate("document.querySelectorAll('.object').length"))


def generate(page, seed: int) -> None:
    """Generate a short video in one step, and wait until the page shows it."""
    count = page.locator("#videos-list .thumb").count()
    page.locator("#tab-generate").click()
    for field, value in (("#prompt", "a car"), ("#steps", "1"), ("#seed", str(seed)), ("#frames", "4")):
        page.locator(field).fill(value)
        page.locator(field).press("Tab")
    page.locator("#adapter").select_option("adapter")
    page.locator("#generate").click()
    until(page, f"document.querySelectorAll('#videos-list .thumb').length === {count + 1}", 300)
    until(page, "document.querySelector('main').dataset.step === 'refine'")


def test_draw_move_generate_edit_and_generate_again(open_studio):
    page, complaints = open_studio()
    page.get_by_role("radio", name="Outline").click()
    drag(page, (0.35, 0.4), (0.65, 0.4), (0.65, 0.65), (0.35, 0.65))
    until(page, "document.querySelectorAll('.object').length === 1")
    page.locator("#tab-motion").click()
    drag(page, (0.2, 0.7), (0.5, 0.3), (0.8, 0.7))
    until(page, "Number(document.documentElement.dataset.previewMs) > 0")
    generate(page, 1)
    until(page, "document.querySelector('#video-b video')?.videoWidth === 64")
    page.locator("#refine-edit").click()
    page.locator("#double").click()
    page.locator("#bend").fill("0.2")
    until(page, "document.querySelectorAll('.object').length === 2")
    words = page.locator(".object input")
    for number, text in enumerate(("a car", "a car")):
        words.nth(number).click()
        page.keyboard.type(text)
    page.keyboard.press("Tab")
    assert [field.input_value() for field in words.all()] == ["a car", "a car"]
    generate(page, 2)
    until(page, "[...document.querySelectorAll('.result video')].every(video => video.readyState >= 2)")
    assert page.locator("#video-a").is_visible() and page.locator("#video-b").is_visible()
    with page.expect_download() as download:
        page.get_by_role("link", name="Settings").click()
    assert download.value.suggested_filename == "a-car-2.settings.json"
    page.reload()
    until(page, READY)
    assert objects(page) == 2 and page.locator("#videos-list .thumb").count() == 2
    page.locator("#tab-refine").click()
    page.locator("#refine-extend").click()
    until(page, "document.querySelector('#frames').value === '7'")
    with page.expect_navigation():
        page.locator("#new").click()
    until(page, f"{READY} && document.querySelectorAll('.object').length === 0")
    page.locator("#sessions").click()
    with page.expect_navigation():
        page.locator("#session-list li:not(.current) .quiet").click()
    until(page, f"{READY} && document.querySelectorAll('.object').length === 2")
    other, _ = open_studio()
    assert objects(other) == 0 and other.locator("#videos-list .thumb").count() == 0
    assert complaints == []


def test_what_ends_before_its_answer_arrives_is_shown(open_studio):
    """The answers that name the jobs are held back: the page's stream of events tells first that they have ended."""
    page, complaints = open_studio()

    def answer_late(route):
        response = route.fetch()
        time.sleep(4)
        route.fulfill(response=response)

    page.route("**/api/jobs*", answer_late)
    stored = []
    page.on("response", lambda response: stored.append(response) if "/api/keys" in response.url else None)
    page.route("**/api/keys*", answer_late)
    for x in (0.2, 0.5, 0.8):
        drag(page, (x, 0.3), (x, 0.35))
    while len(stored) < 3:
        page.wait_for_timeout(50)
    painted = "((x, y) => document.querySelector('#stage').getContext('2d').getImageData(x, y, 1, 1).data[0] > 100)"
    size = page.evaluate("[document.querySelector('#stage').width, document.querySelector('#stage').height]")
    page.unroute("**/api/keys*")
    assert objects(page) == 1
    for x in (0.2, 0.5, 0.8):  # the second and third were painted before the first was stored
        until(page, f"{painted}({x * size[0]}, {0.32 * size[1]})")
    page.locator("#words").fill("a car runs from left to right")
    page.locator("#words").press("Enter")
    until(page, "document.body.textContent.includes('have no foreground')")  # the models of the test draw no car
    page.locator("#shape-disc").click()
    generate(page, 3)
    assert complaints == []


def test_everything_can_be_done_with_the_keyboard(open_studio):
    page, complaints = open_studio()
    page.locator("#shape-disc").focus()
    page.keyboard.press("Enter")
    until(page, "document.querySelectorAll('.object').length === 1")
    page.locator("#stage").focus()
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("2")
    page.get_by_role("button", name="Arc").focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Control+d")
    until(page, "document.querySelectorAll('.object').length === 2")
    page.keyboard.press("Control+z")
    until(page, "document.querySelectorAll('.object').length === 1")
    page.keyboard.press("Space") if page.evaluate("document.activeElement.tagName") != "BUTTON" else None
    page.keyboard.press("3")
    assert page.locator("#tab-generate").get_attribute("aria-selected") == "true"
    page.locator("#prompt").focus()
    page.keyboard.type("a car")
    page.locator("#adapter").focus()
    page.keyboard.type("adapter")
    page.locator("#steps").focus()
    page.keyboard.press("Control+a")
    page.keyboard.type("100")  # long enough to be cancelled while it runs
    page.keyboard.press("Control+Enter")
    until(page, "document.querySelector('.job') !== null")
    page.get_by_role("button", name="Cancel").first.focus()
    page.wait_for_timeout(1500)  # the job's progress is updated meanwhile
    assert page.evaluate("document.activeElement.textContent") == "Cancel", "the focus stays"
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline != "none", "the focus can be seen"
    page.keyboard.press("Enter")
    until(page, "document.querySelector('.job[data-state=running], .job[data-state=waiting]') === null")
    assert complaints == []


@pytest.mark.parametrize(("width", "height"), [(1440, 900), (820, 1180), (390, 844)])
def test_nothing_sticks_out(open_studio, width, height):
    page, _ = open_studio()
    page.set_viewport_size({"width": width, "height": height})
    page.locator("#shape-disc").click()
    for step in ("mask", "motion", "generate", "refine"):
        page.locator(f"#tab-{step}").click()
        assert page.evaluate("document.documentElement.scrollWidth") <= width, step
        for control in page.locator(f'[data-panel="{step}"] button:visible').all():
            box = control.bounding_box()
            assert box["x"] >= 0 and box["x"] + box["width"] <= width, (step, control.text_content())
