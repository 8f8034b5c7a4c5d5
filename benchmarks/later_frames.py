"""Options for the frames after frame 1: `python -m benchmarks later_frames` measures, with `--table` it prints.

One cell is a setting and a held-out clip, with the clips and the protocol of `benchmarks.sampling`: frame 1 is the
clip's, DPM++ in 10 steps. The clip's own camera path is used, as the pipeline would know it of training clips. Still
and panning clips are listed apart.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.mask_term import FRAMES, render_test_clips
from benchmarks.measurements import MeasurementLog
from benchmarks.sampling import SAMPLER, TRUE_CLIPS
from benchmarks.workers import add_cell_options, load_pack_once, measure_missing, use_one_thread

DEFAULT = "default"
_CONTROL: dict[str, Any] = {"control_frames": "every"}
_NOISE: dict[str, Any] = {"noise_prior": "mixed", "noise_follow": True}
_DRAFT: dict[str, Any] = {"draft_strength": 1.0}
_PLATE: dict[str, Any] = {"background": "auto"}
_FINISH: dict[str, Any] = {"background_paste": True, "color_fix": "lowpass"}
SETTINGS: dict[str, dict[str, Any]] = {
    DEFAULT: {},
    "mixed noise": {"noise_prior": "mixed"},
    "mixed noise that follows the masks": _NOISE,
    "ControlNet on every frame": _CONTROL,
    "ControlNet on every frame, all branches": {**_CONTROL, "control_branches": "all"},
    "ControlNet on every frame, scale 0.6": {**_CONTROL, "controlnet_conditioning_scale": 0.6},
    "background: first": {"background": "first"},
    "background plate": _PLATE,
    "draft": _DRAFT,
    "guidance rescale 0.7": {"guidance_rescale": 0.7},
    "colour fix": {"color_fix": "lowpass"},
    "A: ControlNet, following noise": {**_CONTROL, **_NOISE},
    "B: A with plate": {**_CONTROL, **_NOISE, **_PLATE},
    "C: B with draft": {**_CONTROL, **_NOISE, **_PLATE, **_DRAFT},
    "D: A with draft": {**_CONTROL, **_NOISE, **_DRAFT},
    "C with colour fix and paste": {**_CONTROL, **_NOISE, **_PLATE, **_DRAFT, **_FINISH},
}
COLUMNS = {
    "iou": "IoU",
    "motion_cosine": "motion cosine",
    "motion": "motion",
    "flicker": "flicker",
    "colour_drift": "drift",
    "colour_frame_2": "colour, frame 2",
    "object_error": "object error",
    "object_change": "object change",
    "background_sharpness": "background sharpness",
    "object_sharpness": "object sharpness",
    "consistency": "consistency",
    "seconds": "seconds",
}
"""Metric -> heading. Colour distances compare decoded frames with decoded frames. Object error is the CIELAB distance
to the true clip inside the masks; object change that to frame 1's object, deformed to fit the mask. Sharpness is the
mean magnitude of the Laplacian, as a share of the true clip's."""


def measure_cell(pack: str, adapter: str | None, setting: str, number: int, count: int) -> dict[str, float]:
    """Every figure of one video. adapter: a folder, or None for the pack's start adapter."""
    import torch

    from mvmodel.backends.generation_config import GenerationConfig
    from mvmodel.backends.image_unet.long_video import pipeline_options
    from mvmodel.foundation.few_shot_quality import reconstruct_frames
    from mvmodel.metrics.judge import judge_video
    from mvmodel.video.tensors import to_uint8

    models, clip = load_pack_once(pack), _clips(count)[number]
    camera, seconds = _camera_path(count, number), float("nan")
    if setting == TRUE_CLIPS:
        frames = reconstruct_frames(models, clip.frames)
    else:
        config = GenerationConfig(**SAMPLER, **SETTINGS[setting]).for_pack(models.info)
        pipeline = _pipeline(pack, adapter)
        options = {**pipeline_options(config), "generator": torch.Generator().manual_seed(number), "camera": camera}
        start = time.perf_counter()
        video = pipeline(clip.caption, clip.masks, clip.frames[0], **options).frames[0]
        seconds = time.perf_counter() - start
        frames = to_uint8(video)
    words = list(clip.objects)
    judgement = judge_video(frames, clip.masks, clip.caption, models.scorer(), models.segmenter(), words)
    figures = compare_appearance(frames, clip.frames, clip.masks)
    return {**judgement.metrics, **figures, "seconds": seconds, "pans": float(bool(np.abs(camera).max() >= 1))}


def compare_appearance(frames: np.ndarray, true_frames: np.ndarray, masks: np.ndarray) -> dict[str, float]:
    """Colours and sharpness of a video beside those of the true clip.

    frames, true_frames: uint8 (F, H, W, 3). masks: bool (F, H, W).
    """
    from mvmodel.backends.image_unet.draft import draw_drafts
    from mvmodel.metrics.appearance import colour_distances, to_lab

    later = masks[1:]
    error = np.linalg.norm(to_lab(frames[1:]) - to_lab(true_frames[1:]), axis=-1)
    drafts, coverage = draw_drafts(frames[0], [masks[0]], [later])
    change = np.linalg.norm(to_lab(frames[1:]) - to_lab(drafts), axis=-1)
    sharpness, true_sharpness = (_laplacian(video[1:]) for video in (frames, true_frames))
    return {
        "colour_frame_2": float(colour_distances(frames[:2], masks[:2])[0]),
        "object_error": float(error[later].mean()),
        "object_change": float(change[coverage].mean()) if coverage.any() else float("nan"),
        "object_sharpness": float(sharpness[later].mean() / true_sharpness[later].mean()),
        "background_sharpness": float(sharpness[~later].mean() / true_sharpness[~later].mean()),
    }


