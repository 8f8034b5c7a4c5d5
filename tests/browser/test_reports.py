"""Reports in a real browser: no network, no errors, videos that play in step, tables that sort, phones, dark mode."""

from __future__ import annotations

import base64
import io

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from mvmodel.motion.motion_map import MotionMap
from mvmodel.reports.entries import VideoEntry
from mvmodel.reports.pages import write_leaderboard, write_motion_report
from mvmodel.world.render import HELD_OUT, random_clip
from tests.browser.conftest import until

pytestmark = [pytest.mark.browser, pytest.mark.slow]
IOU = {"full": (0.8, 0.7), "no_mask": (0.2, 0.1), "scratch": (0.5, 0.6)}


@pytest.fixture(scope="module")
def videos() -> list[VideoEntry]:
    out = []
    for number, word in enumerate(("horse", "car")):
        clip = random_clip((HELD_OUT, 60 + number, 1), 8, motion="glide", objects=(word,), background="snow", pan=0)
        for name, values in IOU.items():
            metrics = {"iou": values[number], "consistency": 0.9, "alignment": 0.3, "motion": 3.0 + number}
            detected = np.roll(clip.masks, 5, axis=2)
            out.append(
                VideoEntry(f"r{number}", clip.caption, name, clip.frames, clip.masks, 8.0, metrics, detected, number)
            )
    return out


@pytest.fixture(scope="module")
def report(tmp_path_factory, videos):
    rows = pd.DataFrame([{"condition": v.condition, "prompt": v.prompt, "seed": v.seed, **v.metrics} for v in videos])
    curve = [{"step": step, "loss": 1 / (1 + step)} for step in range(10)]
    folder = tmp_path_factory.mktemp("report")
    return write_motion_report(
        folder,
        "glide",
        videos,
        rows,
        {"pack": "tiny", "adapter": {"version": "a1b2"}},
        {"clips": ["one"], "curve": curve},
    )


def test_it_opens_without_network_and_without_complaints(open_page, report):
    page, complaints, requests = open_page(report)
    page.wait_for_timeout(300)
    assert [url for url in requests if not url.startswith(("file:", "data:"))] == []
    assert complaints == []
    assert page.title() == "glide: motion report"


def test_videos_have_a_length_and_a_picture(open_page, report):
    page, _, _ = open_page(report)
    until(page, "[...document.querySelectorAll('video')].every(v => v.readyState >= 2)")
    lengths = page.evaluate("[...document.querySelectorAll('video')].map(v => [v.duration, v.videoWidth])")
    assert len(lengths) == 8
    assert all(abs(seconds - 1.0) < 0.15 and width == 256 for seconds, width in lengths)


def test_a_row_plays_in_step_and_stops(open_page, report):
    page, _, _ = open_page(report)
    until(page, "[...document.querySelectorAll('video')].every(v => v.readyState >= 3)")
    play = page.locator(".row button.play").first
    play.click()
    until(page, "document.querySelector('.row video').currentTime > 0.2")
    assert play.text_content() == "Pause"
    paused = page.evaluate(
        "[...document.querySelectorAll('.row')].map(r => [...r.querySelectorAll('video')].map(v => v.paused))"
    )
    assert paused == [[False] * 4, [True] * 4]
    play.focus()
    page.keyboard.press("Enter")
    until(page, "[...document.querySelectorAll('video')].every(v => v.paused)")
    times = page.evaluate("[...document.querySelector('.row').querySelectorAll('video')].map(v => v.currentTime)")
    assert max(times) - min(times) < 0.02


def test_before_it_is_played_a_row_shows_a_later_frame_with_its_outline(open_page, report, videos):
    page, _, _ = open_page(report)
    assert page.evaluate("[...document.querySelectorAll('video')].every(v => v.paused && v.currentTime === 0)")
    poster_index = page.evaluate("""() => { const row = document.querySelector('.row');
        return JSON.parse(row.dataset.outline).indexOf(row.querySelector('path.control').getAttribute('d')) }""")
    assert poster_index == 4
    poster = page.evaluate("document.querySelectorAll('video')[1].poster").split(",", 1)[1]
    picture = np.asarray(Image.open(io.BytesIO(base64.b64decode(poster))).resize((128, 128)), float)
    distances = [np.abs(picture - frame).mean() for frame in videos[0].frames]
    assert int(np.argmin(distances)) == 4


def test_the_outline_follows_the_frame_and_can_be_hidden(open_page, report):
    page, _, _ = open_page(report)
    outline = page.locator(".row path.control").first
    first = outline.get_attribute("d")
    assert first.startswith("M")
    page.locator(".row button.play").first.click()
    shapes = set()
    for _ in range(12):
        page.wait_for_timeout(80)
        shapes.add(outline.get_attribute("d"))
    assert len(shapes) > 3
    page.locator(".row button.play").first.click()
    state = page.evaluate("""() => { const row = document.querySelector('.row');
        return [JSON.parse(row.dataset.outline).indexOf(row.querySelector('path.control').getAttribute('d')),
                row.querySelectorAll('video')[1].currentTime * 8] }""")
    assert abs(state[0] - int(state[1] + 0.05)) <= 1
    assert outline.is_visible()
    assert not page.locator(".row path.detected").first.is_visible()
    page.get_by_label("control mask outline").uncheck()
    page.get_by_label("detected object (dashed)").check()
    assert not outline.is_visible()
    assert page.locator(".row path.detected").first.is_visible()


