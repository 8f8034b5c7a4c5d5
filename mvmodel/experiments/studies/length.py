"""Long videos: what adds up, window by window, over 24 to 200 frames."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
from matplotlib.figure import Figure

from mvmodel.experiments import plots
from mvmodel.experiments.bench import MOTION_ADAPTER, Bench
from mvmodel.experiments.cells import Cell, Task
from mvmodel.experiments.compare import compute_difference, fit_slope, select_rows
from mvmodel.experiments.config import LengthConfig
from mvmodel.experiments.experiment import Claim, Conclusion, Experiment, Tables
from mvmodel.masks import MaskSequence
from mvmodel.masks.edit import cut, loop

TRACKED_METRICS = {
    "iou": "IoU",
    "alignment": "alignment",
    "to_first": "cosine with frame 1",
    "colour_drift": "colour drift",
}
"""Per-frame metrics that the conclusion follows, and their names in it."""
LOSS_THRESHOLDS = {"iou": -0.1, "alignment": -0.05, "to_first": -0.05}
"""Change from the first to the last quarter from which a metric counts as lost."""


MIN_TREND_FRAMES = 40
"""Frames from which a trend over the frames is worth a number."""


class Length(Experiment[LengthConfig]):
    name = "long_video_drift"
    title = "Long videos"
    question = "What do errors add up to when a video is extended window by window?"
    factors = ("anchor", "length")
    headline = ("iou", "consistency_first", "consistency", "motion", "alignment", "colour_drift")
    config = LengthConfig

    def cells(self, bench: Bench, config: LengthConfig) -> list[Cell]:
        return [
            Cell(
                {"anchor": anchor, "length": length},
                extend_task(task, length),
                MOTION_ADAPTER,
                bench.generation_config(config, anchor=anchor),
            )
            for anchor in config.anchors
            for length in config.lengths
            for task in bench.tasks(config)
        ]

    def plots(self, tables: Tables) -> dict[str, Figure]:
        by = "anchor" if tables.frames["anchor"].nunique() > 1 else "length"
        frames = tables.frames
        if by == "anchor":
            frames = select_rows(frames, {"length": frames["length"].max()})
        return {
            "along_the_frames": plots.plot_curves(frames, "frame", list(TRACKED_METRICS), by, markers=False),
            "by_length": plots.plot_curves(tables.videos, "length", list(self.headline), "anchor", "frames"),
        }

    def conclude(self, tables: Tables, config: LengthConfig) -> Conclusion:
        sentences, claims = [], []
        longest = max(config.lengths)
        for anchor in config.anchors:
            frames = select_rows(tables.frames, {"anchor": anchor, "length": longest})
            parts, lost = [], []
            for metric, name in TRACKED_METRICS.items():
                gap = compute_difference(
                    compute_quarter_means(frames, metric), {"part": "last"}, {"part": "first"}, metric
                )
                per_hundred = 100 * fit_slope(list(frames["frame"]), list(frames[metric]))
                trend = f", {per_hundred:+z.3f} a hundred frames" if longest >= MIN_TREND_FRAMES else ""
                parts.append(f"{name} by {gap}{trend}")
                if gap.pairs and metric in LOSS_THRESHOLDS and gap.mean < LOSS_THRESHOLDS[metric]:
                    lost.append(name)
            where = "frame 1 of the video" if anchor == "video" else "each window's own first frame"
            sentences.append(
                f"Over {longest} frames with windows anchored to {where}, from the first quarter of the frames to the "
                f"last the metrics change: {'; '.join(parts)}."
            )
            claims.append(
                Claim(
                    f"no metric is lost over {longest} frames, anchored to {where}"
                    + (f" (lost: {', '.join(lost)})" if lost else ""),
                    not lost if len(frames) else None,
                )
            )
        return Conclusion(sentences, claims)


def extend_task(task: Task, frames: int) -> Task:
    """The request with its masks played there and back for so many frames."""
    times = -(-frames // max(1, len(task.masks) - 1)) + 1
    sequence = cut(loop(MaskSequence(task.masks, task.fps), times, there_and_back=True), 0, frames)
    return replace(task, masks=sequence.masks)


def compute_quarter_means(frames: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Means of a metric over the first and last quarter of each video, but for frame 1, which is given."""
    later_frames = frames[frames["frame"] > 1]
    last = int(later_frames["frame"].max()) if len(later_frames) else 0
    keys = ["slug", "name", "seed"]
    parts = {
        "first": later_frames[later_frames["frame"] <= 1 + last // 4],
        "last": later_frames[later_frames["frame"] > last - last // 4],
    }
    return pd.concat(
        [part.groupby(keys)[metric].mean().reset_index().assign(part=name) for name, part in parts.items()]
    )
