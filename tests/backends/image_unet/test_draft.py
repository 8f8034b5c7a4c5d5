"""Drafts: frame 1's objects at the place, size and angle of every mask."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import torch

from mvmodel.backends.image_unet.draft import DraftGuide, draw_drafts
from mvmodel.masks.registration import register_mask

SIDE = 96


def shape(matrix: np.ndarray) -> np.ndarray:
    """An L, moved by an affine matrix (2, 3)."""
    drawing = np.zeros((SIDE, SIDE), np.uint8)
    drawing[20:60, 20:34] = 1
    drawing[46:60, 20:56] = 1
    return cv2.warpAffine(drawing, matrix, (SIDE, SIDE)) > 0


IDENTITY = np.array([[1.0, 0, 0], [0, 1, 0]])


@pytest.mark.parametrize(
    "matrix",
    [
        np.array([[1.0, 0, 17], [0, 1, 9]]),
        np.array([[0.7, 0, 20], [0, 0.7, 10]]),
        np.array([[1.2, 0.2, -12], [0.0, 1.0, 5]]),
        cv2.getRotationMatrix2D((40, 40), 20, 1.0),
    ],
)
def test_registration_finds_moves_sizes_and_angles(matrix):
    source, target = shape(IDENTITY), shape(matrix)
    found = register_mask(source, target)
    moved = cv2.warpAffine(source.astype(np.uint8), found, (SIDE, SIDE)) > 0
    assert (moved & target).sum() / (moved | target).sum() > 0.85


def test_an_empty_mask_has_no_draft():
    assert register_mask(shape(IDENTITY), np.zeros((SIDE, SIDE), bool)) is None
    assert register_mask(np.zeros((SIDE, SIDE), bool), shape(IDENTITY)) is None


def test_drafts_show_every_object_in_its_own_mask_and_nothing_where_it_was():
    frame = np.full((SIDE, SIDE, 3), 100, np.uint8)
    first = [np.zeros((SIDE, SIDE), bool) for _ in range(2)]
    first[0][10:30, 10:30] = True
    first[1][60:80, 60:80] = True
    frame[first[0]], frame[first[1]] = (255, 0, 0), (0, 0, 255)
    later = [np.zeros((2, SIDE, SIDE), bool) for _ in range(2)]
    later[0][:, 10:30, 50:70] = True  # frame 2 has both, frame 3 only the first
    later[1][0, 60:80, 20:40] = True
    pictures, shown = draw_drafts(frame, first, later)
    inside = (slice(13, 27), slice(53, 67))
    assert np.abs(pictures[0][inside].astype(int) - (255, 0, 0)).max() < 10
    assert np.abs(pictures[0, 63:77, 23:37].astype(int) - (0, 0, 255)).max() < 10
    assert np.abs(pictures[:, 12:28, 12:28].astype(int) - 100).max() < 25, "its old place is filled with background"
    assert shown[0][inside].all() and not shown[1, 60:80].any() and not (shown & ~(later[0] | later[1])).any()


def test_the_guide_pulls_inside_the_draft_and_stops():
    shown = torch.zeros(1, 2, 64, 64)
    shown[..., :32] = 1
    drafts, clean = torch.ones(1, 2, 4, 8, 8), torch.zeros(1, 2, 4, 8, 8)
    guide = DraftGuide(drafts, shown, 0.5, 0.6)
    early = guide(clean, 0.5)
    assert (early[..., :4] == 0.5).all() and (early[..., 4:] == 0).all()
    assert guide(clean, 0.6) is clean
