"""Where the foreground probably is, without a click: what moves against the camera, and what differs from the border.

Everything here works on downscaled frames. Maps are float, 0..1, of that size.
"""

from __future__ import annotations

import cv2
import numpy as np

from mvmodel.segmentation.camera_motion import STANDING_STILL, estimate_camera_path
from mvmodel.segmentation.config import SaliencyConfig

_FRAME_DISTANCES = (1, 2, 4)
"""A frame is compared with the frames this far before and after it."""
_APPEARANCE_SIDE = 72
"""Largest side, in pixels, on which appearance is compared with the border's."""
_ROUNDING_ERROR = 1e-9
"""Difference from standing still, in pixels or as a factor, that is only rounding of a product of matrices."""
_MAX_CACHED_FLOWS = 400
_MOVING_AREAS_SIDE = 96
"""Long side, in pixels, on which `find_moving_areas` works."""


class Saliency:
    """Optical flow, camera motion and saliency of a clip.

    Args:
        frames: uint8 RGB (frames, height, width, 3).
        config: Settings.

    Attributes:
        small: The downscaled frames, uint8 (frames, h, w, 3).
        motion: Motion against the camera, float32 (frames, h, w), 0..1.
        map: Motion and appearance together, float32 (frames, h, w), 0..1.
        moving: Whether anything moves at all.
    """

    def __init__(self, frames: np.ndarray, config: SaliencyConfig = SaliencyConfig()) -> None:
        height, width = frames.shape[1:3]
        self.small = downscale_frames(frames, config.max_side)
        self.scale = np.array([width / self.small.shape[2], height / self.small.shape[1]])
        evenly_lit = _equalise_exposure(self.small)
        self._grey = [cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in evenly_lit]
        self._flow = _create_flow()
        self._cache: dict[tuple[int, int], np.ndarray] = {}
        self._camera = [np.eye(3)]
        for step in estimate_camera_path(self._grey):
            self._camera.append(np.vstack([step, [0, 0, 1]]) @ self._camera[-1])
        self._inverse_camera = [np.linalg.inv(camera) for camera in self._camera]
        changes = self._changes(evenly_lit)
        strongest = float(np.median(np.quantile(changes.reshape(len(changes), -1), 0.98, axis=1)))
        self.moving = strongest > config.motion_threshold
        self.motion = np.clip(changes / max(strongest * 0.7, config.motion_threshold), 0, 1).astype(np.float32)
        appearance = np.stack([_difference_to_border(frame, config.border_colour_distance) for frame in self.small])
        weight = config.appearance_weight if self.moving else 1.0
        self.map = _stretch((1 - weight) * self.motion + weight * appearance)

    def flow(self, source: int, target: int) -> np.ndarray:
        """Optical flow from frame `source` to frame `target`, downscaled: float32 (h, w, 2), pixels."""
        key = (source, target)
        if key not in self._cache:
            if len(self._cache) > _MAX_CACHED_FLOWS:
                self._cache.clear()
            self._cache[key] = self._flow.calc(self._grey[source], self._grey[target], None)
        return self._cache[key]

    def camera(self, source: int, target: int) -> np.ndarray:
        """The camera's motion from one frame to another, composed of neighbours': (3, 3), downscaled."""
        return self._camera[target] @ self._inverse_camera[source]

    def _changes(self, frames: np.ndarray) -> np.ndarray:
        """Colour change that the camera does not explain: float32 (frames, h, w), grey levels.

        A frame is compared with earlier and later ones, warped by the camera's motion. What differs from both frames of
        a pair counts. What an object only uncovers or hides differs from one of them, and does not count.
        """
        count = len(frames)
        pictures = [cv2.GaussianBlur(frame, (3, 3), 0).astype(np.float32) for frame in frames]
        changes = np.zeros(frames.shape[:3], np.float32)
        for index in range(count):
            differences = []
            for distance in _FRAME_DISTANCES:
                neighbours = [n for n in (index - distance, index + distance) if 0 <= n < count]
                pair = [_colour_difference(pictures[index], pictures[n], self.camera(n, index)[:2]) for n in neighbours]
                if pair:
                    differences.append(cv2.min(pair[0], pair[-1]) * np.float32(1.0 if len(pair) == 2 else 0.5))
            if differences:
                changes[index] = cv2.GaussianBlur(np.mean(differences, axis=0), (0, 0), 1.2)
        return changes

    def propagate(self, mask: np.ndarray, source: int, target: int) -> np.ndarray:
        """Moves a mask, bool (height, width), from one frame to another by a similarity fitted to the flow inside."""
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
        resized: np.ndarray = cv2.resize(small, size[::-1], interpolation=cv2.INTER_LINEAR)
        return resized


def find_moving_areas(frames: np.ndarray) -> np.ndarray:
    """How much each pixel moves against the camera, float32 0..1 (frames, h, w), downscaled.

    frames: uint8 RGB (frames, height, width, 3). Cheap enough for every clip of an ingestion.
    """
    return Saliency(frames, SaliencyConfig(max_side=_MOVING_AREAS_SIDE)).motion


def _create_flow() -> cv2.DISOpticalFlow:
    """DIS without variational refinement and on fewer patches.

    `propagate` fits one motion to hundreds of vectors: masks are as good (on held-out renders) at less than half the
    time. The faster presets skip a scale and cost J.
    """
    flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    flow.setVariationalRefinementIterations(0)
    flow.setPatchStride(4)
    return flow


