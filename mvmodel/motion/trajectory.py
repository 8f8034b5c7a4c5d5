"""Where the foreground's centre and the camera are, frame by frame."""

from __future__ import annotations

import cv2
import numpy as np

from mvmodel.masks.poses import estimate_poses
from mvmodel.masks.sequence import MaskSequence
from mvmodel.segmentation.camera_motion import estimate_camera_path
from mvmodel.segmentation.saliency import downscale_frames


def compute_trajectory(sequence: MaskSequence) -> np.ndarray:
    """Trajectory of the foreground's centre in the picture: float (frames, 2), x to the right and y upwards.

    Coordinates are in object sizes (the root of the mean area), relative to the first frame's. Frames without a
    foreground are interpolated; a sequence without any gives zeros.
    """
    areas = sequence.masks.sum(axis=(1, 2))
    if not areas.any():
        return np.zeros((sequence.frames, 2))
    poses = estimate_poses(sequence.masks)
    size = float(np.sqrt(areas[areas > 0].mean()))
    return np.column_stack([poses.x - poses.x[0], poses.y[0] - poses.y]) / size


def estimate_camera_trajectory(frames: np.ndarray, side: int = 192, masks: np.ndarray | None = None) -> np.ndarray:
    """Trajectory of the camera: float (frames, 2), to the right in frame widths and upwards in frame heights.

    frames: uint8 (frames, height, width, 3). side: length of the longer side, in pixels, of the copies it is computed
    on. masks: the foreground, bool (frames, height, width), which is then left out; otherwise an object that fills much
    of a plain scene can be taken for it. Coordinates are relative to the first frame's. The scene's own motion
    (`estimate_camera_path`) at the picture's centre is followed and reversed. Over ground without structure (a lawn,
    snow) a slow camera cannot be told from one that stands still, and gives zeros.
    """
    copies = downscale_frames(frames, side)
    height, width = copies.shape[1:3]
    middle = np.array([width / 2, height / 2, 1.0])
    small_masks = None
    if masks is not None:
        small_masks = [cv2.resize(mask.astype(np.float32), (width, height)) > 0.01 for mask in masks]
    path = estimate_camera_path([cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY) for frame in copies], small_masks)
    steps = np.array([matrix @ middle - middle[:2] for matrix in path]).reshape(-1, 2)
    return np.vstack([np.zeros(2), np.cumsum(steps * (-1 / width, 1 / height), axis=0)])
