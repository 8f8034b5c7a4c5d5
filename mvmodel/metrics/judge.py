"""Every figure of one video, as a whole and frame by frame, for experiments and for other methods beside ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mvmodel.experiments.cells import Task

if TYPE_CHECKING:
    from mvmodel.packs import Pack


def judge(
    pack: Pack, frames: np.ndarray, task: Task, given: np.ndarray | None = None
) -> tuple[dict[str, float], dict[str, np.ndarray], np.ndarray]:
    """Every figure of a video that was made for `task`, its figures per frame, and where the object was found.

    frames: uint8 (frames, height, width, 3). given: the masks that the generator saw, when they are not the task's.
    Returns metric -> value; name -> float (frames,), and `embeddings`, (frames, size); bool (frames, height, width).
    """
    from mvmodel.metrics import adherence, score_video
    from mvmodel.metrics.appearance import colour_distances

    scorer, segmenter, wanted = pack.scorer(), pack.segmenter(), task.masks
    words = list(task.words)
    seen = adherence.detect(frames, segmenter, scorer, words)
    embeddings = scorer.images(frames)
    figures = score_video(frames, wanted, task.prompt, scorer, segmenter, words, seen, embeddings=embeddings)
    text = scorer.texts([task.prompt])[0]
    per_frame = {
        "iou": adherence.iou(seen.foreground, wanted),
        "iou_given": adherence.iou(seen.foreground, wanted if given is None else given),
        "alignment": embeddings @ text,
        "to_first": embeddings @ embeddings[0],
        "colour_drift": np.concatenate([[0.0], colour_distances(frames, wanted)]),
    }
    figures["iou_given"] = float(per_frame["iou_given"].mean())
    return figures, {**per_frame, "embeddings": embeddings}, seen.foreground
