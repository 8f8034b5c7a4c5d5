"""A request file that names masks in every way, through the real models: from generation_requests to the videos."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mvmodel.files import hash_file
from mvmodel.masks import MaskSequence
from mvmodel.video.frames import read_frames
from mvmodel.world.render import HELD_OUT, random_clip
from pipelines.store.materializations import load_current

pytestmark = pytest.mark.slow
SOURCES = {
    "plain": "own/dog.npz",
    "edited": "own/dog.npz | flip",
    "lent": "library: slide-0 | move 6 0",
    "words": "words: a ball rolls from left to right",
}


@pytest.fixture
def tiny_lab(tmp_path: Path, tiny_pack: Any, stand_ins: Any, lab_kind: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A home with the shipped pack. Only finding foreground and judging are stand-ins; models train and generate."""
    import mvmodel.segmentation.selection as selection
    from pipelines.promotion import evaluation

    for name in ("DAGSTER_HOME", "MVMODEL_CONFIG", "MVMODEL_CLIPS", "MVMODEL_PACK"):
        monkeypatch.setenv(name, "")  # set, so that what the run sets is undone afterwards
        monkeypatch.delenv(name)
    monkeypatch.setattr(selection, "extract_masks", stand_ins.extract_masks)
    monkeypatch.setattr(evaluation, "judge_generated_video", stand_ins.judge_generated_video)
    made = lab_kind(tmp_path / "home", stand_ins.write_clips(tmp_path / "clips", {"slide": 5}, bad=0), Path("tiny"))
    made.settings = {
        "size": 128,
        "training": {"steps": 1},
        "generation": {"steps": 2, "first_frame_steps": 2},
        "comparison": {"scratch": False, "no_mask": False, "scheduler_requests": 0},
        "gates": {"min_iou": 0.0, "min_alignment": -1.0, "min_mask_gain": -2.0, "max_regression": 2.0},
        "requests": {"file": str(tmp_path / "asked" / "requests.csv"), "count": 1},
    }
    return made


def _ask(folder: Path, masks: MaskSequence) -> None:
    masks.save(folder / "own" / "dog.npz")
    with open(folder / "requests.csv", "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["name", "motion", "prompt", "masks", "seed"])
        for seed, (name, source) in enumerate(SOURCES.items()):
            rows.writerow([name, "slide", "a ball rolls over a meadow", source, seed])


def test_words_library_and_files_become_videos(tiny_lab: Any, tiny_pack: Any, tmp_path: Path) -> None:
    info = tiny_pack.info
    rendered_masks = random_clip((HELD_OUT, 8), frames=info.frames, side=info.size.width, motion="glide", pan=0.0).masks
    _ask(tmp_path / "asked", MaskSequence(rendered_masks, info.fps))
    summary = tiny_lab.run()
    assert summary["status"] == 0, summary["failures"]
    assert summary["motions"]["slide"]["videos"] == 4
    with tiny_lab.instance as instance:
        requests, videos, library = (
            load_current(instance, tiny_lab.store, name, part)
            for name, part in (("generation_requests", "slide"), ("generated_videos", "slide"), ("mask_library", None))
        )
        source = load_current(instance, tiny_lab.store, "foreground_masks").folder / "slide-0.npz"

    made = {name: MaskSequence.load(requests.folder / "masks" / f"{name}.npz") for name in SOURCES}
    assert np.array_equal(made["plain"].masks, rendered_masks)
    assert np.array_equal(made["edited"].masks, rendered_masks[:, :, ::-1])
    assert np.array_equal(made["lent"].masks[:, :, 6:], MaskSequence.load(source).masks[:, :, :-6])
    assert made["words"].names == ("ball",)
    columns = [np.nonzero(mask)[1].mean() for mask in made["words"].masks if mask.any()]
    assert len(columns) > info.frames // 2 and columns[-1] - columns[0] > info.size.width / 3, "it rolls to the right"

    (version,) = tiny_lab.store.versions("generation_requests", "slide")
    assert version.sha == requests.sha and library.sha in version.inputs["mask_library"].values()
    assert set(json.loads((requests.folder / "assumptions.json").read_text())) <= {"words"}
    for name in SOURCES:
        settings = json.loads((videos.folder / "full" / f"{name}.json").read_text())
        assert settings["masks_sha256"] == hash_file(requests.folder / "masks" / f"{name}.npz")
        assert settings["instances"] == (["ball"] if name == "words" else [])
        frames = read_frames(videos.folder / "full" / f"{name}.mp4")
        assert frames.shape == (len(made[name].masks), *info.size.shape, 3)

    repeated = tiny_lab.run()
    assert repeated["status"] == 0 and not [stage["name"] for stage in repeated["stages"] if stage["computed"]]
