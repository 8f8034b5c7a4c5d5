"""What lowers the drift of long videos: `python -m benchmarks.drift` measures, with `--table` it prints.

One cell is a setting and a held-out clip: its masks are played there and back for `--frames` frames, and a video is
made of them window by window by the pack's start adapter, from the clip's own first frame. Every `--stride`-th frame is
judged. Since a window depends on earlier frames only, the first 24, 50 or 100 frames of a long video stand for videos
of those lengths. Cells are kept one by one; a stopped run goes on where it was.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Sequence
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from benchmarks.measurements import MeasurementLog
from benchmarks.workers import add_cell_options, load_pack_once, measure_missing, use_one_thread

if TYPE_CHECKING:
    from mvmodel.packs import Pack

CLIP_FRAMES = 12
LENGTHS = (24, 50, 100, 200)
DEFAULT = "the default"
SETTINGS: dict[str, dict[str, Any]] = {
    DEFAULT: {},
    "overlap 1": {"overlap": 1},
    "overlap 2": {"overlap": 2},
    "overlap 8": {"overlap": 8},
    "windows of 12": {"window": 12},
    "windows of 12, overlap 2": {"window": 12, "overlap": 2},
    "anchored to each window's first": {"anchor": "window"},
    "re-anchored every 4 windows": {"reanchor": 4},
    "context noise 0.05": {"context_noise": 0.05},
    "context noise 0.15": {"context_noise": 0.15},
    "background matched by half": {"match_background": 0.5},
    "background matched": {"match_background": 1.0},
    "no shared noise": {"alpha": 0.0},
    "shared noise 0.4": {"alpha": 0.4},
    "counting on through the video": {"positions": "video"},
}
TRUE_CLIPS = "true clips"
"""The clips themselves, there and back, through the autoencoder: what a video without drift would get."""
METRIC_LABELS = {
    "iou": "IoU",
    "to_first": "cosine with frame 1",
    "colour_drift": "colour drift",
    "sharpness": "sharpness",
}


def render_clips(count: int) -> list[Any]:
    """Held-out clips of one object before a camera that does not move."""
    from mvmodel.world.render import HELD_OUT, random_clip

    return [random_clip((HELD_OUT, n, 74), CLIP_FRAMES, pan=0.0, second_object=0) for n in range(count)]


def play_there_and_back(values: np.ndarray, frames: int) -> np.ndarray:
    """The first axis played forwards and backwards until it is `frames` long; the turning frames come once."""
    turn = np.concatenate([np.arange(len(values)), np.arange(len(values) - 2, 0, -1)])
    return np.asarray(values[np.resize(turn, frames)])


def measure_cell(pack: str, setting: str, change: dict[str, Any], number: int, frames: int, stride: int) -> Any:
    """Per-frame figures of one video, beginning with frame 2; "frame" counts from 1."""
    import tempfile

    from mvmodel.backends.generation_config import GenerationConfig
    from mvmodel.backends.image_unet.build import build_pipeline
    from mvmodel.backends.image_unet.long_video import generate_long_video, plan_windows
    from mvmodel.foundation.few_shot_quality import reconstruct_frames

    models, clip = load_pack_once(pack), render_clips(number + 1)[number]
    masks = play_there_and_back(clip.masks, frames)
    config = GenerationConfig(**change)
    began = time.perf_counter()
    if setting == TRUE_CLIPS:
        video = play_there_and_back(reconstruct_frames(models, clip.frames), frames)
    else:
        pipeline = build_pipeline(models, models.start_adapter(), config)
        with tempfile.TemporaryDirectory() as work_dir:
            video = np.array(
                generate_long_video(pipeline, clip.caption, masks, clip.frames[0], config, number, Path(work_dir))
            )
    seconds = float("nan") if setting == TRUE_CLIPS else (time.perf_counter() - began) / frames
    seams = [window.start for window in plan_windows(frames, config)[1:]]
    return {
        **measure_frames(models, video, masks, clip, stride),
        "seam": compute_seam_jump(video, masks, seams),
        "seconds_a_frame": seconds,
    }


def measure_frames(
    models: Pack, video: np.ndarray, masks: np.ndarray, clip: Any, stride: int
) -> dict[str, list[float]]:
    """ "frame" and `FIGURES` of every `stride`-th frame; sharpness is a share of frame 1's."""
    from mvmodel.metrics.appearance import colour_distances
    from mvmodel.metrics.judge import judge_iou

    indices = np.arange(1, len(video), stride)
    judges = models.scorer(), models.segmenter()
    indices_with_first = [0, *indices]
    embeddings = models.scorer().images(video[indices_with_first])
    return {
        "frame": [int(index) + 1 for index in indices],
        "iou": judge_iou(video[indices], masks[indices], *judges, list(clip.objects)).tolist(),
        "to_first": (embeddings[1:] @ embeddings[0]).tolist(),
        "colour_drift": colour_distances(video[indices_with_first], masks[indices_with_first]).tolist(),
        "sharpness": [_detail(video[index]) / _detail(video[0]) for index in indices],
    }


