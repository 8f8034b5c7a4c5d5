"""What masks cost: the whole way from frames to masks, over the bare image encoder on the same frames."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from benchmarks.oracle import GRID, OracleSegmenter
from mvmodel.segmentation.segmenter import Encoding, Segmenter

Figures = dict[str, float]

REPEATS = {"tiny": 5}
"""Runs of which the best counts, of an encoder that takes milliseconds a frame; of one that takes seconds, one."""

_LARGE_BATCH = 1
"""Frames that an encoder of published size gets at once: two take longer on a CPU than one and one, and a slow bare
encoder would flatter the share."""


@dataclass(frozen=True)
class _Frame:
    """A frame's number in its clip, and what the real encoder made of it."""

    number: int
    encoding: Encoding


class OracleAnswers:
    """A segmenter that does all the work of a real one, and answers with the oracle's masks.

    Weights that were never trained would lose the object in every frame, and the tracker would look for it with many
    prompts that a trained segmenter never needs. `prompts` counts what went through the decoder.
    """

    def __init__(self, segmenter: Segmenter, oracle: OracleSegmenter) -> None:
        self.segmenter, self.oracle = segmenter, oracle
        self.prompts = 0

    def encode(self, frames: np.ndarray) -> list[_Frame]:
        encodings = self.segmenter.encode(frames)
        return [_Frame(n, encoding) for n, encoding in zip(self.oracle.encode(frames), encodings, strict=True)]

    def predict(self, encoding: _Frame, **prompt: Any) -> tuple[np.ndarray, np.ndarray]:
        self.prompts += 1
        self.segmenter.predict(encoding.encoding, **prompt)
        return self.oracle.predict(encoding.number, **prompt)

    def automatic(self, encoding: _Frame, point_coords: np.ndarray | None = None, **limits: Any) -> list[Any]:
        self.prompts += GRID**2 if point_coords is None else len(point_coords)
        self.segmenter.automatic(encoding.encoding, points_per_side=GRID, point_coords=point_coords, **limits)
        return self.oracle.automatic(encoding.number, point_coords=point_coords, **limits)


def _seconds(run: Callable[[], object]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def measure_throughput(frames: int = 16, side: int = 256, model: str | None = None) -> Figures:
    """Frames a second of the whole way and of the bare encoder, in one process, and the one's time over the other's.

    frames: of a rendered clip, `side` pixels a side. model: None for the pack's own segmenter, where all is real; or a
    segment-anything model type ("vit_b"), whose published size has random weights. Then the encoder, the decoder on
    every prompt, saliency, flow and tracking are real, and so is the time they take; the answers are the true masks,
    which `TrueAnswers` puts in place of what random weights say. Not as with trained weights: how often a prompt has to
    be repeated, and how many automatic masks are compared and enlarged.

    The bare encoder gets batches of pictures of its own size, ready made, after a full one that only warms up. The best
    of `RUNS`, in turns.
    """
    from mvmodel.packs import load_pack
    from mvmodel.segmentation.sam_loading import load_sam
    from mvmodel.segmentation.tracking import extract_masks
    from mvmodel.world.render import HELD_OUT, random_clip

    torch.manual_seed(0)
    segmenter = load_pack().segmenter() if model is None else Segmenter(load_sam(model, None), batch_size=_LARGE_BATCH)
    clip = random_clip((HELD_OUT, 830_000), frames=frames, side=side, motion="glide", pan=0.2)
    answering: Any = segmenter
    if model is not None:
        oracle = OracleSegmenter(clip.frames, clip.masks)
        for number in range(frames):
            oracle.pieces(number)  # cut before the clock runs: no segmenter has to
        answering = OracleAnswers(segmenter, oracle)
    sizes = [min(segmenter.batch_size, frames - at) for at in range(0, frames, segmenter.batch_size)]
    batches = [torch.randn(size, 3, segmenter.image_size, segmenter.image_size) for size in sizes]

    @torch.no_grad()
    def bare() -> None:
        for batch in batches:
            segmenter.sam.image_encoder(batch)

    with torch.no_grad():
        segmenter.sam.image_encoder(batches[0])
    runs = range(REPEATS.get(model or "tiny", 1))
    measurements = [(_seconds(bare), _seconds(lambda: extract_masks(clip.frames, answering))) for _ in runs]
    encoder_seconds, total_seconds = (min(times) for times in zip(*measurements, strict=True))
    figures = {
        "frames_per_second": frames / total_seconds,
        "encoder_frames_per_second": frames / encoder_seconds,
        "times_encoder": total_seconds / encoder_seconds,
    }
    return figures if model is None else figures | {"prompts_per_frame": answering.prompts / len(runs) / frames}