def test_tables_sort_both_ways_and_say_so(open_page, report):
    page, _, _ = open_page(report)
    head = page.locator("#videos th", has_text="IoU").first
    column = "[...document.querySelectorAll('#videos tbody tr')].map(r => Number(r.cells[3].textContent))"
    head.locator("button").click()
    assert page.evaluate(column) == [0.8, 0.7, 0.6, 0.5, 0.2, 0.1]
    assert head.get_attribute("aria-sort") == "descending"
    head.locator("button").click()
    assert page.evaluate(column) == [0.1, 0.2, 0.5, 0.6, 0.7, 0.8]
    page.locator("#videos th", has_text="Prompt").locator("button").click()
    assert head.get_attribute("aria-sort") is None
    assert page.locator("#videos tbody tr").first.text_content().count("horse") == 1


def test_the_other_metrics_come_when_asked_for(open_page, tmp_path, videos):
    rows = pd.DataFrame(
        [{"condition": v.condition, "prompt": v.prompt, "smoothness": 0.9, **v.metrics} for v in videos]
    )
    page, complaints, _ = open_page(write_motion_report(tmp_path, "glide", videos, rows, {}))
    hidden_cells = page.locator(".more")
    assert hidden_cells.count() == 1 + 1 + len(rows)  # a line of the means, a head and a cell a video
    assert not any(one.is_visible() for one in hidden_cells.all())
    page.get_by_label("all metrics").check()
    assert all(one.is_visible() for one in hidden_cells.all())
    assert complaints == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_from_its_ground(open_page, report, scheme):
    page, _, _ = open_page(report, color_scheme=scheme)
    names = ["--ink", "--soft", "--full", "--no-mask", "--scratch", "--accent"]
    script = """names => { const style = getComputedStyle(document.documentElement);
        return names.concat(['--paper', '--card']).map(name => style.getPropertyValue(name).trim()) }"""
    *inks, paper, card = page.evaluate(script, names)
    for ground in (paper, card):
        for name, ink in zip(names, inks, strict=True):
            assert contrast(ink, ground) >= 4.5, f"{name} on {ground} in {scheme}"


def test_nothing_sticks_out_on_a_phone(open_page, report):
    page, complaints, _ = open_page(report, viewport={"width": 390, "height": 800}, has_touch=True, is_mobile=True)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.locator(".stage").first.tap()
    until(page, "!document.querySelector('video').paused")
    assert complaints == []


def test_print_shows_film_strips_instead_of_videos(open_page, report):
    page, _, _ = open_page(report)
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print")
    assert not page.locator(".stage").first.is_visible()
    assert page.locator(".strips img").first.is_visible()


def test_nothing_sticks_out_in_print(open_page, report):
    page, _, _ = open_page(report, viewport={"width": 1000, "height": 900})
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    page.emulate_media(media="print")
    assert page.evaluate("document.documentElement.scrollWidth") <= 1000


def test_what_it_was_made_from_is_at_the_foot_and_opens(open_page, report):
    page, _, _ = open_page(report)
    assert page.locator("footer dd", has_text="tiny").is_visible()
    version = page.locator("footer dd", has_text="a1b2")
    assert not version.is_visible()
    page.locator("footer summary", has_text="Adapter").click()
    assert version.is_visible()


def test_without_javascript_the_browsers_controls_remain(open_page, report):
    page, _, _ = open_page(report, java_script_enabled=False)
    assert page.locator("video[controls]").count() == 8


def test_the_leaderboard_opens_and_sorts(open_page, tmp_path, videos):
    rows = pd.DataFrame([{"condition": v.condition, "prompt": v.prompt, **v.metrics} for v in videos])
    motions = {"glide": rows, "spin": rows.assign(iou=rows["iou"] / 2)}
    page, complaints, requests = open_page(write_leaderboard(tmp_path, motions, videos=videos))
    order = "[...document.querySelectorAll('#motions tbody th')].map(cell => cell.textContent)"
    page.locator("#motions th", has_text="IoU").first.locator("button").click()
    assert page.evaluate(order) == ["glide", "spin"]
    page.locator("#motions th", has_text="IoU").first.locator("button").click()
    assert page.evaluate(order) == ["spin", "glide"]
    assert complaints == []
    assert [url for url in requests if not url.startswith(("file:", "data:"))] == []


def test_the_leaderboard_shows_how_the_clips_were_grouped(open_page, tmp_path):
    names = [f"clip-{i}" for i in range(7)]
    table = pd.DataFrame(
        {
            "clip": names,
            "motion": ["glide"] * 3 + ["bouncing-right"] * 3 + [""],
            "selected": [True, False] * 3 + [False],
        }
    )
    trajectories = {name: np.column_stack([np.arange(5.0), np.arange(5.0) * i]) for i, name in enumerate(names)}
    positions = {name: (float(i), float(i % 3)) for i, name in enumerate(names)}
    page, complaints, _ = open_page(
        write_leaderboard(tmp_path, {}, motion_map=MotionMap(table, positions, trajectories))
    )
    assert page.get_by_role("heading", name="How the clips move").is_visible()
    for words in ("Map of the clips by how they move: ", "Trajectories of the clips of each motion, "):
        plot = page.get_by_role("img", name=words)
        assert plot.count() == 1 and plot.is_visible()
        assert "bouncing-right" in plot.get_attribute("aria-label")
        box = plot.bounding_box()
        assert box["width"] > 200 and box["height"] > 100
        assert plot.locator("path").count() > len(names), "something is drawn in it"
    assert complaints == []


def contrast(first: str, second: str) -> float:
    """WCAG's contrast of two #rrggbb colours."""

    def light(colour: str) -> float:
        parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))

    bright, dark = sorted((light(first), light(second)), reverse=True)
    return (bright + 0.05) / (dark + 0.05)
