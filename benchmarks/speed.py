"""How fast this machine renders the motion world, scores frames and judges frames."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import torch
from PIL import Image

from mvmodel.metrics.adherence import find_foreground
from mvmodel.packs import load_pack
from mvmodel.world.render import random_clip

Figures = dict[str, Any]


def measure_rendering(clips: int = 24) -> Figures:
    """Measures the frames of 128x128 that are rendered per second, on one thread."""
    cv2.setNumThreads(1)
    random_clip((9, 0), frames=2)
    began = time.perf_counter()
    for number in range(clips):
        random_clip((9, number), frames=16)
    return {"frames_per_second": clips * 16 / (time.perf_counter() - began)}


def measure_scoring(frame_count: int = 128) -> Figures:
    """Measures the frames scored per second, also as a share of the bare image encoder on prepared tensors."""
    scorer = load_pack().scorer()
    frames = np.concatenate([random_clip((9, n), frames=16).frames for n in range(frame_count // 16)])
    tensors = torch.stack([scorer.preprocess(Image.fromarray(frame)) for frame in frames])

    def encode() -> None:
        with torch.no_grad():
            for start in range(0, len(tensors), scorer.batch_size):
                scorer.model.encode_image(tensors[start : start + scorer.batch_size])

    scoring_seconds, encoder_seconds = _time_best(lambda: scorer.images(frames)), _time_best(encode)
    return {
        "frames_per_second": len(frames) / scoring_seconds,
        "share_of_bare_encoder": encoder_seconds / scoring_seconds,
    }


def measure_judging(frames: int = 24) -> Figures:
    """Measures the frames per second in which the judge finds the object: automatic masks, each scored."""
    pack = load_pack()
    clip = random_clip((9, 1), frames=frames)
    segmenter, scorer = pack.segmenter(), pack.scorer()
    seconds = _time_best(lambda: find_foreground(clip.frames, segmenter, scorer, list(clip.objects)), repeats=2)
    return {"frames_per_second": frames / seconds}


def _time_best(run: Callable[[], object], repeats: int = 3) -> float:
    """Returns the seconds of the fastest of several runs, after one to warm up."""
    run()
    times = []
    for _ in range(repeats):
        began = time.perf_counter()
        run()
        times.append(time.perf_counter() - began)
    return min(times)
