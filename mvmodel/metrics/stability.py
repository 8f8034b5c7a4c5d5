"""Stability in time, from optical flow without weights: warping error and motion smoothness.

Both forgive whatever optical flow can explain, and a frozen video is perfect in both: print `motion` next to them.
"""

from __future__ import annotations

import numpy as np

from mvmodel.metrics.flow import flows, warp


def find_comparable_pixels(forward: np.ndarray, backward: np.ndarray) -> np.ndarray:
    """Where a pixel of frame t is seen in frame t + 1 too: bool (height, width).

    forward, backward: flow t -> t + 1 and t + 1 -> t, (height, width, 2), pixels. Left out are occlusions,
    |w + w'|^2 > 0.01 (|w|^2 + |w'|^2) + 0.5 with w' the backward flow where w points, and motion boundaries,
    |grad w|^2 > 0.01 |w|^2 + 0.002 (Ruder et al. 2016, as used by Lai et al. 2018).
    """
    returning = warp(backward, forward)
    length = (forward**2).sum(-1)
    occluded = ((forward + returning) ** 2).sum(-1) > 0.01 * (length + (returning**2).sum(-1)) + 0.5
    steps = np.gradient(forward, axis=(0, 1))
    boundary = sum((step**2).sum(-1) for step in steps) > 0.01 * length + 0.002
    visible: np.ndarray = ~(occluded | boundary)
    return visible


def warping_error(frames: np.ndarray, forward: np.ndarray | None = None) -> float:
    """Mean over t of sum(m (warp(f_{t+1}) - f_t)^2) / sum(m), colours 0..1, m from `find_comparable_pixels`; 0 is
    steady.

    frames: uint8 (frames, height, width, 3). forward: `flow.flows(frames)`, to save computing it again. Lai et al.
    2018,
    with OpenCV's DIS flow instead of FlowNet2, averaged over colour channels. NaN when no pixel can be compared.
    """
    forward = flows(frames) if forward is None else forward
    backward = flows(frames[::-1])[::-1]
    errors = []
    for index in range(len(frames) - 1):
        pixels = find_comparable_pixels(forward[index], backward[index])
        if pixels.any():
            warped = warp(frames[index + 1], forward[index])
            errors.append(float((((warped - frames[index]) / 255) ** 2)[pixels].mean()))
    return float(np.mean(errors)) if errors else float("nan")


def smoothness(frames: np.ndarray) -> float:
    """1 - (mean absolute error) / 255 of every second frame against what its neighbours give halfway. Range 0..1.

    frames: uint8 (frames, height, width, 3). VBench's motion smoothness, with halfway frames from optical flow (linear
    motion, both neighbours blended) instead of a trained interpolator. Higher is smoother; NaN under three frames.
    """
    errors = []
    for index in range(1, len(frames) - 1, 2):
        pair = np.stack([frames[index - 1], frames[index + 1]])
        forward, backward = flows(pair)[0], flows(pair[::-1])[0]
        half = (forward - backward) / 4  # from the middle to the later neighbour, as if the motion were linear
        middle = (warp(pair[0], -half) + warp(pair[1], half)) / 2
        errors.append(float(np.abs(middle - frames[index]).mean()))
    return 1 - float(np.mean(errors)) / 255 if errors else float("nan")
