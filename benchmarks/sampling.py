"""Ways of sharing frame 1's noise, and schedulers: `python -m benchmarks.sampling` measures, with `--table` it prints.

One cell is a setting and a held-out clip: a video by the pack's start adapter, from the clip's own first frame, scored
by every metric against the clip's masks. Cells are kept one by one; a stopped run goes on where it was. Seconds are of
one thread, the first call of a process left out.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np

from benchmarks.mask_term import FRAMES, render_test_clips
from benchmarks.measurements import MeasurementLog
from benchmarks.workers import add_cell_options, load_pack_once, measure_missing, use_one_thread

ALPHAS = (0.1, 0.2, 0.4)
SAMPLER: dict[str, Any] = {"scheduler": "dpm++", "steps": 10}
"""What the ways of sharing are sampled by."""
SHARING = {"no sharing": {"alpha": 0.0, **SAMPLER}} | {
    f"{mode.replace('_', '-')}, alpha {alpha}": {"noise_sharing": mode, "alpha": alpha, **SAMPLER}
    for mode in ("paper", "noise", "variance_preserving")
    for alpha in ALPHAS
}
SCHEDULERS = {
    "ddim at 50 (the paper's)": {"scheduler": "ddim", "steps": 50},
    "ddim at 20": {"scheduler": "ddim", "steps": 20},
    "dpm++ at 20": {"scheduler": "dpm++", "steps": 20},
    "unipc at 20": {"scheduler": "unipc", "steps": 20},
    "dpm++ at 10": SAMPLER,
    "dpm++ at 6": {"scheduler": "dpm++", "steps": 6},
}
SETTINGS: dict[str, dict[str, Any]] = {**SHARING, **SCHEDULERS}
TRUE_CLIPS = "true clips"
"""The clips themselves through the autoencoder: what a perfect video would get."""
COLUMNS = {
    "iou": "IoU",
    "consistency": "consistency",
    "colour_drift": "colour drift",
    "motion": "motion",
    "flicker": "flicker",
    "seconds": "seconds",
}
GAPS = ("iou", "colour_drift", "motion")
DEFAULTS = {"sharing": "paper, alpha 0.2", "scheduler": "dpm++ at 10"}
"""What each group's settings are compared with; both are one setting, the default configuration."""


def measure_cell(pack: str, setting: str, number: int, count: int) -> dict[str, float]:
    """Every figure of one video."""
    import torch

    from mvmodel.backends.generation_config import GenerationConfig
    from mvmodel.backends.image_unet.long_video import pipeline_options
    from mvmodel.foundation.few_shot_quality import reconstruct_frames
    from mvmodel.metrics.judge import judge_video
    from mvmodel.video.tensors import to_uint8

    models, clip = load_pack_once(pack), _clips(count)[number]
    seconds = float("nan")
    if setting == TRUE_CLIPS:
        frames = reconstruct_frames(models, clip.frames)
    else:
        config = GenerationConfig(**SETTINGS[setting])
        pipeline = _pipeline(pack, config.scheduler)
        options = {**pipeline_options(config), "generator": torch.Generator().manual_seed(number)}
        began = time.perf_counter()
        video = pipeline(clip.caption, clip.masks, clip.frames[0], **options).frames[0]
        seconds = time.perf_counter() - began
        frames = to_uint8(video)
    words = list(clip.objects)
    judgement = judge_video(frames, clip.masks, clip.caption, models.scorer(), models.segmenter(), words)
    return {**judgement.metrics, "seconds": seconds}


@cache
def _clips(count: int) -> list[Any]:
    return [clip for _, clip in render_test_clips(count)]


@cache
def _pipeline(pack: str, scheduler: str) -> Any:
    """The start adapter's pipeline, warm: the first call claims memory and builds kernels."""
    from mvmodel.backends.generation_config import GenerationConfig
    from mvmodel.backends.image_unet.build import build_pipeline
    from mvmodel.backends.image_unet.long_video import pipeline_options

    models, clip = load_pack_once(pack), _clips(1)[0]
    config = GenerationConfig(scheduler=scheduler)
    built = build_pipeline(models, models.start_adapter(), config)
    built(clip.caption, clip.masks, clip.frames[0], **pipeline_options(config.model_copy(update={"steps": 2})))
    return built


def format_table(rows_by_setting: dict[str, list[dict[str, float] | None]], names: Sequence[str], default: str) -> str:
    """Markdown, a setting a line: mean and 95 % interval over clips, and gaps to `default`, clip by clip.

    found: setting -> figures by clip, None where a cell is lacking.
    """
    from mvmodel.metrics.report_card import bootstrap_interval

    gaps = [f"{COLUMNS[metric]} against the default" for metric in GAPS]
    out = ["| " + " | ".join(["setting", "videos", *COLUMNS.values(), *gaps]) + " |"]
    out.append("|---" * (2 + len(COLUMNS) + len(GAPS)) + "|")
    for name in names:
        rows = [row for row in rows_by_setting.get(name, ()) if row is not None]
        if not rows:
            continue
        line = [name, str(len(rows))]
        for metric in COLUMNS:
            values = np.array([row.get(metric, np.nan) for row in rows], float)
            values = values[np.isfinite(values)]
            low, high = bootstrap_interval(values)
            line.append(f"{values.mean():.3f} ({low:.3f}–{high:.3f})" if len(values) else "")
        for metric in GAPS:
            pairs = zip(rows_by_setting[name], rows_by_setting.get(default, ()), strict=False)
            gap = np.array([row[metric] - its[metric] for row, its in pairs if row and its])
            low, high = bootstrap_interval(gap)
            has_gap = len(gap) and name not in (default, TRUE_CLIPS)
            line.append(f"{gap.mean():+.3f} ({low:+.3f} to {high:+.3f})" if has_gap else "")
        out.append("| " + " | ".join(line) + " |")
    return "\n".join(out)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks sampling", description=__doc__)
    add_cell_options(parser, "sampling.jsonl")
    parser.add_argument("--clips", type=int, default=24)
    parser.add_argument("--only", nargs="+", help="settings whose names contain one of these")
    options = parser.parse_args(arguments)
    use_one_thread()
    log = MeasurementLog(
        options.out, {"pack": load_pack_once(options.pack).hash, "frames": FRAMES, "defaults": _defaults()}
    )
    if not options.table:
        names = [n for n in (TRUE_CLIPS, *SETTINGS) if not options.only or any(part in n for part in options.only)]
        # clip by clip, so that what a stopped run leaves compares all settings on the same clips
        pairs = [(name, clip) for clip in range(options.clips) for name in names]
        cells = {f"{name}/{clip}": (options.pack, name, clip, options.clips) for name, clip in pairs}
        measure_missing(log, measure_cell, cells, options.workers)
    rows = log.rows()
    rows_by_setting = {
        name: [rows.get(f"{name}/{clip}") for clip in range(options.clips)] for name in (TRUE_CLIPS, *SETTINGS)
    }
    print(format_table(rows_by_setting, [TRUE_CLIPS, *SHARING], DEFAULTS["sharing"]))
    print()
    print(format_table(rows_by_setting, [TRUE_CLIPS, *SCHEDULERS], DEFAULTS["scheduler"]))


def _defaults() -> dict[str, Any]:
    """What the settings leave as it is, for the recipe: other defaults make other videos."""
    from mvmodel.backends.generation_config import GenerationConfig

    return GenerationConfig().model_dump(mode="json", exclude={"noise_sharing", "alpha", "scheduler", "steps"})


if __name__ == "__main__":
    main()