def downscale_frames(frames: np.ndarray, max_side: int) -> np.ndarray:
    """Frames, uint8 (frames, height, width, 3), downscaled to a long side of at most `max_side` pixels."""
    height, width = frames.shape[1:3]
    scale = min(1.0, max_side / max(height, width))
    size = (max(8, round(width * scale)), max(8, round(height * scale)))
    return np.stack([cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in frames])


def _largest_channel(picture: np.ndarray) -> np.ndarray:
    """The largest channel of every pixel, (h, w) of (h, w, 3). Many times faster than numpy over so short an axis."""
    red, green, blue = cv2.split(picture)
    largest: np.ndarray = cv2.max(cv2.max(red, green), blue)
    return largest


def _colour_difference(picture: np.ndarray, neighbour: np.ndarray, camera: np.ndarray) -> np.ndarray:
    """Colour difference to a neighbour warped by the camera's motion (2, 3): float32 (h, w); 0 outside of it.

    Pictures are float32 (h, w, 3).
    """
    if np.abs(camera - STANDING_STILL).max() < _ROUNDING_ERROR:
        return _largest_channel(cv2.absdiff(neighbour, picture))
    size = picture.shape[1::-1]
    warped = cv2.warpAffine(neighbour, camera, size, borderMode=cv2.BORDER_REPLICATE)
    overlap = cv2.warpAffine(np.ones(size[::-1], np.float32), camera, size)
    return _largest_channel(cv2.absdiff(warped, picture)) * (overlap > 0.99)


def _equalise_exposure(frames: np.ndarray) -> np.ndarray:
    """Removes changes of exposure: cameras adapt when something comes near. uint8 in and out (frames, h, w, 3).

    Each frame is scaled so that its median brightness is the clip's.
    """
    levels = np.array([np.median(_largest_channel(frame)) for frame in frames], np.float32)
    clip_level = np.median(levels)
    gain = np.clip((clip_level + 16) / (levels + 16), 0.6, 1.7)
    gain[np.abs(gain - 1) > 0.35] = 1.0  # that much is another scene, not another exposure
    tables = np.clip(np.arange(256) * gain[:, None], 0, 255).astype(np.uint8)
    return np.stack([cv2.LUT(frame, table) for frame, table in zip(frames, tables, strict=True)])


def warp_mask(mask: np.ndarray, matrix: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Applies a 2x3 motion of downscaled pictures to a mask of full size, bool (height, width)."""
    full = matrix.astype(float).copy()
    full[:, 2] *= scale
    full[0, 1] *= scale[0] / scale[1]
    full[1, 0] *= scale[1] / scale[0]
    height, width = mask.shape
    warped: np.ndarray = cv2.warpAffine(mask.astype(np.float32), full, (width, height)) > 0.5
    return warped


def _difference_to_border(frame: np.ndarray, colour_distance: float) -> np.ndarray:
    """How much a pixel differs from the border's colours: float32 (h, w) 0..1. The border at its height counts most."""
    height, width = frame.shape[:2]
    size = (min(width, _APPEARANCE_SIDE), min(height, _APPEARANCE_SIDE))
    lab = cv2.cvtColor(
        cv2.resize(frame, size, interpolation=cv2.INTER_AREA).astype(np.float32) / 255, cv2.COLOR_RGB2LAB
    )
    rows, columns = np.mgrid[0 : size[1], 0 : size[0]]
    on_border = (rows < 2) | (columns < 2) | (rows >= size[1] - 2) | (columns >= size[0] - 2)
    # A difference of half the picture's height counts as much as a quarter of the full colour distance.
    vertical_position = rows[..., None] / size[1] * colour_distance * 0.5
    features = np.concatenate([lab, vertical_position.astype(np.float32)], axis=2)
    distance = _nearest_distance(features.reshape(-1, 4), features[on_border][::2]).reshape(size[1], size[0])
    centre_prior = np.exp(-(((rows / size[1] - 0.5) ** 2 + (columns / size[0] - 0.5) ** 2) / 0.3))
    difference = np.clip(distance / colour_distance, 0, 1) * centre_prior.astype(np.float32)
    return cv2.resize(difference, (width, height))


def _nearest_distance(points: np.ndarray, references: np.ndarray) -> np.ndarray:
    """Distance of each point, float32 (points, d), to the nearest of a few hundred references: float32 (points,).

    One matrix product: for so few it takes less than half the time of a k-d tree.
    """
    squared = references @ (-2 * points.T)
    squared += (references**2).sum(axis=1)[:, None]
    nearest: np.ndarray = np.sqrt(np.maximum(squared.min(axis=0) + (points**2).sum(axis=1), 0))
    return nearest


def _stretch(maps: np.ndarray) -> np.ndarray:
    """Subtracts the median of each map and stretches the rest to 0..1."""
    median = np.median(maps, axis=(1, 2), keepdims=True)
    excess = np.maximum(maps - median, 0)
    top = np.maximum(np.quantile(excess, 0.97, axis=(1, 2), keepdims=True), 0.15)
    return np.clip(excess / top, 0, 1).astype(np.float32)


def soft_iou(mask: np.ndarray, saliency_map: np.ndarray) -> float:
    """Soft IoU of a mask, bool (height, width), and a saliency map, float (height, width): 0..1."""
    intersection = float(saliency_map[mask].sum())
    union = float(mask.sum()) + float(saliency_map.sum()) - intersection
    return intersection / union if union > 0 else 0.0
