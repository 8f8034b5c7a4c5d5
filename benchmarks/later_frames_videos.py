"""The videos of `benchmarks.later_frames`: test clips, adapters, generation in batches, and their figures."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.later_frames_settings import CONTROL, CUT_OUT, REFERENCES, SETTINGS
from benchmarks.mask_term import FRAMES, render_test_clips, tune_variant
from benchmarks.mask_term_variants import Variant
from benchmarks.sampling import SAMPLER
from benchmarks.workers import load_pack_once

if TYPE_CHECKING:
    from mvmodel.packs import Pack

START, NOTHING, NO_ADAPTER = "start", "nothing", "-"
"""Adapters: the pack's start adapter; one that is tuned from nothing on six gallops; none, for reference rows."""
SALTS, DEVELOPMENT_SALTS = (71, 73), (171, 173)
"""Salts of the clips of rigid and of articulated objects. Settings are chosen on other clips than they are reported
on."""
RIGID, ARTICULATED = "rigid", "articulated"
INDEPENDENT_FRAMES = 3
"""Frames of a video that the independent judge looks at."""
MIN_PAN = 1.0
"""Pixels that a camera travels at least to count as panning."""


@cache
def load_clips(kind: str, count: int, development: bool) -> list[Any]:
    """Held-out clips: of rigid objects, some with a panning camera, or of articulated ones."""
    from mvmodel.world.articulation import render_articulated_clips

    rigid, articulated = DEVELOPMENT_SALTS if development else SALTS
    if kind == RIGID:
        return [clip for _, clip in render_test_clips(count, rigid)]
    return render_articulated_clips(count, articulated, frames=FRAMES)


def read_camera(kind: str, count: int, development: bool, number: int) -> np.ndarray:
    """A clip's camera path in pixels to the right and down, (F, 2), as masks that are made with a pan know it."""
    clip = load_clips(kind, count, development)[number]
    frames, height, width = clip.masks.shape
    path = np.round(np.linspace(0, 1, frames)[:, None] * np.array(clip.camera) * (width, height))  # rendered so
    return path if np.abs(path).max() >= MIN_PAN else np.zeros_like(path)


@cache
def estimate_camera(kind: str, count: int, development: bool, number: int) -> np.ndarray:
    """A clip's camera path in pixels to the right and down, (F, 2), as it is estimated from footage."""
    from mvmodel.motion.trajectory import estimate_camera_trajectory

    clip = load_clips(kind, count, development)[number]
    height, width = clip.masks.shape[1:]
    path = estimate_camera_trajectory(clip.frames) * (width, -height)
    return path if np.abs(path).max() >= MIN_PAN else np.zeros_like(path)


def tune_from_nothing(pack: str, work: Path, device: str) -> Path:
    """The adapter that is tuned without a start adapter; an earlier run's is found in `work`."""
    return tune_variant(load_pack_once(pack, device), Variant({"init_from": None}), 0, work)


def generate_videos(
    pack: str,
    adapter: Path | None,
    setting: str,
    kind: str,
    numbers: Sequence[int],
    count: int,
    development: bool,
    device: str,
) -> list[tuple[np.ndarray, float, bool]]:
    """(frames uint8 (F, H, W, 3), seconds, whether the camera pans) of clips whose cameras move alike.

    adapter: its folder, or None for the reference rows. Noise is drawn on the CPU, so that a device changes nothing
    but rounding. Seconds are of one video on a CPU, and not a number elsewhere.
    """
    import torch

    from mvmodel.backends.generation_config import GenerationConfig
    from mvmodel.backends.image_unet.long_video import pipeline_options
    from mvmodel.foundation.few_shot_quality import reconstruct_frames
    from mvmodel.video.tensors import to_uint8

    models = load_pack_once(pack, device)
    clips = [load_clips(kind, count, development)[number] for number in numbers]
    camera = read_camera(kind, count, development, numbers[0])
    pans = bool(camera.any())
    if SETTINGS.get(setting, {}).get("camera_source") == "clips":
        camera = estimate_camera(kind, count, development, numbers[0])
    if setting in REFERENCES:
        make = draw_cut_out if setting == CUT_OUT else lambda clip: reconstruct_frames(models, clip.frames)
        return [(make(clip), float("nan"), pans) for clip in clips]
    config = GenerationConfig(**SAMPLER, **SETTINGS[setting]).for_pack(models.info)
    pipeline = _load_pipeline(pack, adapter, device)
    generators = [torch.Generator().manual_seed(number) for number in numbers]
    known_camera = {} if "camera" in SETTINGS[setting] else {"camera": camera}
    options = {**pipeline_options(config), **known_camera, "decode_chunk_size": 8 if device == "cpu" else 64}
    start = time.perf_counter()
    videos = pipeline(
        [clip.caption for clip in clips],
        np.stack([clip.masks for clip in clips]),
        np.stack([clip.frames[0] for clip in clips]),
        generator=generators,
        **options,
    ).frames
    seconds = time.perf_counter() - start if device == "cpu" else float("nan")
    return [(to_uint8(video), seconds / len(clips), pans) for video in videos]


