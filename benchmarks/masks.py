"""How well foreground is found and followed: on held-out renders, and on real sequences with true masks if given.

Real sequences are a folder of NAME/frames and NAME/masks. On them the tracker also runs with an oracle in the
segmenter's place, which isolates prompts and tracking from a segmenter that never saw a photograph.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

Figures = dict[str, float]

REAL = Path(__file__).resolve().parents[2] / "shared" / "clips" / "masked_sequences"
"""Where real sequences are looked for when no folder is given."""
_CLIPS = 12


class Oracle:
    """A segmenter that returns the true mask for a prompt inside it, and a piece of the scenery for one outside.

    Scenery is cut into even-coloured pieces. True mask and pieces get the same quality, so nothing but the prompt tells
    them apart. A box stands for the point in its middle; of a rough mask, its innermost point.
    """

    def __init__(self, frames: np.ndarray, truth: np.ndarray, score: float = 0.9) -> None:
        self.frames, self.truth, self.score = frames, truth, score
        self.encoded = 0
        self._pieces: dict[int, np.ndarray] = {}

    def encode(self, frames: np.ndarray) -> list[int]:
        if len(frames) != len(self.frames):
            raise ValueError("the oracle knows one clip only, and encodes all of it at once")
        self.encoded += len(frames)
        return list(range(len(frames)))

    def pieces(self, frame: int) -> np.ndarray:
        """Labels of the scenery, int (H, W); the object is 0."""
        if frame not in self._pieces:
            import cv2
            from skimage.segmentation import felzenszwalb

            picture, truth = self.frames[frame], self.truth[frame]
            size = (picture.shape[1] // 4, picture.shape[0] // 4)
            small = felzenszwalb(cv2.resize(picture, size, interpolation=cv2.INTER_AREA), scale=200, min_size=60)
            full = cv2.resize(small.astype(np.int32), truth.shape[::-1], interpolation=cv2.INTER_NEAREST)
            self._pieces[frame] = np.where(truth, 0, full + 1)
        return self._pieces[frame]

    def _at(self, frame: int, x: float, y: float) -> np.ndarray:
        labels = self.pieces(frame)
        row, column = min(max(int(y), 0), labels.shape[0] - 1), min(max(int(x), 0), labels.shape[1] - 1)
        return np.asarray(labels == labels[row, column])

    def predict(
        self,
        encoding: int,
        points: Any = None,
        labels: Any = None,
        box: Any = None,
        prior: Any = None,
        several: Any = True,
    ) -> tuple[np.ndarray, np.ndarray]:
        from mvmodel.segmentation.segmenter import inner_point

        if points is not None:
            x, y = points[0]
        elif box is not None:
            x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
        else:
            x, y = inner_point(prior)
        return self._at(encoding, x, y)[None], np.array([self.score])

    def automatic(
        self, encoding: int, points: np.ndarray | None = None, min_area: float = 0.002, **_: Any
    ) -> list[Any]:
        from mvmodel.segmentation.segmenter import Candidate, box_of

        height, width = self.truth.shape[1:]
        if points is None:
            at = (np.arange(8) + 0.5) / 8
            points = np.array([(x * width, y * height) for y in at for x in at])
        found: dict[bytes, np.ndarray] = {}
        for x, y in points:
            mask = self._at(encoding, x, y)
            if mask.mean() >= min_area:
                found.setdefault(np.packbits(mask).tobytes(), mask)
        return [Candidate(mask, self.score, self.score, box_of(mask)) for mask in found.values()]


def _per_object(found: Any, truth: np.ndarray) -> float:
    """Mean J over the true objects, each matched to one found object at most (best assignment)."""
    from scipy.optimize import linear_sum_assignment

    from mvmodel.segmentation.davis import region_similarity

    table = np.array([[region_similarity(own, true) for own in found.per_instance] for true in truth])
    rows, columns = linear_sum_assignment(-table)
    return float(table[rows, columns].sum() / len(truth))


def world(clips: int = _CLIPS) -> Figures:
    """J and F of the pack's segmenter on held-out renders: one object, one under a camera pan, two objects."""
    from mvmodel.packs import load_pack
    from mvmodel.segmentation.davis import contour_accuracy, region_similarity
    from mvmodel.segmentation.track import extract
    from mvmodel.world.render import HELD_OUT, random_clip

    segmenter = load_pack().segmenter()
    pans = {"one": (0.0,), "panned": (0.4, -0.4, 0.3, -0.3), "two": (0.0, 0.3, -0.3)}
    figures: Figures = {}
    for place, (kind, choice) in enumerate(pans.items()):
        region, contour, each = [], [], []
        for number in range(clips):
            seed = (HELD_OUT, 820_000 + 100 * place + number)
            second = 1.0 if kind == "two" else 0.0
            clip = random_clip(seed, frames=12, pan=choice[number % len(choice)], second_object=second)
            found = extract(clip.frames, segmenter).sequence
            region.append(region_similarity(found.masks, clip.masks))
            contour.append(contour_accuracy(found.masks, clip.masks))
            each.append(_per_object(found, clip.instances))
        figures |= {f"{kind}_j": float(np.mean(region)), f"{kind}_f": float(np.mean(contour))}
        figures[f"{kind}_j_worst"] = float(np.min(region))
        if kind == "two":
            figures["two_j_per_object"] = float(np.mean(each))
    return figures


