"""Judged videos read back from their folders, as reports take them."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd

from mvmodel.generation.request_table import read_requests
from mvmodel.masks import MaskSequence
from mvmodel.metrics.score import METRICS
from mvmodel.reports.entries import VideoEntry
from mvmodel.video.frames import read_frames


def read_video_entries(metrics: Path, videos: Path, requests: Path, prefix: str = "") -> list[VideoEntry]:
    """Every video of metrics.parquet, with its frames, masks and metrics, and the detections if there are some in every
    frame.

    Args:
        metrics: A folder with metrics.parquet and detections/CONDITION/NAME.npz.
        videos: A folder with CONDITION/NAME.npz.
        requests: A folder with requests.csv and the masks it names.
        prefix: Put in front of every name, to tell videos of several motions apart.
    """
    by_name = {request.name: request for request in read_requests(requests / "requests.csv")}
    entries = []
    for row in pd.read_parquet(metrics / "metrics.parquet").to_dict(orient="records"):
        name, condition = str(row["name"]), str(row["condition"])
        frames = read_frames(videos / condition / f"{name}.npz")
        sequence = MaskSequence.load(by_name[name].masks)
        detected = MaskSequence.load(metrics / "detections" / condition / f"{name}.npz").masks
        partial = math.isfinite(row.get("detection_frames", math.nan))
        values = {metric: float(row[metric]) for metric in METRICS if row.get(metric) is not None}
        entries.append(
            VideoEntry(
                name=f"{prefix}{name}",
                prompt=str(row["prompt"]),
                condition=condition,
                frames=frames,
                masks=sequence.masks[: len(frames)],
                fps=sequence.fps,
                metrics={metric: value for metric, value in values.items() if math.isfinite(value)},
                detected=None if partial else detected,
                seed=int(row["seed"]),
            )
        )
    return entries
