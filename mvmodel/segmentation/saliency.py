"""Where the foreground is likely to be, without a click: what moves against the camera's own motion, and what looks
unlike the picture's border.

Everything here works on small copies of the frames; maps are float 0..1 at that small size.
"""

from __future__ import annotations

from itertools import pairwise

import cv2
import numpy as np

from mvmodel.segmentation.config import SaliencyConfig

_REACHES = (1, 2, 4)
"""How many frames before and after a frame is compared with."""
_CELLS = 10
_FAVOUR = 1.08
_LOOKS_SIDE = 72
"""Most pixels a side on which looks are compared with the border's."""
_STILL = np.array([[1.0, 0, 0], [0, 1, 0]])
_UNMOVED = 1e-9
"""Difference from standing still, in pixels or a share of 1, that is only rounding of a product of matrices."""


class Saliency:
    """Optical flow, camera motion and saliency of a clip.

    frames: uint8 (F, H, W, 3). small: the small copies, uint8 (F, h, w, 3). motion, map: float32 (F, h, w), 0..1;
    motion is residual motion alone, map joins it with appearance. moving: whether anything moves at all.
    """

    def __init__(self, frames: np.ndarray, config: SaliencyConfig = SaliencyConfig()) -> None:
        height, width = frames.shape[1:3]
        self.small = downscale_frames(frames, config.max_side)
        self.scale = np.array([width / self.small.shape[2], height / self.small.shape[1]])
        even = _even_light(self.small)
        self._grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in even]
        self._flow = _flow()
        self._cache: dict[tuple[int, int], np.ndarray] = {}
        self._camera = [np.eye(3)]
        for step in estimate_camera_path(self._grey):
            self._camera.append(np.vstack([step, [0, 0, 1]]) @ self._camera[-1])
        self._back = [np.linalg.inv(camera) for camera in self._camera]
        changes = self._changes(even)
        strongest = float(np.median(np.quantile(changes.reshape(len(changes), -1), 0.98, axis=1)))
        self.moving = strongest > config.motion_threshold
        self.motion = np.clip(changes / max(strongest * 0.7, config.motion_threshold), 0, 1).astype(np.float32)
        appearance = np.stack([_unlike_border(frame, config.border_colour_distance) for frame in self.small])
        weight = config.appearance_weight if self.moving else 1.0
        self.map = _sharpen((1 - weight) * self.motion + weight * appearance)

    def flow(self, source: int, target: int) -> np.ndarray:
        """Optical flow from frame `source` to frame `target` at the small size, float32 (h, w, 2), pixels."""
        key = (source, target)
        if key not in self._cache:
            if len(self._cache) > 400:
                self._cache.clear()
            self._cache[key] = self._flow.calc(self._grey[source], self._grey[target], None)
        return self._cache[key]

    def camera(self, source: int, target: int) -> np.ndarray:
        """The camera's motion from one frame to another, put together from neighbours: (3, 3) at the small size."""
        return self._camera[target] @ self._back[source]

    def _changes(self, frames: np.ndarray) -> np.ndarray:
        """Colour change that the camera does not explain, float32 (F, h, w), grey levels.

        A frame is compared with earlier and later ones, brought to where its camera looks. What is there now and in
        neither of a pair counts; what only uncovers or hides counts in one of them, and so not.
        """
        count = len(frames)
        pictures = [cv2.GaussianBlur(frame, (3, 3), 0).astype(np.float32) for frame in frames]
        changes = np.zeros(frames.shape[:3], np.float32)
        for index in range(count):
            found = []
            for reach in _REACHES:
                others = [other for other in (index - reach, index + reach) if 0 <= other < count]
                sides = [_apart(pictures[index], pictures[other], self.camera(other, index)[:2]) for other in others]
                if sides:
                    found.append(cv2.min(sides[0], sides[-1]) * np.float32(1.0 if len(sides) == 2 else 0.5))
            if found:
                changes[index] = cv2.GaussianBlur(np.mean(found, axis=0), (0, 0), 1.2)
        return changes

    def carry(self, mask: np.ndarray, source: int, target: int) -> np.ndarray:
        """Move a mask, bool (H, W), from one frame to another by the flow inside it: shift, turn, growth."""
        height, width = self.small.shape[1:3]
        small = cv2.resize(mask.astype(np.float32), (width, height), interpolation=cv2.INTER_AREA) > 0.5
        rows, columns = np.nonzero(small)
        if len(rows) < 4:
            return mask.copy()
        flow = self.flow(source, target)[rows, columns]
        start = np.column_stack([columns, rows]).astype(np.float32)
        step = max(1, len(rows) // 600)
        cv2.setRNGSeed(1)
        matrix, _ = cv2.estimateAffinePartial2D(
            np.ascontiguousarray(start[::step]),
            np.ascontiguousarray((start + flow)[::step]),
            method=cv2.RANSAC,
            ransacReprojThreshold=1.5,
        )
        if matrix is None or not 0.7 < np.sqrt(abs(np.linalg.det(matrix[:, :2]))) < 1.4:
            matrix = np.array([[1, 0, np.median(flow[:, 0])], [0, 1, np.median(flow[:, 1])]])
        return warp_mask(mask, matrix, self.scale)

    def at(self, index: int, size: tuple[int, int], motion_only: bool = False) -> np.ndarray:
        """The map of one frame at (height, width), float32 0..1."""
        small = self.motion[index] if motion_only else self.map[index]
        grown: np.ndarray = cv2.resize(small, size[::-1], interpolation=cv2.INTER_LINEAR)
        return grown


def _flow() -> cv2.DISOpticalFlow:
    """DIS without its variational refinement and on fewer patches: `carry` fits one motion to hundreds of vectors, and
    masks came out as good (held-out renders) at less than half the time. The faster presets skip a scale and cost J.
    """
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    flow.setVariationalRefinementIterations(0)
    flow.setPatchStride(4)
    return flow


def downscale_frames(frames: np.ndarray, side: int) -> np.ndarray:
    """Frames, uint8 (F, H, W, 3), whose long side is at most `side` pixels: uint8 (F, h, w, 3)."""
    height, width = frames.shape[1:3]
    scale = min(1.0, side / max(height, width))
    size = (max(8, round(width * scale)), max(8, round(height * scale)))
    return np.stack([cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in frames])


def _strongest(picture: np.ndarray) -> np.ndarray:
    """The largest channel of every pixel, (h, w) of (h, w, 3): many times as fast as numpy's over so short an axis."""
    red, green, blue = cv2.split(picture)
    largest: np.ndarray = cv2.max(cv2.max(red, green), blue)
    return largest


def _apart(picture: np.ndarray, other: np.ndarray, camera: np.ndarray) -> np.ndarray:
    """Colour difference, float32 (h, w), to another picture brought here by `camera`, (2, 3); 0 where it shows nothing.

    Pictures are float32 (h, w, 3).
    """
    if np.abs(camera - _STILL).max() < _UNMOVED:
        return _strongest(cv2.absdiff(other, picture))
    size = picture.shape[1::-1]
    moved = cv2.warpAffine(other, camera, size, borderMode=cv2.BORDER_REPLICATE)
    inside = cv2.warpAffine(np.ones(size[::-1], np.float32), camera, size)
    return _strongest(cv2.absdiff(moved, picture)) * (inside > 0.99)


def _even_light(frames: np.ndarray) -> np.ndarray:
    """Take a change of exposure out: cameras change it when something comes near. uint8 in and out (F, h, w, 3).

    Each frame is scaled so that its median brightness, taken over the middle of its values, is that of the clip.
    """
    level = np.array([np.median(_strongest(frame)) for frame in frames], np.float32)
    usual = np.median(level)
    gain = np.clip((usual + 16) / (level + 16), 0.6, 1.7)
    gain[np.abs(gain - 1) > 0.35] = 1.0  # that much is another scene, not another exposure
    tables = np.clip(np.arange(256) * gain[:, None], 0, 255).astype(np.uint8)
    return np.stack([cv2.LUT(frame, table) for frame, table in zip(frames, tables, strict=True)])


def warp_mask(mask: np.ndarray, matrix: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Apply a 2x3 motion, given at the small size, to a mask of full size, bool (H, W)."""
    full = matrix.astype(float).copy()
    full[:, 2] *= scale
    full[0, 1] *= scale[0] / scale[1]
    full[1, 0] *= scale[1] / scale[0]
    height, width = mask.shape
    moved: np.ndarray = cv2.warpAffine(mask.astype(np.float32), full, (width, height)) > 0.5
    return moved


def camera_hypotheses(source: np.ndarray, target: np.ndarray) -> list[np.ndarray]:
    """Motions that might be the camera's from one grey picture to another, uint8 (h, w): affine, float (2, 3) each.

    Standing still, and what fits the followed corners near the border, all of them, and those the second leaves over.
    """
    guesses = [_STILL]
    corners = cv2.goodFeaturesToTrack(source, 300, 0.005, 3)
    if corners is None:
        return guesses
    there, found, _ = cv2.calcOpticalFlowPyrLK(source, target, corners, None, winSize=(11, 11), maxLevel=3)
    back, again, _ = cv2.calcOpticalFlowPyrLK(target, source, there, None, winSize=(11, 11), maxLevel=3)
    steady = np.linalg.norm(back - corners, axis=2)[:, 0] < 0.7
    good = (found[:, 0] == 1) & (again[:, 0] == 1) & steady
    start, end = corners[good, 0], there[good, 0]
    place = np.abs(start / np.array(source.shape[::-1]) * 2 - 1).max(axis=1)
    _fit(start[place > 0.7], end[place > 0.7], guesses)
    inliers = _fit(start, end, guesses)
    if inliers is not None:
        _fit(start[~inliers], end[~inliers], guesses)
    return guesses


def _fit(start: np.ndarray, end: np.ndarray, guesses: list[np.ndarray]) -> np.ndarray | None:
    """Add an affine motion and a plain shift that explain most points; returns the affine one's inliers."""
    if len(start) < 3:
        return None
    guesses.append(np.column_stack([np.eye(2), np.median(end - start, axis=0)]))
    cv2.setRNGSeed(1)
    matrix, inliers = cv2.estimateAffinePartial2D(start, end, method=cv2.RANSAC, ransacReprojThreshold=0.8)
    if matrix is None or not 0.8 < np.sqrt(abs(np.linalg.det(matrix[:, :2]))) < 1.25:
        return None
    guesses.append(matrix)
    chosen: np.ndarray = inliers[:, 0].astype(bool)
    return chosen


def residuals(source: np.ndarray, target: np.ndarray, guesses: list[np.ndarray]) -> np.ndarray:
    """What each motion leaves over between two grey pictures, uint8 (h, w): float32 (guesses, _CELLS, _CELLS)."""
    errors = []
    for matrix in guesses:
        moved = cv2.warpAffine(source, matrix, source.shape[::-1], borderMode=cv2.BORDER_REPLICATE)
        apart = np.minimum(cv2.absdiff(moved, target), 40).astype(np.float32)
        errors.append(cv2.resize(apart, (_CELLS, _CELLS), interpolation=cv2.INTER_AREA))
    return np.stack(errors)


def count_votes(errors: np.ndarray) -> np.ndarray:
    """How many parts of the picture each motion explains as well as the best one does, float (guesses,).

    errors: as `unexplained` returns them. Parts vote alike, outer ones double: the camera moves many different places,
    an object few that lie together, however rich in detail they are.
    """
    explained = errors <= errors.min(axis=0) + 0.7
    place = np.abs(np.linspace(-1, 1, _CELLS))
    weight = np.where(np.maximum(place[:, None], place[None]) > 0.75, 1.0, 0.5)
    return np.asarray((explained * weight).sum(axis=(1, 2)))


def estimate_camera_path(grey: list[np.ndarray]) -> list[np.ndarray]:
    """The camera's motion between neighbouring pictures, float (2, 3) each, one fewer than pictures.

    Cameras move evenly, so what most neighbours in time say is a guess for every pair, and a favoured one, as is
    standing still.
    """
    pairs = list(pairwise(grey))
    every = [camera_hypotheses(a, b) for a, b in pairs]
    errors = [residuals(a, b, guesses) for (a, b), guesses in zip(pairs, every, strict=True)]
    first = []
    for guesses, left in zip(every, errors, strict=True):
        count = count_votes(left)
        count[0] *= _FAVOUR
        first.append(guesses[int(count.argmax())])
    path = []
    for index, ((a, b), guesses, left) in enumerate(zip(pairs, every, errors, strict=True)):
        usual = np.median(np.stack(first[max(0, index - 4) : index + 5]), axis=0)
        count = count_votes(np.concatenate([left, residuals(a, b, [usual])]))
        count[[0, -1]] *= _FAVOUR
        path.append([*guesses, usual][int(count.argmax())])
    return path


def _unlike_border(frame: np.ndarray, colour: float) -> np.ndarray:
    """How unlike the picture's border a pixel looks, float32 (h, w) 0..1; the border nearby in height counts most."""
    height, width = frame.shape[:2]
    size = (min(width, _LOOKS_SIDE), min(height, _LOOKS_SIDE))
    lab = cv2.cvtColor(
        cv2.resize(frame, size, interpolation=cv2.INTER_AREA).astype(np.float32) / 255, cv2.COLOR_RGB2LAB
    )
    rows, columns = np.mgrid[0 : size[1], 0 : size[0]]
    on_border = (rows < 2) | (columns < 2) | (rows >= size[1] - 2) | (columns >= size[0] - 2)
    # Half the picture's height apart counts as much as a quarter of the full colour distance.
    place = rows[..., None] / size[1] * colour * 0.5
    features = np.concatenate([lab, place.astype(np.float32)], axis=2)
    distance = _nearest(features.reshape(-1, 4), features[on_border][::2]).reshape(size[1], size[0])
    centre = np.exp(-(((rows / size[1] - 0.5) ** 2 + (columns / size[0] - 0.5) ** 2) / 0.3))
    return cv2.resize(np.clip(distance / colour, 0, 1) * centre.astype(np.float32), (width, height))


def _nearest(points: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Distance of each point, float32 (N, D), to the nearest of a few hundred others, (M, D): float32 (N,).

    One matrix product: for so few it takes less than half the time of a k-d tree.
    """
    apart = others @ (-2 * points.T)
    apart += (others**2).sum(axis=1)[:, None]
    nearest: np.ndarray = np.sqrt(np.maximum(apart.min(axis=0) + (points**2).sum(axis=1), 0))
    return nearest


def _sharpen(maps: np.ndarray) -> np.ndarray:
    """Take the usual level of each map out and stretch the rest to 0..1."""
    floor = np.median(maps, axis=(1, 2), keepdims=True)
    lifted = np.maximum(maps - floor, 0)
    top = np.maximum(np.quantile(lifted, 0.97, axis=(1, 2), keepdims=True), 0.15)
    return np.clip(lifted / top, 0, 1).astype(np.float32)


def soft_iou(mask: np.ndarray, salient: np.ndarray) -> float:
    """How well a mask, bool (H, W), explains a saliency map, float (H, W): soft IoU, 0..1."""
    inside = float(salient[mask].sum())
    either = float(mask.sum()) + float(salient.sum()) - inside
    return inside / either if either > 0 else 0.0
