"""Settings files of the command line open in the studio, and say the same when they leave it; and the reverse."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mvmodel.backends.generation_config import GenerationConfig
from mvmodel.backends.load import load_backend
from mvmodel.cli.generate_videos import _JobMaker
from mvmodel.cli.video_plan import Choices, PlannedVideo
from mvmodel.generation.video_job import VideoJob
from mvmodel.generation.video_settings import read_video_settings, write_video_settings
from mvmodel.masks import MaskSequence
from mvmodel.packs import load_pack
from mvmodel.studio.config import StudioConfig
from mvmodel.studio.project import Project
from mvmodel.studio.worker import StudioWorker
from tests.studio.conftest import SIDE, Page, draw_disc

NO_CHOICES = Choices(None, None, (), None, [], None, None, 0, False, None, None, None, None, None, None, {})


@pytest.fixture(scope="module")
def pack(small_pack_folder):
    return load_pack(small_pack_folder)


def discs(frames: int, *rows: int) -> np.ndarray:
    """Discs that move to the right, bool (objects, frames, 64, 64)."""
    return np.stack([[draw_disc(12 + 2 * n, row, 8) for n in range(frames)] for row in rows])


def two_objects() -> MaskSequence:
    return MaskSequence.from_instances(discs(4, 20, 44), 8.0, ("a dog", "a car"))


PICTURE = np.random.default_rng(0).integers(0, 255, (SIDE, SIDE, 3), np.uint8)
JOBS: dict[str, dict[str, Any]] = {
    "one object": {"masks": MaskSequence(discs(4, 30)[0], 12.5), "seed": 7, "negative_prompt": "rain"},
    "two objects with words": {"masks": two_objects()},
    "camera": {"masks": replace(two_objects(), camera=(0.3, -0.1))},
    "own first frame": {"masks": two_objects(), "first_frame": PICTURE, "mask_term": False},
    "long": {"masks": MaskSequence(discs(20, 30)[0]), "config": {"window": 8, "overlap": 2, "anchor": "window"}},
    "other settings": {
        "masks": two_objects(),
        "config": {"scheduler": "ddim", "alpha": 0.4, "steps": 3, "color_fix": "mean"},
    },
}


@pytest.fixture(params=JOBS)
def job(request, pack, random_adapter) -> VideoJob:
    options = {"prompt": "a dog beside a car; a dog and a car", **JOBS[request.param]}
    config = GenerationConfig(**options.pop("config", {})).for_pack(pack.info)
    return VideoJob(pack=pack, backend=load_backend(pack), config=config, adapter=random_adapter, **options)


def test_settings_open_in_the_studio_and_leave_it_unchanged(
    serve, idle, job, small_pack_folder, random_adapter, tmp_path
):
    file = tmp_path / "v.settings.json"
    write_video_settings(file, job.settings())
    page = Page(serve(idle))
    data = base64.b64encode(file.read_bytes()).decode()
    answer = page.post("uploads/settings", {"files": [{"name": file.name, "data": data}]})
    assert answer["remarks"] == []
    page.project = answer["project"]
    page.save()
    worker = StudioWorker(str(small_pack_folder), None, "pack", "auto", None, StudioConfig(), [random_adapter.parent])
    studio = page.client.app.state.studio
    session = studio.store.find(page.client.cookies[studio.cookie])
    again = worker.make_video_job(Project.model_validate(page.project), session, job.seed)
    assert again.identity() == job.identity() and again.masks.fps == job.masks.fps
    out = tmp_path / "out.settings.json"
    write_video_settings(out, again.settings())
    assert make_command_line_job(out, job).identity() == job.identity()


def make_command_line_job(file: Path, job: VideoJob) -> VideoJob:
    """The job of `mvmodel generate --settings FILE`."""
    saved = read_video_settings(file)
    adapter = Path(saved.adapter) if saved.adapter else job.adapter
    config = GenerationConfig.model_validate(saved.config.model_dump()).for_pack(job.pack.info)
    maker = _JobMaker(job.pack, job.backend, adapter, config, NO_CHOICES, saved, file, None)
    return maker.make(PlannedVideo(file.with_suffix(".mp4"), None))[0]


def test_what_the_studio_cannot_do_as_settings_say_is_said(serve, idle, pack, random_adapter, tmp_path):
    job = VideoJob(
        pack=pack,
        backend=load_backend(pack),
        prompt="a car",
        masks=MaskSequence(discs(4, 30)[0]),
        config=GenerationConfig(),
        adapter=random_adapter,
        seed=2**60,
    )
    content = job.settings().model_dump(mode="json")
    content |= {"adapter": "/elsewhere/adapter", "adapter_sha256": "0" * 64, "pack": "another"}
    page = Page(serve(idle))

    def open_settings(**changes: Any) -> dict[str, Any]:
        data = base64.b64encode(json.dumps(content | changes).encode()).decode()
        return {"files": [{"name": "v.settings.json", "data": data}]}

    remarks = " ".join(page.post("uploads/settings", open_settings())["remarks"])
    assert "/elsewhere/adapter" in remarks and "pack another" in remarks and str(2**60) in remarks
    assert "multiples of 8" in page.refuse("uploads/settings", open_settings(size="65x64"))
    assert "prompt" in page.refuse("uploads/settings", open_settings(prompt="a" * 2000))