def _detail(frame: np.ndarray) -> float:
    """Mean magnitude of a frame's Laplacian, which falls as pictures blur."""
    import cv2

    grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
    return float(np.abs(cv2.Laplacian(grey, cv2.CV_32F)).mean())


def compute_seam_jump(video: np.ndarray, masks: np.ndarray, starts: Sequence[int]) -> float:
    """How much more the background changes into a window's first frame than elsewhere, as a ratio; NaN without one."""
    free = ~(masks[1:] | masks[:-1])
    change = np.abs(np.diff(video.astype(np.int16), axis=0)).mean(axis=-1)
    steps = np.array([c[f].mean() if f.any() else np.nan for c, f in zip(change, free, strict=True)])
    at = np.isin(np.arange(1, len(video)), starts)
    if not at.any() or at.all():
        return float("nan")
    return float(np.nanmean(steps[at]) / max(float(np.nanmean(steps[~at])), 1e-6))


def get_frame_spans(frames: int) -> list[tuple[int, int]]:
    """(after, up to) of the spans between 1 and the `LENGTHS` that a video of `frames` has, the last one cut."""
    ends = [length for length in LENGTHS if length < frames] + [frames]
    return list(zip([1, *ends[:-1]], ends, strict=True))


def format_table(cells_by_setting: dict[str, list[dict[str, Any]]], frames: int) -> str:
    """Markdown, a setting and figure a line: its mean by span of frames, and how much it changes from the first span to
    the last, with a 95 % interval over clips. found: setting -> cells."""
    from mvmodel.metrics.report_card import bootstrap_interval

    spans = get_frame_spans(frames)
    heads = " | ".join(f"frames {span_start + 1}–{end}" for span_start, end in spans)
    out = [f"| setting | figure | videos | {heads} | change |", "|---" * (4 + len(spans)) + "|"]
    for name, cells in cells_by_setting.items():
        for metric, label in METRIC_LABELS.items():
            rows = np.array([[_mean(one, metric, *span) for span in spans] for one in cells])  # (clips, spans)
            low, high = bootstrap_interval(rows[:, -1] - rows[:, 0])
            means = " | ".join(f"{value:.3f}" for value in rows.mean(axis=0))
            gap = rows[:, -1].mean() - rows[:, 0].mean()
            out.append(f"| {name} | {label} | {len(cells)} | {means} | {gap:+.3f} ({low:+.3f} to {high:+.3f}) |")
    out += ["", *_beside_the_default(cells_by_setting)]
    out += ["", "| setting | jump at a window's first frame, times the usual | seconds a frame |", "|---|---|---|"]
    for name, cells in cells_by_setting.items():
        jump, seconds = (float(np.mean([one[key] for one in cells])) for key in ("seam", "seconds_a_frame"))
        out.append(f"| {name} | {jump:.2f} | {seconds:.2f} |")
    return "\n".join(out)