def _laplacian(frames: np.ndarray) -> np.ndarray:
    """Magnitude of the Laplacian of the brightness, float32 (F, H, W)."""
    import cv2

    grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in frames]
    return np.stack([np.abs(cv2.Laplacian(picture, cv2.CV_32F)) for picture in grey])


@cache
def _clips(count: int) -> list[Any]:
    return [clip for _, clip in render_test_clips(count)]


@cache
def _camera_path(count: int, number: int) -> np.ndarray:
    """The clip's camera path in pixels to the right and down, (F, 2), as it is estimated from footage."""
    from mvmodel.motion.trajectory import estimate_camera_trajectory

    clip = _clips(count)[number]
    height, width = clip.masks.shape[1:]
    return estimate_camera_trajectory(clip.frames) * (width, -height)


@cache
def _pipeline(pack: str, adapter: str | None) -> Any:
    """The adapter's pipeline with the ControlNet, warm: the first call claims memory and builds kernels."""
    from mvmodel.backends.generation_config import GenerationConfig
    from mvmodel.backends.image_unet.build import build_pipeline
    from mvmodel.backends.image_unet.long_video import pipeline_options

    models, clip = load_pack_once(pack), _clips(1)[0]
    config = GenerationConfig(**_CONTROL, scheduler=SAMPLER["scheduler"])
    built = build_pipeline(models, models.start_adapter() if adapter is None else Path(adapter), config)
    built(clip.caption, clip.masks, clip.frames[0], **pipeline_options(config.model_copy(update={"steps": 2})))
    return built


def format_table(rows_by_setting: dict[str, list[dict[str, float]]], differences: bool = False) -> str:
    """Markdown, a setting a line: means over clips; with `differences`, the paired difference to the default instead.

    rows_by_setting: setting -> figures by clip; a setting without figures is left out.
    """
    from mvmodel.metrics.report_card import bootstrap_interval

    out = ["| " + " | ".join(["setting", "videos", *COLUMNS.values()]) + " |"]
    out.append("|---" * (2 + len(COLUMNS)) + "|")
    for name, rows in rows_by_setting.items():
        line = [name, str(len(rows))]
        for metric in COLUMNS:
            values = np.array([row.get(metric, np.nan) for row in rows], float)
            if differences:
                defaults = {row["clip"]: row.get(metric, np.nan) for row in rows_by_setting.get(DEFAULT, ())}
                values = values - np.array([defaults.get(row["clip"], np.nan) for row in rows], float)
            values = values[np.isfinite(values)]
            if not len(values):
                line.append("")
                continue
            low, high = bootstrap_interval(values)
            text = f"{values.mean():+.3f} ({low:+.3f} to {high:+.3f})" if differences else f"{values.mean():.3f}"
            line.append(text)
        if rows and not (differences and name in (DEFAULT, TRUE_CLIPS)):
            out.append("| " + " | ".join(line) + " |")
    return "\n".join(out)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks later_frames", description=__doc__)
    add_cell_options(parser, "later_frames.jsonl")
    parser.add_argument("--clips", type=int, default=24)
    parser.add_argument("--adapter", help="folder of an adapter; the pack's start adapter by default")
    parser.add_argument("--only", nargs="+", help="settings whose names contain one of these")
    options = parser.parse_args(arguments)
    use_one_thread()
    from mvmodel.files import hash_file
    from mvmodel.model.saving import WEIGHTS

    adapter = "start" if options.adapter is None else hash_file(Path(options.adapter) / WEIGHTS)
    recipe = {"pack": load_pack_once(options.pack).hash, "adapter": adapter, "frames": FRAMES, "settings": SETTINGS}
    log = MeasurementLog(options.out, recipe)
    names = [n for n in (TRUE_CLIPS, *SETTINGS) if not options.only or any(part in n for part in options.only)]
    if not options.table:
        pairs = [(name, clip) for clip in range(options.clips) for name in names]
        cells = {f"{name}/{n}": (options.pack, options.adapter, name, n, options.clips) for name, n in pairs}
        measure_missing(log, measure_cell, cells, options.workers)
    print_tables(log.rows(), names)


def print_tables(rows: dict[str, dict[str, float]], names: Sequence[str]) -> None:
    """Print the tables of still and of panning clips, with their paired differences to the default."""
    for pans, heading in ((0.0, "Still camera"), (1.0, "Panning camera")):
        by_setting: dict[str, list[dict[str, float]]] = {name: [] for name in names}
        for key, row in rows.items():
            name, clip = key.rsplit("/", 1)
            if name in by_setting and row["pans"] == pans:
                by_setting[name].append({**row, "clip": float(clip)})
        if any(by_setting.values()):
            print(f"{heading}\n\n{format_table(by_setting)}\n\n{format_table(by_setting, differences=True)}\n")


if __name__ == "__main__":
    main()
