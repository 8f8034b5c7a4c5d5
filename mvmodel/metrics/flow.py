"""Motion and flicker, from dense optical flow (OpenCV's DIS, which has no trained weights).

Flow is in pixels per frame, x to the right and y down.
"""

from __future__ import annotations

import cv2
import numpy as np

from mvmodel.masks.geometry import centroids

MIN_SPEED = 0.25
"""Pixels per frame below which a place counts as still."""


def flows(frames: np.ndarray) -> np.ndarray:
    """Flow from every frame to the next: float32 (frames - 1, height, width, 2).

    frames: uint8 RGB (frames, height, width, 3). Pictures under 160 pixels are enlarged for the search, since DIS
    starts from a pyramid; the flow returned is in the pixels given.
    """
    height, width = frames.shape[1:3]
    factor = max(1, int(np.ceil(160 / min(height, width))))
    size = (width * factor, height * factor)
    grey = [cv2.resize(cv2.cvtColor(f, cv2.COLOR_RGB2GRAY), size, interpolation=cv2.INTER_CUBIC) for f in frames]
    dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    out = np.zeros((len(frames) - 1, height, width, 2), np.float32)
    for index in range(len(frames) - 1):
        flow = dis.calc(grey[index], grey[index + 1], None)  # type: ignore[call-overload]  # None asks for a new array
        out[index] = cv2.resize(flow, (width, height), interpolation=cv2.INTER_AREA) / factor
    return out


def warp(frame: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """`frame` sampled where `flow` points: out(x) = frame(x + flow(x)), float32.

    frame: (height, width) or (height, width, channels). flow: (height, width, 2), pixels, x then y.
    """
    height, width = flow.shape[:2]
    columns, rows = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    out: np.ndarray = cv2.remap(
        frame.astype(np.float32),
        columns + flow[..., 0],
        rows + flow[..., 1],
        cv2.INTER_LINEAR,
        None,
        cv2.BORDER_REPLICATE,
    )
    return out


def motion(flow: np.ndarray, foreground: np.ndarray | None = None) -> float:
    """Mean length of the flow inside the foreground, pixels per frame. Range 0 upwards; 0 is a still.

    Neither direction is better in itself: print it next to consistency, which a still video wins. EvalCrafter's flow
    score,
    there over the whole picture with RAFT.

    flow: (frames - 1, height, width, 2). foreground: bool (frames, height, width), or None for the whole picture.
    A pair of frames without foreground is left out; NaN when all are.
    """
    length = np.linalg.norm(flow, axis=-1)
    if foreground is None:
        return float(length.mean())
    means = [float(length[i][foreground[i]].mean()) for i in range(len(flow)) if foreground[i].any()]
    return float(np.mean(means)) if means else float("nan")


def motion_cosine(flow: np.ndarray, masks: np.ndarray, foreground: np.ndarray) -> float:
    """Does the foreground move the way the control masks move? sum(w . s) / (|w| |s|), w control and s observed.

    Range -1..1, higher is better. No paper's formula: published motion scores have no control direction.

    flow: (frames - 1, height, width, 2). masks: control masks, bool (frames, height, width): their centroids give the
    control velocities. foreground: where the object was detected; the mean flow inside it is the observed velocity.
    Both
    tracks are compared as one vector over all pairs of frames, so fast moments weigh more. NaN when the masks' centre
    moves less than `MIN_SPEED` (a spin, say), or when nothing was detected.
    """
    control = np.diff(centroids(masks), axis=0)
    observed = np.full_like(control, np.nan)
    for index in range(len(flow)):
        if foreground[index].any():
            observed[index] = flow[index][foreground[index]].mean(axis=0)
    usable = np.isfinite(control).all(axis=1) & np.isfinite(observed).all(axis=1)
    if not usable.any() or np.sqrt((control[usable] ** 2).sum(axis=1).mean()) < MIN_SPEED:
        return float("nan")
    lengths = np.linalg.norm(control[usable]) * np.linalg.norm(observed[usable])
    return float((control[usable] * observed[usable]).sum() / lengths) if lengths > 0 else 0.0


def find_still_pixels(frames: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """Where nothing moves: bool (frames - 1, height, width).

    frames: uint8 (frames, height, width, 3). flow: (frames - 1, height, width, 2). A pixel is still when its flow is
    under `MIN_SPEED`, or when no motion explains its next frame as well as the flow does (to half a grey level, over
    a 7x7 neighbourhood): in smooth areas, such as sky, dense flow is a guess that leaks from the moving object nearby.
    """
    out = np.linalg.norm(flow, axis=-1) < MIN_SPEED
    for index in range(len(flow)):
        current, following = frames[index].astype(np.float32), frames[index + 1].astype(np.float32)
        flow_error = cv2.blur(np.abs(warp(following, flow[index]) - current).mean(axis=-1), (7, 7))
        still_error = cv2.blur(np.abs(following - current).mean(axis=-1), (7, 7))
        out[index] |= still_error <= flow_error + 0.5
    return out


def flicker(frames: np.ndarray, flow: np.ndarray) -> float:
    """Mean |f_{t+1} - f_t| where nothing moves, grey levels. Range 0..255, lower is better; 0 is steady.

    VBench's temporal flickering is 255 minus this over whole frames of still scenes; here moving places are left out.

    frames: uint8 (frames, height, width, 3). flow: (frames - 1, height, width, 2). NaN when no place is still.
    """
    still_pixels = find_still_pixels(frames, flow)
    change = np.abs(np.diff(frames.astype(np.int16), axis=0)).mean(axis=-1)
    means = [float(change[i][still_pixels[i]].mean()) for i in range(len(flow)) if still_pixels[i].any()]
    return float(np.mean(means)) if means else float("nan")