@cache
def _load_pipeline(pack: str, adapter: Path | None, device: str) -> Any:
    """The adapter's pipeline with the ControlNet, warm: the first call claims memory and builds kernels."""
    from mvmodel.backends.generation_config import GenerationConfig
    from mvmodel.backends.image_unet.build import build_pipeline
    from mvmodel.backends.image_unet.long_video import pipeline_options

    models, clip = load_pack_once(pack, device), load_clips(RIGID, 1, False)[0]
    config = GenerationConfig(**CONTROL, scheduler=SAMPLER["scheduler"])
    built = build_pipeline(models, adapter, config)
    built(clip.caption, clip.masks, clip.frames[0], **pipeline_options(config.model_copy(update={"steps": 2})))
    return built


def draw_cut_out(clip: Any) -> np.ndarray:
    """Frame 1's object at the later masks in front of frame 1 without it, uint8 (F, H, W, 3)."""
    from mvmodel.backends.image_unet.draft import draw_drafts

    drafts, _ = draw_drafts(clip.frames[0], [clip.masks[0]], [clip.masks[1:]])
    return np.concatenate([clip.frames[:1], drafts])


def judge_frames(
    pack: Pack,
    frames: np.ndarray,
    true_frames: np.ndarray,
    masks: np.ndarray,
    prompt: str,
    words: Sequence[str],
) -> dict[str, float]:
    """Every figure of one video, by both judges.

    frames, true_frames: uint8 (F, H, W, 3). masks: bool (F, H, W). words: the objects that the pack's judge looks for.
    """
    from mvmodel.metrics.adherence import detect
    from mvmodel.metrics.config import JudgeConfig
    from mvmodel.metrics.judge import judge_video

    scorer, config = pack.scorer(), JudgeConfig(independent_frames=INDEPENDENT_FRAMES)
    detections = detect(frames, pack.segmenter(), scorer, list(words), config=config)
    judgement = judge_video(  # without the segmenter, which would also be prompted with every mask
        frames,
        masks,
        prompt,
        scorer,
        detections=detections,
        independent=pack.independent_segmenter(),
        config=config,
    )
    return {**judgement.metrics, **compare_appearance(frames, true_frames, masks)}


def compare_appearance(frames: np.ndarray, true_frames: np.ndarray, masks: np.ndarray) -> dict[str, float]:
    """Colours and sharpness of a video beside those of the true clip.

    frames, true_frames: uint8 (F, H, W, 3). masks: bool (F, H, W).
    """
    from mvmodel.metrics.appearance import colour_drift_frame_2, identity, to_lab

    later = masks[1:]
    error = np.linalg.norm(to_lab(frames[1:]) - to_lab(true_frames[1:]), axis=-1)
    sharpness, true_sharpness = (_laplacian(video[1:]) for video in (frames, true_frames))
    return {
        "colour_frame_2": colour_drift_frame_2(frames, masks),
        "object_error": float(error[later].mean()),
        "object_change": identity(frames, masks),
        "object_sharpness": float(sharpness[later].mean() / true_sharpness[later].mean()),
        "background_sharpness": float(sharpness[~later].mean() / true_sharpness[~later].mean()),
    }


def _laplacian(frames: np.ndarray) -> np.ndarray:
    """Magnitude of the Laplacian of the brightness, float32 (F, H, W)."""
    import cv2

    grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames]
    return np.stack([np.abs(cv2.Laplacian(picture, cv2.CV_32F)) for picture in grey])
