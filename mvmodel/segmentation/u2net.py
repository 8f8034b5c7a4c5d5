"""`U2NetSegmenter`: U-2-Net (Qin et al., 2020) behind the same three calls as segment-anything.

U-2-Net finds the salient object of a photograph and takes no prompts. Here a prompt chooses where to look: the network
runs again on a crop around the prompted area, in which the object is larger, and the connected parts at the prompt are
returned. A rough mask gets a narrow crop, a box a wide one. A prompt of points takes the parts of the whole picture's
map, and costs no further run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cv2
import numpy as np

from mvmodel.errors import PackError
from mvmodel.masks.geometry import bounding_box
from mvmodel.segmentation.segmenter import MaskCandidate

INPUT_SIDE = 320
"""Height and width, in pixels, of the network's input."""
_MEAN = np.array([0.485, 0.456, 0.406], np.float32)
_STD = np.array([0.229, 0.224, 0.225], np.float32)
_THRESHOLDS = (0.3, 0.5, 0.7, 0.85)
"""Probabilities at which a map is cut into connected parts, each a candidate."""
_MASK_MARGIN = 0.35
"""Margin of the crop around a rough mask, as a share of the longer side of its box."""
_BOX_MARGIN = 0.9
"""Margin of the crop around a box: wider, because a box says less about the object."""
_MIN_CROP_SIDE = 48
"""Smallest side of a crop, in pixels: in smaller ones the network sees only blur."""
_CONTRAST_MARGIN = 0.2
"""Probability by which a threshold is moved up and down to measure the stability of a mask."""


@dataclass(frozen=True)
class SaliencyEncoding:
    """A picture after the network.

    frame: the picture, uint8 RGB (height, width, 3). probabilities: of being the salient object, float32 (height,
    width), 0..1. crops: what the network said about parts of the picture, by (left, top, right, bottom), filled as
    prompts come.
    """

    frame: np.ndarray
    probabilities: np.ndarray
    crops: dict[tuple[int, int, int, int], np.ndarray] = field(default_factory=dict)