def real(folder: Path = REAL) -> Figures:
    """On real sequences: whether the first prompt lies in the true mask; J and F of pack and oracle."""
    from mvmodel.packs import load_pack
    from mvmodel.segmentation.davis import contour_accuracy, region_similarity
    from mvmodel.segmentation.track import extract
    from mvmodel.video.decode import decode

    figures: Figures = {}
    for place in sorted(path for path in folder.iterdir() if (path / "masks").is_dir()):
        frames = decode(place / "frames").frames
        truth = decode(place / "masks").frames[..., 0] > 127
        for name, segmenter in (("pack", load_pack().segmenter()), ("oracle", Oracle(frames, truth))):
            found = extract(frames, segmenter)  # type: ignore[arg-type]
            figures[f"{place.name}_{name}_j"] = region_similarity(found.sequence.masks, truth)
            figures[f"{place.name}_{name}_f"] = contour_accuracy(found.sequence.masks, truth)
            if found.prompt is not None:
                frame, x, y = found.prompt
                figures[f"{place.name}_{name}_prompt_inside"] = float(truth[frame, int(y), int(x)])
    return figures


def throughput(frames: int = 16, side: int = 256, model: str | None = None) -> Figures:
    """Seconds of the whole way from frames to masks, over the bare image encoder's on the same frames.

    model: a segment-anything model type with random weights ("vit_b"), or None for the pack's own.
    """
    import torch

    from mvmodel.packs import load_pack
    from mvmodel.segmentation.build import load_sam
    from mvmodel.segmentation.segmenter import Segmenter
    from mvmodel.segmentation.track import extract
    from mvmodel.world.render import HELD_OUT, random_clip

    torch.manual_seed(0)
    segmenter = load_pack().segmenter() if model is None else Segmenter(load_sam(model, None), batch_size=2)
    shown = random_clip((HELD_OUT, 830_000), frames=frames, side=side, motion="glide", pan=0.2).frames
    pictures = [
        torch.zeros(len(shown[at : at + segmenter.batch_size]), 3, segmenter.side, segmenter.side)
        for at in range(0, frames, segmenter.batch_size)
    ]
    with torch.no_grad():
        segmenter.sam.image_encoder(pictures[0][:1])
        began = time.perf_counter()
        for batch in pictures:
            segmenter.sam.image_encoder(batch)
        bare = time.perf_counter() - began
    began = time.perf_counter()
    extract(shown, segmenter)
    whole = time.perf_counter() - began
    return {
        "frames_per_second": frames / whole,
        "encoder_frames_per_second": frames / bare,
        "times_encoder": whole / bare,
    }


def masks() -> Figures:
    """Everything above that can be measured here; figures of real sequences only where there are some."""
    from benchmarks.sentences import sentences

    figures = world() | sentences()
    if REAL.is_dir():
        figures |= real()
    return figures | {f"tiny_{name}": value for name, value in throughput().items()}