def _beside_the_default(cells_by_setting: dict[str, list[dict[str, Any]]]) -> list[str]:
    """Lines of a table of every figure over all frames less the default's on the same clips, with 95 % intervals."""
    from mvmodel.metrics.report_card import bootstrap_interval

    lines = [f"| setting | clips | {' | '.join(METRIC_LABELS.values())} |", "|---" * (2 + len(METRIC_LABELS)) + "|"]
    for name, cells in cells_by_setting.items():
        pairs = list(zip(cells, cells_by_setting.get(DEFAULT, []), strict=False))  # clips come in one order
        if not pairs or name in (DEFAULT, TRUE_CLIPS):
            continue
        gaps = [
            np.array([np.mean(values[metric]) - np.mean(base[metric]) for values, base in pairs])
            for metric in METRIC_LABELS
        ]
        texts = [
            f"{gap.mean():+.3f} ({low:+.3f} to {high:+.3f})" for gap in gaps for low, high in [bootstrap_interval(gap)]
        ]
        lines.append(f"| {name}, less the default | {len(pairs)} | {' | '.join(texts)} |")
    return lines


def _mean(one: dict[str, Any], metric: str, span_start: int, end: int) -> float:
    at = np.array(one["frame"])
    span_values = np.array(one[metric])[(at > span_start) & (at <= end)]
    return float(span_values.mean()) if len(span_values) else float("nan")


def plot_metrics(cells_by_setting: dict[str, list[dict[str, Any]]], out: Path) -> None:
    """Every figure against frame index, a line a setting, smoothed over up to 9 judged frames."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(len(METRIC_LABELS), 1, figsize=(9, 3 * len(METRIC_LABELS)), sharex=True)
    for axis, (metric, label) in zip(axes, METRIC_LABELS.items(), strict=True):
        for name, cells in cells_by_setting.items():
            values = np.mean([one[metric] for one in cells], axis=0)
            width = min(9, max(1, len(values) // 5))
            smooth = np.convolve(values, np.ones(width) / width, "valid")
            at = np.array(cells[0]["frame"])[width // 2 :][: len(smooth)]
            axis.plot(at, smooth, label=name, lw=2 if name in (DEFAULT, TRUE_CLIPS) else 1)
        axis.set_ylabel(label)
    axes[-1].set_xlabel("frame")
    axes[0].legend(fontsize=7, ncol=3)
    figure.tight_layout()
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, dpi=110)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks drift", description=__doc__)
    add_cell_options(parser, "drift.jsonl")
    parser.add_argument("--frames", type=int, default=200)
    parser.add_argument("--clips", type=int, default=4)
    parser.add_argument("--stride", type=int, default=4, help="judge every so many frames")
    parser.add_argument("--only", nargs="+", help="settings whose names contain one of these")
    parser.add_argument("--also", action="append", default=[], help='another setting, as "name={...}" in JSON')
    parser.add_argument("--plot", type=Path, help="draw what FILE holds")
    options = parser.parse_args(arguments)
    use_one_thread()
    recipe = {"frames": options.frames, "stride": options.stride, "pack": load_pack_once(options.pack).hash}
    log = MeasurementLog(options.out, recipe)
    extra_settings = {name: json.loads(text) for name, _, text in (one.partition("=") for one in options.also)}
    settings = {TRUE_CLIPS: {}, **SETTINGS, **extra_settings}
    names = [n for n in settings if not options.only or any(part in n for part in options.only)]
    keys = {name: [_key(name, settings[name], clip) for clip in range(options.clips)] for name in names}
    if not (options.table or options.plot):
        cells = {
            keys[name][clip]: (options.pack, name, settings[name], clip, options.frames, options.stride)
            for clip in range(options.clips)
            for name in names
        }
        measure_missing(log, measure_cell, cells, options.workers)
    rows = log.rows()
    cells_by_setting = {
        name: [rows[key] for key in takewhile(rows.__contains__, values)] for name, values in keys.items()
    }
    cells_by_setting = {name: cells for name, cells in cells_by_setting.items() if cells}
    print(format_table(cells_by_setting, options.frames))
    if options.plot:
        plot_metrics(cells_by_setting, options.plot)


def _key(name: str, change: dict[str, Any], clip: int) -> str:
    """What a cell depends on beside the recipe: the whole configuration, so that another default is measured anew."""
    from mvmodel.backends.generation_config import GenerationConfig
    from mvmodel.files import hash_value

    configuration = GenerationConfig(**change).model_dump(mode="json")
    return f"{'true' if name == TRUE_CLIPS else hash_value(configuration)[:12]}/{clip}"


if __name__ == "__main__":
    main()
