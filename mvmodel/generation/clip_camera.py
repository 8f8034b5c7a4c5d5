"""The camera of a video: the masks' own, or how the camera of the adapter's training clips moves."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from mvmodel.backends.generation_config import GenerationConfig
from mvmodel.errors import InputError
from mvmodel.masks import MaskSequence

MIN_TRAVEL = 0.05
"""A camera that travels less over a clip, as a share of the frame's width or height, counts as standing still."""


def fill_camera(config: GenerationConfig, sequence: MaskSequence, adapter: Path | None) -> GenerationConfig:
    """The settings with the video's camera, if `config` gives none: the masks', else the clips' with `camera_source`.

    adapter: Its folder. Raises InputError as `read_clip_camera` does.
    """
    if config.camera is not None:
        return config
    camera = sequence.camera
    if camera is None and config.camera_source == "clips" and adapter is not None:
        camera = read_clip_camera(adapter, sequence.frames)
    return config if camera is None else config.model_copy(update={"camera": camera})


def read_clip_camera(adapter: Path, frames: int) -> tuple[float, float] | None:
    """How far the camera travels over `frames` frames at the median speed of the adapter's training clips.

    In frame widths to the right and frame heights down. None if most of the clips' cameras stand still, if they pan in
    different directions, or if the adapter was not tuned on clips, as start adapters are not. Raises InputError for an
    adapter that was trained before cameras were recorded.
    """
    record = Path(adapter) / "train.json"
    if not record.exists():
        return None
    clips = json.loads(record.read_text())["clips"]
    if any("camera" not in clip for clip in clips):
        raise InputError(f"{record} does not say how the clips' cameras move; train the adapter again, or set camera")
    travels = np.array([clip["camera"] for clip in clips], float)
    if (
        np.mean(np.abs(travels).max(axis=1) >= MIN_TRAVEL) <= 0.5
        or np.abs(np.median(travels, axis=0)).max() < MIN_TRAVEL
    ):
        return None
    steps = np.array([max(1, clip["frames"] - 1) for clip in clips])[:, None]
    x, y = (np.median(travels / steps, axis=0) * (frames - 1)).tolist()
    return x, y
