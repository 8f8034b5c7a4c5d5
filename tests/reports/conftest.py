"""A report's inputs, made from rendered clips: three conditions of two requests."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from mvmodel.reports.entries import VideoEntry
from mvmodel.world.render import HELD_OUT, random_clip

IOU = {"full": (0.8, 0.7), "no_mask": (0.2, 0.1), "scratch": (0.5, 0.6)}


def entries(motion: str = "gallop", with_detections: bool = True) -> list[VideoEntry]:
    out = []
    for number, (word, background) in enumerate((("horse", "meadow"), ("car", "snow"))):
        clip = random_clip((HELD_OUT, 50 + number, 1), 6, motion=motion, objects=(word,), background=background, pan=0)
        for name, values in IOU.items():
            metrics = {"iou": values[number], "consistency": 0.9, "alignment": 0.3 + 0.1 * number, "motion": 3.0}
            detected = np.roll(clip.masks, 4, axis=2) if with_detections else None
            out.append(
                VideoEntry(
                    f"r{number}", clip.caption, name, clip.frames, clip.masks, 8.0, metrics, detected, seed=number
                )
            )
    return out


def table(videos: list[VideoEntry]) -> pd.DataFrame:
    return pd.DataFrame(
        [{"condition": v.condition, "name": v.name, "prompt": v.prompt, "seed": v.seed, **v.metrics} for v in videos]
    )


@pytest.fixture
def videos() -> list[VideoEntry]:
    return entries()


@pytest.fixture
def rows(videos) -> pd.DataFrame:
    return table(videos)


@pytest.fixture
def provenance() -> dict[str, object]:
    return {"pack": "tiny", "scorer": "tiny-clip", "adapter": {"version": "a1b2c3", "seed": 7}, "prompts": ["p", "q"]}


@pytest.fixture
def training() -> dict[str, object]:
    curve = [{"step": step, "loss": 1 / (step + 1), "validation": 0.5 if step == 10 else None} for step in range(20)]
    clips = ["clip-1", {"clip": "clip-2", "caption": "a <b>cow</b> gallops"}]
    return {"clips": clips, "curve": curve, "steps": 20, "seconds": 12.4, "init_from": "start"}
