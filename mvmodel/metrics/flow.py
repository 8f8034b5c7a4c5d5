"""Motion and flicker, from dense optical flow (OpenCV's DIS, which has no trained weights).

Flow is in pixels per frame, x to the right and y down.
"""

from __future__ import annotations

import numpy as np

from mvmodel.masks.geometry import centroids

STILL = 0.25
"""Pixels per frame below which a place counts as still."""


def flows(frames: np.ndarray) -> np.ndarray:
    """Flow from every frame to the next: float32 (frames - 1, height, width, 2).

    frames: uint8 RGB (frames, height, width, 3). Pictures under 160 pixels are enlarged for the search, since DIS
    starts from a pyramid; the flow returned is in the pixels given.
    """
    import cv2

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


def motion(flow: np.ndarray, foreground: np.ndarray | None = None) -> float:
    """Mean length of the flow inside the foreground, pixels per frame. Range 0 upwards; 0 is a still.

    Neither way is better by itself: it stands beside consistency, which a still video wins. EvalCrafter's flow score,
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
    """Does the foreground move the way the control masks move? sum(w . s) / (|w| |s|), w wanted and s shown velocities.

    Range -1..1, higher is better. No paper's formula: published motion scores know no wanted direction.

    flow: (frames - 1, height, width, 2). masks: control masks, bool (frames, height, width): their centroids give the
    wanted velocities. foreground: where the object was found; the flow's mean in there is the velocity shown. Both
    tracks are compared as one vector over all pairs of frames, so fast moments weigh more. NaN when the masks' centre
    moves less than `STILL` (a spin, say), or when nothing was found.
    """
    wanted = np.diff(centroids(masks), axis=0)
    shown = np.full_like(wanted, np.nan)
    for index in range(len(flow)):
        if foreground[index].any():
            shown[index] = flow[index][foreground[index]].mean(axis=0)
    usable = np.isfinite(wanted).all(axis=1) & np.isfinite(shown).all(axis=1)
    if not usable.any() or np.sqrt((wanted[usable] ** 2).sum(axis=1).mean()) < STILL:
        return float("nan")
    lengths = np.linalg.norm(wanted[usable]) * np.linalg.norm(shown[usable])
    return float((wanted[usable] * shown[usable]).sum() / lengths) if lengths > 0 else 0.0


def still_places(frames: np.ndarray, flow: np.ndarray) -> np.ndarray:
    """Where nothing moves: bool (frames - 1, height, width).

    frames: uint8 (frames, height, width, 3). flow: (frames - 1, height, width, 2). A place is still when its flow is
    under `STILL`, or when standing still explains its next frame as well as the flow does (to half a grey level, over
    a 7x7 neighbourhood): in smooth areas, sky say, dense flow is a guess drawn in from the moving object beside them.
    """
    import cv2

    height, width = frames.shape[1:3]
    columns, rows = np.meshgrid(np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32))
    out = np.linalg.norm(flow, axis=-1) < STILL
    for index in range(len(flow)):
        here, following = frames[index].astype(np.float32), frames[index + 1].astype(np.float32)
        moved = cv2.remap(
            following,
            columns + flow[index, ..., 0],
            rows + flow[index, ..., 1],
            cv2.INTER_LINEAR,
            None,
            cv2.BORDER_REPLICATE,
        )
        by_flow = cv2.blur(np.abs(moved - here).mean(axis=-1), (7, 7))
        by_standing = cv2.blur(np.abs(following - here).mean(axis=-1), (7, 7))
        out[index] |= by_standing <= by_flow + 0.5
    return out


def flicker(frames: np.ndarray, flow: np.ndarray) -> float:
    """Mean |f_{t+1} - f_t| where nothing moves, grey levels. Range 0..255, lower is better; 0 is steady.

    VBench's temporal flickering is 255 minus this over whole frames of still scenes; here moving places are left out.

    frames: uint8 (frames, height, width, 3). flow: (frames - 1, height, width, 2). NaN when no place is still.
    """
    still = still_places(frames, flow)
    change = np.abs(np.diff(frames.astype(np.int16), axis=0)).mean(axis=-1)
    means = [float(change[i][still[i]].mean()) for i in range(len(flow)) if still[i].any()]
    return float(np.mean(means)) if means else float("nan")
