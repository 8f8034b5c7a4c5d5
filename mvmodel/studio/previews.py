"""Live previews: what a denoising step predicts of the finished video, decoded now and then."""

from __future__ import annotations

import time
from typing import Any

import cv2
import numpy as np

from mvmodel.studio.config import StudioConfig
from mvmodel.studio.jobs import JobReport
from mvmodel.video.sampling import evenly_spaced_indices
from mvmodel.video.tensors import to_uint8


class LivePreview:
    """Decodes a few frames after a step, and waits until that took no more than the configured share of the time.

    So previews cost the same share on a slow processor and on a fast card.
    """

    def __init__(self, report: JobReport, config: StudioConfig) -> None:
        self._report, self._config = report, config
        self._next = 0.0

    def show(self, pipeline: Any, clean_latents: Any) -> None:
        """Report the frames of predicted clean latents, float (1, frames, channels, h, w), if it is time to."""
        start = time.monotonic()
        if start < self._next or not self._config.preview_share:
            return
        indices = evenly_spaced_indices(self._config.preview_frames, clean_latents.shape[1])
        self._report.preview(encode_strip(to_uint8(pipeline.decode_latents(clean_latents[:, indices], "np")[0])))
        end = time.monotonic()
        self._next = end + (end - start) * (1 / self._config.preview_share - 1)


def encode_strip(frames: np.ndarray) -> bytes:
    """A JPEG with frames, uint8 RGB (frames, height, width, 3), below each other."""
    strip = np.ascontiguousarray(frames.reshape(-1, *frames.shape[2:])[..., ::-1])
    return bytes(cv2.imencode(".jpg", strip, [cv2.IMWRITE_JPEG_QUALITY, 88])[1].tobytes())
