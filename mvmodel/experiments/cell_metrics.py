"""The metrics of one cell's video, of the whole and of every frame."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import numpy as np

from mvmodel.experiments.cells import Cell
from mvmodel.files import write_json
from mvmodel.masks import MaskSequence
from mvmodel.metrics.adherence import iou
from mvmodel.metrics.judge import compute_frame_metrics, judge_with_pack
from mvmodel.packs import Pack


def write_cell_metrics(cell: Cell, frames: np.ndarray, pack: Pack, folder: Path) -> None:
    """Judge the cell's video and write metrics.json, per_frame.npz and detections.npz into `folder`.

    frames: uint8 (frames, height, width, 3).
    """
    task, scorer = cell.task, pack.scorer()
    judgement = judge_with_pack(pack, frames, task.masks, task.prompt, task.words)
    assert judgement.detections is not None  # a pack has a segmenter and a scorer
    foreground = judgement.detections.foreground
    per_frame = compute_frame_metrics(frames, task.masks, task.prompt, scorer, judgement)
    per_frame |= {"iou_given": iou(foreground, cell.masks)}
    MaskSequence(foreground, task.fps).save(folder / "detections.npz")
    np.savez_compressed(folder / "per_frame.npz", **cast("Any", {**per_frame, "embeddings": judgement.embeddings}))
    write_json(folder / "metrics.json", {**judgement.metrics, "iou_given": float(per_frame["iou_given"].mean())})
