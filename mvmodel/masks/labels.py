"""Objects from grey levels and ids: what is an object, what is void, and what is anti-aliasing."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

_HALF = 127
_IGNORED_16_BIT = (10000, 65535)
"""Void in 16-bit label maps: MOTS's 10000, and the highest value."""
_MAX_DISTINCT = 24
"""Pictures with more grey levels than this may be soft masks, which are halved instead of split into objects."""
_MIN_PLATEAU_SHARE = 0.25
"""Share of flat areas at middle grey levels from which a grey picture is no soft mask of one object."""


@dataclass(frozen=True)
class Labels:
    """Objects of a mask sequence.

    codes: uint16 (frames, height, width), 0 for background and i + 1 for the object with the id ids[i].
    """

    codes: np.ndarray
    ids: tuple[int, ...]

    @property
    def masks(self) -> np.ndarray:
        """The union of all objects, bool (frames, height, width)."""
        return self.codes > 0

    @property
    def instances(self) -> np.ndarray | None:
        """bool (objects, frames, height, width), or None for a single object."""
        if len(self.ids) < 2:
            return None
        return np.stack([self.codes == code for code in range(1, len(self.ids) + 1)])

    @property
    def names(self) -> tuple[str, ...]:
        """The ids as names; none for a single object."""
        return tuple(str(label) for label in self.ids) if len(self.ids) > 1 else ()


def find_flat_pixels(values: np.ndarray) -> np.ndarray:
    """Where the 3x3 pixels around are all equal, bool (frames, height, width). values: uint8, uint16 or float32."""
    kernel = np.ones((3, 3), np.uint8)
    return np.stack([cv2.erode(picture, kernel) == cv2.dilate(picture, kernel) for picture in values])


def labels_from_grey(values: np.ndarray, is_lossy: bool = False) -> Labels:
    """Objects from grey levels or ids of any number type, (frames, height, width). Raises ValueError with the reason.

    One level and background are a mask. Several levels that fill areas are objects. Levels at edges are anti-aliasing.
    """
    if values.dtype.kind == "f":
        if not np.isfinite(values).all():
            raise ValueError("it holds numbers that are not finite; write masks as 0 and 1")
        if values.min(initial=0) < 0:
            raise ValueError("it holds numbers below 0, as logits do; write masks as 0 and 1: logits > 0")
        if values.max(initial=0) <= 1:
            return Labels((values > 0.5).astype(np.uint16), (1,))
        if (values != values.round()).any():
            return soft_mask(np.clip(values, 0, 255).astype(np.uint8))
    if values.dtype == np.bool_:
        return Labels(values.astype(np.uint16), (1,))
    if values.min(initial=0) < 0 or values.max(initial=0) > 65535:
        raise ValueError("its ids are not between 0 and 65535; write ids as 8- or 16-bit numbers")
    levels = values.astype(np.uint16)
    counts = np.bincount(levels.ravel(), minlength=256)
    present = np.flatnonzero(counts[1:]) + 1
    if is_lossy and not np.isin(present, (1, 255)).all():
        return soft_mask(levels.astype(np.uint8))
    if len(present) <= 1:
        ignored = present.tolist() == [_IGNORED_16_BIT[0]]
        return Labels(((levels > 0) & (not ignored)).astype(np.uint16), (int(present[0]),) if len(present) else (1,))
    flat_counts = np.bincount(levels[find_flat_pixels(levels)], minlength=len(counts))[: len(counts)]
    if len(present) > _MAX_DISTINCT and _is_soft(counts, flat_counts):
        highest = int(present[-1])
        half = _HALF if _HALF < highest <= 255 else highest // 2
        return Labels((levels > half).astype(np.uint16), (1,))
    is_area = flat_counts > 0.3 * counts
    areas = [int(level) for level in present if is_area[level] or not _only_at_edges(levels, int(level))]
    return _split(levels, areas or present.tolist())


def _is_soft(counts: np.ndarray, flat_counts: np.ndarray) -> bool:
    """Whether many levels are one soft mask: nearly nothing of it is flat at a middle level."""
    highest = int(np.flatnonzero(counts)[-1])
    low, high = round(0.08 * highest), round(0.92 * highest)
    return bool(highest >= 128 and flat_counts[low:high].sum() < _MIN_PLATEAU_SHARE * counts[max(low, 1) :].sum())


