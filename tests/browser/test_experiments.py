"""An experiment's page in a real browser: no network, no complaints, plots, videos that play, means that sort."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from mvmodel.backends.generation_config import GenerationConfig
from mvmodel.cache import Cache
from mvmodel.experiments.bench import Bench, CellResult, Motion
from mvmodel.experiments.catalogue import EXPERIMENTS
from mvmodel.experiments.cells import Cell, Task
from mvmodel.experiments.run import run_experiment
from mvmodel.masks import MaskSequence
from mvmodel.metrics.adherence import iou
from mvmodel.world.render import HELD_OUT, random_clip
from tests.browser.conftest import until

pytestmark = [pytest.mark.browser, pytest.mark.slow]
NAME = "mask_robustness"


class Painted(Bench):
    """A bench whose videos are paint on the masks that they were given: an experiment's page without its models."""

    def measure(self, cell: Cell) -> CellResult:
        folder = self.cache.path_of("painted", cell.recipe())
        folder.mkdir(parents=True, exist_ok=True)
        frames = np.where(cell.masks[..., None], np.uint8((230, 120, 60)), np.uint8((40, 90, 60)))
        np.savez_compressed(folder / "video.npz", frames=frames)
        MaskSequence(cell.masks).save(folder / "detections.npz")
        per_frame = {"iou": iou(cell.masks, cell.task.masks), "alignment": np.full(len(frames), 0.3)}
        metrics = {"iou": float(per_frame["iou"].mean()), "alignment": 0.3, "consistency": 0.9, "motion": 2.0}
        embeddings = np.ones((len(frames), 1), np.float32)
        return CellResult(cell, metrics, per_frame, embeddings, folder / "video.npz", folder / "detections.npz")


@pytest.fixture(scope="module")
def page_file(tmp_path_factory: pytest.TempPathFactory, small_pack_folder: Path) -> Path:
    from mvmodel.packs import load_pack

    clips = [random_clip((HELD_OUT, 70 + n, 1), 8, motion="glide", objects=("car",), pan=0) for n in range(2)]
    tasks = [Task(f"r{n}", clip.caption, clip.masks, n, ("car",)) for n, clip in enumerate(clips)]
    folder = tmp_path_factory.mktemp("experiment")
    motion = Motion("glide", tasks)
    bench = Painted(load_pack(str(small_pack_folder)), [motion], Cache(folder / "cells"), {}, GenerationConfig())
    study = EXPERIMENTS[NAME]
    config = study.config(requests=2, distances=(0.02, 0.05), shifts=(0.05, 0.2), dropped=(0.3, 0.6))
    return run_experiment(NAME, bench, folder / "out", config) / "report.html"


def test_it_opens_without_network_and_without_complaints(open_page, page_file):
    page, complaints, requests = open_page(page_file)
    page.wait_for_timeout(300)
    assert [url for url in requests if not url.startswith(("file:", "data:"))] == []
    assert complaints == []
    assert page.locator("h1").text_content() == EXPERIMENTS[NAME].title
    assert page.locator("main p").first.text_content().startswith("Masks eroded by 0.05")


def test_plots_and_videos_show(open_page, page_file):
    page, _, _ = open_page(page_file)
    plots = page.evaluate("[...document.querySelectorAll('figure.plot img')].map(i => [i.naturalWidth, i.alt])")
    assert len(plots) == 4 and all(width > 300 and words.startswith("Plot: ") for width, words in plots)
    until(page, "[...document.querySelectorAll('video')].every(v => v.readyState >= 2)")
    lengths = page.evaluate("[...document.querySelectorAll('video')].map(v => [v.duration, v.videoWidth])")
    assert len(lengths) == 4 * 3 and all(abs(seconds - 1) < 0.15 and width == 256 for seconds, width in lengths)


def test_a_row_plays_in_step_and_its_outline_follows(open_page, page_file):
    page, _, _ = open_page(page_file)
    until(page, "[...document.querySelectorAll('.row')][0].querySelector('video').readyState >= 3")
    outline = page.locator(".row path.control").first
    resting = outline.get_attribute("d")
    page.locator(".row button.play").first.click()
    until(page, "document.querySelector('.row video').currentTime > 0.2")
    paused = page.evaluate("[...document.querySelector('.row').querySelectorAll('video')].map(v => v.paused)")
    assert not any(paused)
    shapes = set()
    for _ in range(10):
        page.wait_for_timeout(80)
        shapes.add(outline.get_attribute("d"))
    assert len(shapes) > 3 and resting.startswith("M")
    page.locator(".row button.play").first.click()
    until(page, "[...document.querySelectorAll('video')].every(v => v.paused)")


def test_means_sort_both_ways(open_page, page_file):
    page, _, _ = open_page(page_file)
    head = page.locator("#means th", has_text="IoU").first
    index = page.evaluate("[...document.querySelectorAll('#means th')].findIndex(h => h.textContent.startsWith('IoU'))")
    column = f"[...document.querySelectorAll('#means tbody tr')].map(r => Number(r.cells[{index}].dataset.value))"
    head.locator("button").click()
    falling = page.evaluate(column)
    assert falling == sorted(falling, reverse=True) and falling[0] == 1 and falling[-1] < 0.6
    assert head.get_attribute("aria-sort") == "descending"
    head.locator("button").click()
    assert page.evaluate(column) == falling[::-1] or page.evaluate(column) == sorted(falling)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nothing_sticks_out_on_a_phone(open_page, page_file, scheme):
    phone = {"viewport": {"width": 390, "height": 800}, "has_touch": True, "is_mobile": True, "color_scheme": scheme}
    page, complaints, _ = open_page(page_file, **phone)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.locator(".stage").first.tap()
    until(page, "!document.querySelector('video').paused")
    assert complaints == []


def test_nothing_sticks_out_in_print(open_page, page_file):
    page, _, _ = open_page(page_file, viewport={"width": 1000, "height": 900})
    page.emulate_media(media="print")
    assert page.evaluate("document.documentElement.scrollWidth") <= 1000
    assert not page.locator(".stage").first.is_visible()