class U2NetSegmenter:
    """U-2-Net for whole clips, on the CPU.

    Args:
        weights: U-2-Net or U-2-Netp as ONNX, with an input of 320x320 pixels.

    Raises:
        PackError: OpenCV cannot read the file.
    """

    def __init__(self, weights: Path) -> None:
        try:
            self.network = cv2.dnn.readNetFromONNX(str(weights))
        except cv2.error as error:
            raise PackError(f"{weights} is not a network that OpenCV can read ({error.err}); fetch it again") from error
        self._output = self.network.getUnconnectedOutLayersNames()[0]

    def infer(self, picture: np.ndarray) -> np.ndarray:
        """Probabilities of one picture, uint8 RGB (height, width, 3): float32 (height, width), 0..1."""
        height, width = picture.shape[:2]
        resized = cv2.resize(picture, (INPUT_SIDE, INPUT_SIDE), interpolation=cv2.INTER_AREA).astype(np.float32)
        normalized = (resized / max(float(resized.max()), 1e-6) - _MEAN) / _STD
        self.network.setInput(np.ascontiguousarray(normalized.transpose(2, 0, 1)[None]))
        probabilities: np.ndarray = self.network.forward(self._output)[0, 0]
        return np.clip(cv2.resize(probabilities, (width, height), interpolation=cv2.INTER_LINEAR), 0, 1)

    def encode(self, frames: np.ndarray) -> list[SaliencyEncoding]:
        """Runs the network once on each frame, uint8 RGB (frames, height, width, 3)."""
        return [SaliencyEncoding(frame, self.infer(frame)) for frame in frames]

    def predict(
        self,
        encoding: SaliencyEncoding,
        point_coords: np.ndarray | None = None,
        point_labels: np.ndarray | None = None,
        box: np.ndarray | None = None,
        mask_prompt: np.ndarray | None = None,
        multimask_output: bool = True,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Masks for one prompt. Arguments and returns are those of `Segmenter.predict`.

        A rough mask is preferred to a box, and both to points. Of the points, only those inside (label 1) count. There
        is no mask if nothing salient is at the prompt.

        Raises:
            ValueError: There is no prompt.
        """
        height, width = encoding.frame.shape[:2]
        prior = np.zeros((height, width), bool)
        if mask_prompt is not None and mask_prompt.any():
            prior = mask_prompt
            probabilities = self._crop_map(encoding, bounding_box(mask_prompt), _MASK_MARGIN)
        elif box is not None:
            left, top, right, bottom = (round(float(value)) for value in np.asarray(box).reshape(4))
            prior[max(0, top) : bottom, max(0, left) : right] = True
            probabilities = self._crop_map(encoding, (left, top, right, bottom), _BOX_MARGIN)
        elif point_coords is not None:
            labels = np.ones(len(point_coords), int) if point_labels is None else np.asarray(point_labels)
            for x, y in np.asarray(point_coords)[labels == 1]:
                prior[min(max(int(y), 0), height - 1), min(max(int(x), 0), width - 1)] = True
            probabilities = encoding.probabilities
        else:
            raise ValueError("a prompt is needed: points, a box or a rough mask")
        candidates = [
            (mask, score * stability)
            for threshold in _THRESHOLDS
            if (mask := _parts_at(probabilities > threshold, prior)).any()
            for score, stability in [_rate(probabilities, mask, threshold)]
        ]
        if not candidates:
            return np.zeros((0, height, width), bool), np.zeros(0)
        candidates.sort(key=lambda candidate: -candidate[1])
        candidates = candidates if multimask_output else candidates[:1]
        return np.stack([mask for mask, _ in candidates]), np.array([score for _, score in candidates])

    def automatic(
        self,
        encoding: SaliencyEncoding | np.ndarray,
        *,
        min_area: float = 0.002,
        point_coords: np.ndarray | None = None,
    ) -> list[MaskCandidate]:
        """The connected parts of the salient area at a few thresholds, the best first.

        Args:
            encoding: A frame's encoding, or the frame itself, uint8 RGB (height, width, 3).
            min_area: Share of the picture below which a part is dropped.
            point_coords: Not used: the parts do not depend on prompts.
        """
        if isinstance(encoding, np.ndarray):
            (encoding,) = self.encode(encoding[None])
        probabilities = encoding.probabilities
        candidates: dict[bytes, MaskCandidate] = {}
        for threshold in _THRESHOLDS:
            count, labels = cv2.connectedComponents((probabilities > threshold).astype(np.uint8))
            numbers: Sequence[int] = range(1, count)
            for number in numbers:
                mask = labels == number
                if mask.mean() >= min_area:
                    score, stability = _rate(probabilities, mask, threshold)
                    candidates[mask.tobytes()] = MaskCandidate(mask, score, stability, bounding_box(mask))
        return sorted(candidates.values(), key=lambda candidate: -candidate.score * candidate.stability)

    def _crop_map(self, encoding: SaliencyEncoding, box: tuple[int, int, int, int], margin: float) -> np.ndarray:
        """The network's probabilities on a crop around a box, on the whole picture: 0 outside of the crop."""
        height, width = encoding.frame.shape[:2]
        left, top, right, bottom = box
        space = max(margin * max(right - left, bottom - top), (_MIN_CROP_SIDE - min(right - left, bottom - top)) / 2)
        crop = (
            max(0, round(left - space)), max(0, round(top - space)),
            min(width, round(right + space)), min(height, round(bottom + space)),
        )  # fmt: skip
        left, top, right, bottom = crop
        if crop not in encoding.crops:
            encoding.crops[crop] = self.infer(encoding.frame[top:bottom, left:right])
        probabilities = np.zeros((height, width), np.float32)
        probabilities[top:bottom, left:right] = encoding.crops[crop]
        return probabilities


def _parts_at(mask: np.ndarray, prior: np.ndarray) -> np.ndarray:
    """The connected parts of a mask that lie mostly inside a prior, or else the one that shares most with it."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    shared = np.bincount(labels[prior], minlength=count)
    shared[0] = 0
    if not shared.any():
        return np.zeros_like(mask)
    is_at_prior = shared > 0.5 * stats[:, cv2.CC_STAT_AREA]
    is_at_prior[0] = False
    is_at_prior[int(shared.argmax())] = True
    out: np.ndarray = is_at_prior[labels]
    return out


def _rate(probabilities: np.ndarray, mask: np.ndarray, threshold: float) -> tuple[float, float]:
    """Score and stability of a mask, 0..1: mean probability inside, and IoU of lower and higher thresholds near it."""
    left, top, right, bottom = bounding_box(mask)
    near = probabilities[top:bottom, left:right]
    high = int(np.count_nonzero(near > min(threshold + _CONTRAST_MARGIN, 0.9)))
    low = int(np.count_nonzero(near > max(threshold - _CONTRAST_MARGIN, 0.1)))
    return float(probabilities[mask].mean()), high / max(low, 1)