def _only_at_edges(levels: np.ndarray, level: int) -> bool:
    """Whether nearly all pixels of a level are within two pixels of a higher one, as anti-aliasing is."""
    kernel = np.ones((5, 5), np.uint8)
    near = total = 0
    for picture in levels:
        pixels = picture == level
        if pixels.any():
            total += int(pixels.sum())
            near += int((cv2.dilate(picture, kernel)[pixels] > level).sum())
    return near >= 0.95 * total


def _split(levels: np.ndarray, areas: list[int]) -> Labels:
    """Objects from levels, of which `areas` fill areas and the others are anti-aliasing."""
    void = _void_levels(levels, areas)
    objects = [level for level in areas if level not in void]
    table = np.zeros(65536, np.uint16)
    table[objects] = np.arange(1, len(objects) + 1)
    codes = table[levels]
    stated = np.zeros(65536, bool)
    stated[[0, *areas]] = True
    edge = ~stated[levels]
    if not edge.any():
        return Labels(codes, tuple(objects))
    heights = np.array([0, *objects], np.int64)
    for frame in np.flatnonzero(edge.any(axis=(1, 2))):
        if not codes[frame].any():
            continue
        _, places = cv2.distanceTransformWithLabels(
            (codes[frame] == 0).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
        )
        code_of_place = np.zeros(int(places.max()) + 1, np.uint16)
        filled = codes[frame] > 0
        code_of_place[places[filled]] = codes[frame][filled]
        nearest = code_of_place[places]
        covered = edge[frame] & (levels[frame] > heights[nearest] // 2)
        codes[frame][covered] = nearest[covered]
    return Labels(codes, tuple(objects))


def _void_levels(levels: np.ndarray, areas: list[int]) -> set[int]:
    """The levels that mean "no statement" and not an object. Raises ValueError where it cannot be told."""
    highest = max(areas)
    lower_levels = [level for level in areas if level != highest]
    if not lower_levels:
        return set()
    if highest > 255:
        return {level for level in _IGNORED_16_BIT if level in areas}
    if highest < 255:
        return set()
    step = 255 / len(areas)
    spread = all(abs(level - step * (number + 1)) <= 1 for number, level in enumerate(sorted(areas)))
    if not spread:
        return {255}
    # Levels spread evenly up to white are objects made visible, unless 128 is the unknown band of a trimap.
    return {lower_levels[0]} if len(areas) == 2 and _is_surrounded(levels, 255, lower_levels[0]) else set()


def _is_surrounded(levels: np.ndarray, inner: int, outer: int) -> bool:
    """Whether nearly the whole outline of one level lies against another one."""
    kernel = np.ones((3, 3), np.uint8)
    boundary = total = 0
    for picture in levels:
        region = (picture == inner).astype(np.uint8)
        outline = (cv2.dilate(region, kernel) > region) & True
        total += int(outline.sum())
        boundary += int((picture[outline] == outer).sum())
    return total > 0 and boundary > 0.9 * total


def soft_mask(levels: np.ndarray) -> Labels:
    """One object from grey levels that were compressed, uint8 (frames, height, width): more than half is the object.

    Raises ValueError if large areas lie at several middle levels, since those are ids that compression has changed.
    """
    kernel = np.ones((3, 3), np.uint8)
    histogram = np.zeros(256, np.int64)
    bright = 0
    for picture in levels:
        flat = cv2.dilate(picture, kernel).astype(np.int16) - cv2.erode(picture, kernel) <= 8
        histogram += np.bincount(picture[flat & (picture > 40)], minlength=256)
        bright += int((picture > 40).sum())
    top = int(np.flatnonzero(histogram)[-1]) if histogram.any() else 255
    middle = int(histogram[41 : max(41, min(216, top - 31))].sum())
    if middle > 0.2 * histogram.sum() and middle > 0.05 * bright:
        raise ValueError(
            "it has areas of several grey levels, and its compression changes them; save masks of several objects as "
            "PNG, or masks of one object in white on black"
        )
    half = _HALF if top > 200 or not histogram.any() else top // 2
    return Labels((levels > half).astype(np.uint16), (1,))
